"""What a TIFF file holds is read, refused by name, or counted in a warning."""

import re
import shutil
import struct
import uuid

import numpy as np
import pytest
import tifffile

from autods.core import UserError
from autods.io.movie import open_movie
from autods.io.readers.tiff_pages import scan_pages
from tests.io.mmstack import write_mmstack, write_ndtiff

FRAMES = np.random.default_rng(2).integers(0, 999, (12, 16, 20)).astype(np.uint16)
SMALL = np.ones((8, 8), np.uint16)
NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def _pages(path, *images, **options):
    with tifffile.TiffWriter(path) as writer:
        for image in images:
            colours = {"photometric": "rgb"} if image.ndim == 3 else {}
            writer.write(image, metadata=None, **colours, **options)
    return path


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("place", [0, 12])
def test_a_page_of_another_size_before_or_after_the_movie_is_left_out_by_name(
    tmp_path, caplog, compression, place
):
    images = list(FRAMES)
    images.insert(place, SMALL)
    movie = open_movie(_pages(tmp_path / "m.tif", *images, compression=compression))
    np.testing.assert_array_equal(movie.read(0, 99), FRAMES)
    assert f"1 of 13 pages left out: page {place} of 8 x 8 px uint16" in caplog.text


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "foreign", [FRAMES[5, :12], np.zeros((16, 20, 3), np.uint8), FRAMES[5].astype(np.uint8)]
)
def test_a_foreign_page_between_frames_is_refused_by_its_number(tmp_path, compression, foreign):
    images = [*FRAMES[:5], foreign, *FRAMES[6:]]
    path = _pages(tmp_path / "m.tif", *images, compression=compression)
    with pytest.raises(UserError, match=r"page 5 \(counted from 0\)"):
        open_movie(path)


def test_several_series_are_a_choice_of_positions(tmp_path):
    path = _pages(tmp_path / "m.tif", *FRAMES, *([SMALL] * 7))
    with pytest.raises(UserError, match=r"2 stage positions \(12 of 16 x 20 px uint16, 7 of 8 x 8"):
        open_movie(path)
    np.testing.assert_array_equal(open_movie(path, position=0).read(0, 99), FRAMES)
    assert open_movie(path, position=1).shape == (7, 8, 8)
    with pytest.raises(UserError, match="position=2 does not exist"):
        open_movie(path, position=2)


def test_small_versions_of_the_frames_are_left_out(tmp_path, caplog):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for frame in FRAMES:
            writer.write(frame, metadata=None)
            writer.write(frame[::2, ::2], metadata=None, subfiletype=1)
    np.testing.assert_array_equal(open_movie(tmp_path / "m.tif").read(0, 99), FRAMES)
    assert "12 of 24 pages are small versions" in caplog.text


def test_pages_written_one_by_one_are_one_movie(tmp_path):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for frame in FRAMES:
            writer.write(frame, contiguous=False)  # a series each, to tifffile
    np.testing.assert_array_equal(open_movie(tmp_path / "m.tif").read(0, 99), FRAMES)


def test_opening_grows_linearly(tmp_path):
    """Count what is read for a page, not the time that it takes."""
    for n_pages in (50, 200):
        with tifffile.TiffWriter(tmp_path / f"{n_pages}.tif") as writer:
            for _ in range(n_pages):
                writer.write(SMALL, contiguous=False)
        pages = scan_pages(tmp_path / f"{n_pages}.tif")
        assert len(pages) == n_pages
        assert len(pages.kinds) == 1


@pytest.mark.parametrize("sizes", ["same", "two"])
def test_images_of_ome_are_positions(tmp_path, sizes):
    path = tmp_path / "m.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(FRAMES, metadata={"axes": "TYX", "Name": "cell"})
        other = FRAMES[::-1] if sizes == "same" else SMALL[None]
        writer.write(other, metadata={"axes": "TYX", "Name": "field"})
    with pytest.raises(UserError, match=r"2 stage positions \(cell.*, field.*\): choose with position=0"):
        open_movie(path)
    np.testing.assert_array_equal(open_movie(path, position=0).read(0, 99), FRAMES)
    np.testing.assert_array_equal(open_movie(path, position=1).read(0, 99), other)


