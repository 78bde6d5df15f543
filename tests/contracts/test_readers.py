"""Every movie reader passes the same battery."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from autods.io.base import Movie
from autods.io.images import MovieWriter, write_movie_tiff
from autods.io.movie import ArrayMovie, CroppedMovie, open_movie
from tests.io.mmstack import write_mmstack
from tests.io.writers import write_imaris, write_lif

MOVIE = np.random.default_rng(5).integers(0, 60_000, (23, 19, 14)).astype(np.uint16)


def _tiff(**options: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        tifffile.imwrite(folder / "movie.tif", MOVIE, photometric="minisblack", **options)
        return folder / "movie.tif"

    return write


def _tiff_pages(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "movie.tif") as writer:
        for frame in MOVIE:
            writer.write(frame, contiguous=False, metadata=None)
    return folder / "movie.tif"


def _tiff_own_plain(folder: Path) -> Path:
    write_movie_tiff(MOVIE, folder / "movie.tif", 100.0)
    return folder / "movie.tif"


def _tiff_own_streamed(folder: Path) -> Path:
    with MovieWriter(folder / "movie.tif", 100.0) as writer:
        for start in range(0, len(MOVIE), 5):
            writer.append(MOVIE[start : start + 5])
    return folder / "movie.tif"


def _imagej_one_page(folder: Path) -> Path:
    """Write what ImageJ does above 4 GB: one page, all frames after it."""
    path = folder / "movie.tif"
    text = f"ImageJ=1.53t\nimages={len(MOVIE)}\nframes={len(MOVIE)}\nunit=micron\n"
    tifffile.imwrite(path, MOVIE[0], description=text, metadata=None, resolution=(10, 10))
    with path.open("ab") as file:
        file.write(MOVIE[1:].tobytes())
    return path


def _ome_files(folder: Path) -> Path:
    """Write an OME-TIFF of two files."""
    counts, names = (15, 8), ("part0.ome.tif", "part1.ome.tif")
    blocks = "".join(
        f'<TiffData IFD="{i}" FirstT="{sum(counts[:k]) + i}" PlaneCount="1">'
        f'<UUID FileName="{names[k]}">urn:uuid:{k}</UUID></TiffData>'
        for k, count in enumerate(counts)
        for i in range(count)
    )
    for k, name in enumerate(names):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{k}">'
            '<Image ID="I:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16"'
            ' SizeX="14" SizeY="19" SizeZ="1" SizeC="1" SizeT="23">'
            f'<Channel ID="C:0" SamplesPerPixel="1"/>{blocks}</Pixels></Image></OME>'
        )
        part = MOVIE[:15] if k == 0 else MOVIE[15:]
        tifffile.imwrite(
            folder / name, part, description=xml.encode(), metadata=None, photometric="minisblack"
        )
    return folder / names[0]


def _micromanager(folder: Path) -> Path:
    for name, start, stop in (("a_MMStack.ome.tif", 0, 9), ("a_MMStack_1.ome.tif", 9, 23)):
        write_mmstack(folder / name, MOVIE[start:stop], start, 23)
    return folder / "a_MMStack.ome.tif"


def _images(folder: Path) -> Path:
    (folder / "run").mkdir()
    for i, frame in enumerate(MOVIE):
        tifffile.imwrite(folder / "run" / f"img_{i}.tif", frame, metadata=None)
    return folder / "run"


def _npy(folder: Path) -> Path:
    np.save(folder / "movie.npy", MOVIE)
    return folder / "movie.npy"


def _npy_fortran(folder: Path) -> Path:
    np.save(folder / "movie.npy", np.asfortranarray(MOVIE))
    return folder / "movie.npy"


def _picasso(folder: Path) -> Path:
    MOVIE.astype(">u2").tofile(folder / "movie.raw")
    info = {"Byte Order": ">", "Data Type": "uint16", "Frames": 23, "Height": 19, "Width": 14}
    (folder / "movie.yaml").write_text(yaml.safe_dump(info))
    return folder / "movie.raw"


def _zarr(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        store=str(folder / "movie.zarr"), shape=MOVIE.shape, dtype="u2", chunks=(4, 19, 14)
    )
    array[:] = MOVIE
    return folder / "movie.zarr"


def _ome_zarr(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(folder / "movie.zarr"), mode="w", zarr_format=2)
    array = group.create_array("0", shape=(23, 1, 1, 19, 14), dtype="u2", chunks=(1, 1, 1, 19, 14))
    array[:] = MOVIE[:, None, None]
    units = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
    axes = [{"name": name, "unit": units.get(name)} for name in "tczyx"]
    scale = [{"type": "scale", "scale": [0.03, 1, 0.2, 0.11, 0.11]}]
    level = {"path": "0", "coordinateTransformations": scale}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    return folder / "movie.zarr"


def _czi(folder: Path) -> Path:
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(folder / "movie.czi")) as writer:
        for t, frame in enumerate(MOVIE):
            writer.write(frame[..., None], plane={"T": t, "C": 0, "Z": 0})
        writer.write_metadata(document_name="movie", scale_x=1e-7, scale_y=1e-7)
    return folder / "movie.czi"


def _lif(folder: Path) -> Path:
    pytest.importorskip("liffile")
    return write_lif(folder / "movie.lif", {"cell": MOVIE})


def _imaris(folder: Path) -> Path:
    return write_imaris(folder / "movie.ims", MOVIE[None])


FORMATS: dict[str, Callable[[Path], Path]] = {
    "tiff": _tiff(metadata=None),
    "tiff shaped": _tiff(),
    "tiff big": _tiff(bigtiff=True),
    "tiff big-endian": _tiff(byteorder=">"),
    "tiff strips": _tiff(rowsperstrip=4),
    "tiff zlib": _tiff(compression="zlib"),
    "tiff predictor": _tiff(compression="zlib", predictor=True),
    "tiff tiles": _tiff(tile=(16, 16)),
    "tiff pages": _tiff_pages,
    "tiff of ours": _tiff_own_plain,
    "tiff streamed": _tiff_own_streamed,
    "imagej": _tiff(imagej=True, metadata={"axes": "TYX"}),
    "imagej slices": _tiff(imagej=True, metadata={"axes": "ZYX"}),
    "imagej channels": _tiff(imagej=True, metadata={"axes": "CYX"}),
    "imagej one page": _imagej_one_page,
    "ome": _tiff(ome=True, metadata={"axes": "TYX"}),
    "ome planes": _tiff(ome=True, metadata={"axes": "ZYX"}),
    "ome files": _ome_files,
    "micro-manager files": _micromanager,
    "images": _images,
    "npy": _npy,
    "npy fortran": _npy_fortran,
    "picasso": _picasso,
    "zarr": _zarr,
    "ome-zarr": _ome_zarr,
    "czi": _czi,
    "lif": _lif,
    "imaris": _imaris,
    "array": lambda _: Path(),
    "cropped": lambda _: Path(),
}


@pytest.fixture(params=list(FORMATS))
def movie(request, tmp_path):
    path = FORMATS[request.param](tmp_path)
    if request.param == "array":
        return ArrayMovie(MOVIE)
    if request.param == "cropped":
        return CroppedMovie(ArrayMovie(np.pad(MOVIE, 3)), slice(3, 26), (3, 3, 22, 17))
    return open_movie(path)


def test_shape_and_type(movie: Movie):
    assert movie.shape == MOVIE.shape
    assert movie.dtype == np.uint16
    assert movie.dtype.isnative
    assert isinstance(movie.path, Path)
    assert movie.metadata.known().get("pixel_size_nm") in (None, pytest.approx(100), pytest.approx(110))


def test_every_range_is_right(movie: Movie):
    for start, stop in ((0, 23), (0, 1), (22, 23), (5, 12), (14, 16), (20, 99), (7, 7)):
        frames = movie.read(start, stop)
        assert frames.dtype == np.uint16
        np.testing.assert_array_equal(frames, MOVIE[start:stop])


def test_the_frames_belong_to_the_caller(movie: Movie):
    movie.read(0, 2)[:] = 0
    np.testing.assert_array_equal(movie.read(0, 2), MOVIE[:2])


@pytest.mark.parametrize("bounds", [(-1, 2), (4, 3), (24, 30)])
def test_impossible_ranges_are_refused(movie: Movie, bounds):
    with pytest.raises(ValueError, match="of a movie of 23"):
        movie.read(*bounds)


def test_threads_may_share_it(movie: Movie):
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda i: movie.read(i, i + 3), [*range(0, 21, 3)] * 3))
    np.testing.assert_array_equal(np.concatenate(blocks[:7]), MOVIE[:21])
    np.testing.assert_array_equal(np.concatenate(blocks[14:]), MOVIE[:21])


def test_with_and_close(movie: Movie):
    with movie as opened:
        assert opened.read(3, 4).shape == (1, 19, 14)
    movie.close()


def test_plain_files_can_go_to_another_process(tmp_path):
    movie = open_movie(FORMATS["imagej"](tmp_path))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(movie)).read(2, 9), MOVIE[2:9])
