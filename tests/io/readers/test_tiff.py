import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from autods.core import UserError
from autods.io.movie import open_movie
from autods.io.readers.blocks import BlockMovie
from tests.io.mmstack import write_mmstack

FRAMES = np.random.default_rng(1).integers(0, 999, (20, 12, 10)).astype(np.uint16)


def _write(path, kind):
    if kind == "pages":
        with tifffile.TiffWriter(path) as writer:
            for frame in FRAMES:
                writer.write(frame, contiguous=False, metadata=None)
        return
    options = {
        "imagej": {"imagej": True, "metadata": {"axes": "TYX"}},
        "shaped": {},
        "plain": {"metadata": None},
        "ome": {"ome": True, "metadata": {"axes": "TYX"}},
        "zlib": {"compression": "zlib"},
    }
    tifffile.imwrite(path, FRAMES, photometric="minisblack", **options[kind])


@pytest.mark.parametrize("kind", ["imagej", "shaped", "plain", "ome", "pages", "zlib"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files_give_their_whole_frames_with_a_warning(tmp_path, kind, part, caplog):
    path = tmp_path / "movie.tif"
    _write(path, kind)
    os.truncate(path, int(path.stat().st_size * part))
    if part == 0.02:  # not one frame
        with pytest.raises(UserError, match=r"movie\.tif"):
            open_movie(path)
        return
    frames = open_movie(path).read(0, 99)
    np.testing.assert_array_equal(frames, FRAMES[: len(frames)])
    assert len(frames) == 20 or "cut" in caplog.text


@pytest.mark.parametrize("kind", ["imagej", "shaped", "plain", "ome", "pages"])
def test_truncated_files_tell_how_much_is_whole(tmp_path, kind, caplog):
    path = tmp_path / "movie.tif"
    _write(path, kind)
    with tifffile.TiffFile(path) as tif:
        eighth = tif.pages[7].dataoffsets[0]
    os.truncate(path, eighth + 50)
    with open_movie(path) as movie:
        np.testing.assert_array_equal(movie.read(0, 99), FRAMES[:7])
    assert re.search(r"\b7 (of \d+ )?frames|after 7 frames|images before it", caplog.text)


def test_truncated_imagej_file_of_one_page(tmp_path, caplog):
    path = tmp_path / "movie.tif"
    text = "ImageJ=1.53t\nimages=20\nframes=20\n"
    tifffile.imwrite(path, FRAMES[0], description=text, metadata=None)
    with path.open("ab") as file:
        file.write(FRAMES[1:12].tobytes())
    np.testing.assert_array_equal(open_movie(path).read(0, 99), FRAMES[:12])
    assert "12 of 20 frames" in caplog.text


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((9, 9, 3), {"photometric": "rgb"}, "colour"),
        ((4, 9, 9, 3), {"photometric": "rgb"}, "colour"),
        ((3, 9, 9), {"photometric": "rgb", "planarconfig": "separate"}, "colour"),
        ((4, 2, 9, 9), {"imagej": True, "metadata": {"axes": "TCYX"}}, "2 channels"),
        ((2, 9, 9), {"ome": True, "metadata": {"axes": "CYX"}}, "2 channels"),
        ((4, 5, 9, 9), {"imagej": True, "metadata": {"axes": "TZYX"}}, "4 time points x 5 z planes"),
    ],
)
def test_colours_and_channels_are_refused(tmp_path, shape, options, words):
    path = tmp_path / "movie.tif"
    options = {"photometric": "minisblack", **options}
    tifffile.imwrite(path, np.ones(shape, np.uint8), **options)
    with pytest.raises(UserError, match=words):
        open_movie(path)


@pytest.mark.parametrize("dtype", [np.complex64, np.bool_])
def test_unusable_types_are_refused(tmp_path, dtype):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.ones((3, 8, 8), dtype), photometric="minisblack")
    with pytest.raises(UserError, match="type"):
        open_movie(path)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "u4", "f4", "f8", ">f4"])
def test_usable_types_keep_their_values(tmp_path, dtype):
    path = tmp_path / "movie.tif"
    frames = (FRAMES - 100.0).astype(dtype)
    tifffile.imwrite(path, frames, photometric="minisblack", byteorder=">" if dtype[0] == ">" else "<")
    movie = open_movie(path)
    assert movie.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(movie.read(0, 20), frames)