def test_ome_that_announces_too_few_frames(tmp_path, caplog):
    path = tmp_path / "m.ome.tif"
    tifffile.imwrite(path, FRAMES, ome=True, metadata={"axes": "TYX"})
    content = path.read_bytes().replace(b'SizeT="12"', b'SizeT="1" ')
    path.write_bytes(content.replace(b'PlaneCount="12"', b'PlaneCount="1" '))
    np.testing.assert_array_equal(open_movie(path).read(0, 99), FRAMES)
    assert "names 1 of 12 pages" in caplog.text


@pytest.mark.parametrize("axes", ["TCYX", "CTYX"])
@pytest.mark.parametrize("kind", [{"ome": True}, {"imagej": True}])
def test_channels_are_chosen(tmp_path, axes, kind):
    if kind == {"imagej": True} and axes == "CTYX":
        pytest.skip("ImageJ keeps channels fastest")
    both = np.stack([FRAMES, FRAMES[::-1] + 1])
    data = both if axes == "CTYX" else np.ascontiguousarray(both.transpose(1, 0, 2, 3))
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": axes}, **kind)
    with pytest.raises(UserError, match=r"2 channels.*channel=0"):
        open_movie(path)
    for channel in (0, 1):
        np.testing.assert_array_equal(open_movie(path, channel=channel).read(0, 99), both[channel])
    with pytest.raises(UserError, match="channel=2 does not exist"):
        open_movie(path, channel=2)


def test_a_channel_that_is_not_there(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, photometric="minisblack")
    with pytest.raises(UserError, match="holds one channel only"):
        open_movie(tmp_path / "m.tif", channel=1)
    assert open_movie(tmp_path / "m.tif", channel=0, position=0).shape == FRAMES.shape


def _prairie(folder):
    """Write single-page files of which the first describes all and the others refer to it."""
    ids = [uuid.UUID(int=i + 1) for i in range(12)]
    names = [f"TSeries_Cycle00001_Ch1_{i + 1:06d}.ome.tif" for i in range(12)]
    blocks = "".join(
        f'<TiffData IFD="0" FirstT="{i}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{key}</UUID></TiffData>'
        for i, (name, key) in enumerate(zip(names, ids, strict=True))
    )
    for i, (name, key) in enumerate(zip(names, ids, strict=True)):
        body = (
            f'<BinaryOnly MetadataFile="{names[0]}" UUID="urn:uuid:{ids[0]}"/>'
            if i
            else '<Image ID="I:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16"'
            ' SizeX="20" SizeY="16"'
            ' SizeZ="1" SizeC="1" SizeT="12" PhysicalSizeX="0.1">'
            f'<Channel ID="C:0"/>{blocks}</Pixels></Image>'
        )
        xml = f'<OME {NAMESPACE} UUID="urn:uuid:{key}">{body}</OME>'
        tifffile.imwrite(folder / name, FRAMES[i], description=xml.encode(), metadata=None)
    return names


def test_files_that_refer_to_the_one_that_describes_them(tmp_path, caplog):
    names = _prairie(tmp_path)
    for path in (tmp_path, tmp_path / names[0], tmp_path / names[7]):
        with open_movie(path) as movie:
            np.testing.assert_array_equal(movie.read(0, 99), FRAMES)
            assert movie.metadata.pixel_size_nm == pytest.approx(100)
    (tmp_path / names[0]).rename(tmp_path / "elsewhere")
    caplog.clear()
    assert open_movie(tmp_path / names[7]).shape == (1, 16, 20)
    assert f"refers to {names[0]}, which is missing" in caplog.text


def test_micromanager_positions_in_one_file_and_each_in_its_own(tmp_path):
    for position in (0, 1):
        write_mmstack(tmp_path / f"a_MMStack_Pos{position}.ome.tif", FRAMES[6 * position :][:6], 0, 6)
    for position in (0, 1):
        movie = open_movie(tmp_path / f"a_MMStack_Pos{position}.ome.tif")
        np.testing.assert_array_equal(movie.read(0, 99), FRAMES[6 * position :][:6])


def test_any_file_of_a_micromanager_series_is_the_series(tmp_path):
    for name, start, stop in (("a_MMStack.ome.tif", 0, 7), ("a_MMStack_1.ome.tif", 7, 12)):
        write_mmstack(tmp_path / name, FRAMES[start:stop], start, 12)
    np.testing.assert_array_equal(open_movie(tmp_path / "a_MMStack_1.ome.tif").read(0, 99), FRAMES)


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("files", [1, 3])
def test_ndtiff_with_and_without_its_index(tmp_path, files, has_index):
    images = [
        ({"time": t, "channel": ("Cy5", "DAPI")[c]}, FRAMES[2 * t + c]) for t in range(6) for c in (0, 1)
    ]
    path = write_ndtiff(tmp_path, images, files)
    if not has_index:
        (tmp_path / "NDTiff.index").unlink()
    for name in (tmp_path, path, tmp_path / f"NDTiffStack{'_2' if files > 1 else ''}.tif"):
        with pytest.raises(UserError, match=r"2 channels \(Cy5, DAPI\)"):
            open_movie(name)
        with open_movie(name, channel=1) as movie:
            np.testing.assert_array_equal(movie.read(0, 99), FRAMES[1::2])
            assert movie.metadata.pixel_size_nm == pytest.approx(108)


def test_ndtiff_that_lacks_a_file(tmp_path):
    path = write_ndtiff(tmp_path, [({"time": t}, FRAMES[t]) for t in range(12)], 2)
    (tmp_path / "NDTiffStack_1.tif").unlink()
    with pytest.raises(UserError, match=r"NDTiffStack_1\.tif is missing"):
        open_movie(path)


def test_a_chain_that_runs_in_a_circle(tmp_path):
    path = _pages(tmp_path / "m.tif", *FRAMES)
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0].offset, tif.pages[-1].offset
    content = bytearray(path.read_bytes())
    (n_tags,) = struct.unpack_from("<H", content, last)
    struct.pack_into("<I", content, last + 2 + 12 * n_tags, first)
    path.write_bytes(content)
    with pytest.raises(UserError, match="runs in a circle"):
        open_movie(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_header_that_claims_more_than_the_file_holds(tmp_path, compression):
    path = _pages(tmp_path / "m.tif", FRAMES[0], compression=compression)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for code in (256, 257):
            place = tif.pages[0].tags[code].offset
            struct.pack_into("<HHII", content, place, code, 4, 1, 2**20)
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_movie(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_no_page_accounts_for_are_counted(tmp_path, caplog):
    path = _pages(tmp_path / "m.tif", *FRAMES)
    with path.open("ab") as file:
        file.write(bytes(5_000_000))
    assert open_movie(path).shape == FRAMES.shape
    assert re.search(r"holds 5,\d+,\d+ bytes beside the 7,680 of its 12 pages", caplog.text)


def test_a_file_name_that_is_no_unicode(tmp_path):
    name = tmp_path / b"gro\xdf.tif".decode("utf-8", "surrogateescape")
    shutil.copy(_pages(tmp_path / "m.tif", *FRAMES, compression="zlib"), name)
    np.testing.assert_array_equal(open_movie(name).read(0, 99), FRAMES)


def test_contents_name_what_was_found(tmp_path):
    both = np.ascontiguousarray(np.stack([FRAMES, FRAMES], 1))
    tifffile.imwrite(tmp_path / "m.tif", both, imagej=True, metadata={"axes": "TCYX"})
    contents = open_movie(tmp_path / "m.tif", channel=1).contents
    assert contents.kind == "ImageJ TIFF"
    assert dict(contents.axes) == {"time points": 12, "channels": 2}