def test_single_image_is_one_frame(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", FRAMES[0])
    assert open_movie(tmp_path / "image.tif").shape == (1, 12, 10)


def test_lzw_without_the_decoder_names_it(tmp_path, monkeypatch):
    path = tmp_path / "movie.tif"
    _write(path, "zlib")

    def refuse(*_args: object, **_options: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
    with pytest.raises(UserError, match=r"pip install imagecodecs"):
        open_movie(path)


def test_damaged_compressed_frame_is_named(tmp_path):
    path = tmp_path / "movie.tif"
    _write(path, "zlib")
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[11].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 20)
    movie = open_movie(path)
    with pytest.raises(UserError, match="frame 11 "):
        movie.read(0, 20)


def test_missing_file_of_an_ome_series(tmp_path):
    names = ["a.ome.tif", "b.ome.tif"]
    blocks = "".join(
        f'<TiffData FirstT="{10 * k}" PlaneCount="10" IFD="0">'
        f'<UUID FileName="{name}">urn:uuid:{k}</UUID></TiffData>'
        for k, name in enumerate(names)
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image ID="I:0">'
        '<Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" SizeX="10" SizeY="12"'
        ' SizeZ="1" SizeC="1" SizeT="20">'
        f'<Channel ID="C:0"/>{blocks}</Pixels></Image></OME>'
    )
    tifffile.imwrite(
        tmp_path / names[0], FRAMES[:10], description=xml, metadata=None, photometric="minisblack"
    )
    with pytest.raises(UserError, match=r"b\.ome\.tif is missing"):
        open_movie(tmp_path / names[0])


def test_micromanager_series_and_its_settings(tmp_path):
    settings = {
        "PixelSizeUm": 0.108,
        "Exposure-ms": 30.0,
        "Camera": "Andor",
        "Andor-Output_Amplifier": "Electron Multiplying",
        "Andor-Gain": {"PropVal": "250"},
    }
    for name, start, stop in (("a_MMStack.ome.tif", 0, 11), ("a_MMStack_1.ome.tif", 11, 20)):
        write_mmstack(tmp_path / name, FRAMES[start:stop], start, 20, **settings)
    movie = open_movie(tmp_path / "a_MMStack.ome.tif")
    assert isinstance(movie, BlockMovie)
    np.testing.assert_array_equal(movie.read(0, 20), FRAMES)
    assert movie.metadata.known() == {
        "pixel_size_nm": pytest.approx(108),
        "exposure_ms": 30,
        "em_gain": 250,
    }
    assert movie.metadata.source == "Micro-Manager"


def test_micromanager_recording_that_was_stopped(tmp_path, caplog):
    write_mmstack(tmp_path / "a_MMStack.ome.tif", FRAMES[:8], 0, 20)
    movie = open_movie(tmp_path / "a_MMStack.ome.tif")
    np.testing.assert_array_equal(movie.read(0, 20), FRAMES[:8])


def test_a_large_imagej_file_needs_no_memory(tmp_path):
    """Open a file of 6 GB (sparse) with one page, and read its end, in 200 MB above the start."""
    path = tmp_path / "movie.tif"
    n_frames = 12_000
    text = f"ImageJ=1.53t\nimages={n_frames}\nframes={n_frames}\n"
    tifffile.imwrite(path, np.ones((512, 512), np.uint16), description=text, metadata=None)
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[0].dataoffsets[0]
    if shutil.disk_usage(tmp_path).free < 7e9:
        pytest.skip("the disk is too small")
    with path.open("r+b") as file:
        file.seek(start + (n_frames - 1) * 2 * 512**2)
        file.write(np.full((512, 512), 9, np.uint16).tobytes())
    code = (
        "import resource, sys\n"
        "from autods.io.movie import open_movie\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "movie = open_movie(sys.argv[1])\n"
        "assert movie.shape == (12000, 512, 512), movie.shape\n"
        "for i in range(0, 600, 50): movie.read(i, i + 50)\n"
        "assert (movie.read(11999, 12000) == 9).all() and not movie.read(11998, 11999).any()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    kilobytes = int(done.stdout) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 200_000
