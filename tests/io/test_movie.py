import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from autods.core import UserError
from autods.io import readers
from autods.io.movie import MOVIE_FORMATS, ArrayMovie, CroppedMovie, check_frames, find_movies, open_movie
from tests.data import shared
from tests.io.mmstack import write_mmstack

FRAMES = np.arange(5 * 8 * 6, dtype=np.uint16).reshape(5, 8, 6)


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_movie(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message or path.name in message
    return message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"frame,x,y\n", "not a movie"),
        (b"\x89PNG\r\n\x1a\n0000", "PNG"),
        (b"\x89HDF\r\n\x1a\n0000", "HDF5"),
        (b"II*\0\x08\0\0\0", "without a whole image"),
        (b"II*\0" + bytes(100), "TIFF"),
        (b"\x93NUMPY\x01\x00v\x00{", "truncated or damaged"),
    ],
)
def test_what_is_no_movie_is_named(tmp_path, content, words):
    path = tmp_path / "movie.tif"
    path.write_bytes(content)
    assert words in _refused(path)


def test_missing_file_and_empty_folder(tmp_path):
    assert "does not exist" in _refused(tmp_path / "nothing.tif")
    assert "no movie" in _refused(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES)
    if os.geteuid() == 0:  # root may read anything

        def refuse(*_args: object, **_options: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
    else:
        path.chmod(0)
    assert "no permission" in _refused(path)


def test_content_counts_not_the_name(tmp_path):
    tifffile.imwrite(tmp_path / "movie.npy", FRAMES)
    np.save(tmp_path / "real.npy", FRAMES)
    (tmp_path / "real.npy").rename(tmp_path / "movie.tif")
    for name in ("movie.npy", "movie.tif"):
        with open_movie(tmp_path / name) as movie:
            np.testing.assert_array_equal(movie.read(0, 5), FRAMES)


def test_folder_with_one_movie_and_with_two(tmp_path):
    tifffile.imwrite(tmp_path / "first.tif", FRAMES)
    (tmp_path / "notes.txt").write_text("x")
    assert open_movie(tmp_path).shape == FRAMES.shape
    np.save(tmp_path / "second.npy", FRAMES)
    assert "2 movies" in _refused(tmp_path)


def test_find_movies_in_natural_order_and_series_once(tmp_path):
    for name in ("cell10.tif", "cell2.tif"):
        tifffile.imwrite(tmp_path / name, FRAMES)
    for name, start in (("run_MMStack_Pos0.ome.tif", 0), ("run_MMStack_Pos0_1.ome.tif", 3)):
        write_mmstack(tmp_path / name, FRAMES[start : start + 3], start, 5)
    (tmp_path / "noise.raw").write_bytes(b"no description beside it")
    names = [path.name for path in find_movies(tmp_path)]
    assert names == ["cell2.tif", "cell10.tif", "run_MMStack_Pos0.ome.tif"]
    assert find_movies(tmp_path / "cell2.tif") == [tmp_path / "cell2.tif"]


def test_movies_that_are_numbered_stay_separate(tmp_path):
    for i in range(3):
        tifffile.imwrite(tmp_path / f"movie_{i}.tif", FRAMES)
    assert len(find_movies(tmp_path)) == 3


def test_an_odd_one_among_numbered_images(tmp_path):
    for i in range(4):
        tifffile.imwrite(tmp_path / f"img_{i}.tif", FRAMES[0, :7] if i == 2 else FRAMES[0])
    movie = open_movie(tmp_path)
    assert movie.shape == (4, 8, 6)
    with pytest.raises(UserError, match=r"img_2\.tif"):
        movie.read(0, 4)


def test_array_of_one_frame_and_wrong_arrays():
    assert ArrayMovie(FRAMES[0]).shape == (1, 8, 6)
    with pytest.raises(UserError, match="4 axes"):
        ArrayMovie(FRAMES[None])
    with pytest.raises(UserError, match="complex"):
        ArrayMovie(FRAMES.astype(complex))
    with pytest.raises(UserError, match="no image"):
        ArrayMovie(FRAMES[:0])


def test_cropping_keeps_where_it_was():
    crop = CroppedMovie(ArrayMovie(FRAMES), slice(2, None), (1, 2, 8, 5))
    assert crop.shape == (3, 7, 3)
    assert (crop.first_frame, crop.origin_px) == (2, (1, 2))
    np.testing.assert_array_equal(crop.read(1, 3), FRAMES[3:5, 1:8, 2:5])


@pytest.mark.parametrize(
    ("frames", "roi", "limits"),
    [
        (slice(0, 6), None, "0:5"),
        (slice(3, 3), None, "0:5"),
        (slice(-2, None), None, "0:5"),
        (slice(0, 4, 2), None, "0:5"),
        (None, (0, 0, 9, 6), "0:0:8:6"),
        (None, (4, 0, 4, 6), "0:0:8:6"),
        (None, (0, -1, 4, 6), "0:0:8:6"),
    ],
)
def test_wrong_ranges_state_the_limits(frames, roi, limits):
    with pytest.raises(UserError, match=limits):
        CroppedMovie(ArrayMovie(FRAMES), frames, roi)


def test_frames_without_signal():
    check_frames(FRAMES, "movie.tif")
    holes = FRAMES.astype(np.float32)
    holes[0, 0, 0] = np.nan
    check_frames(holes, "movie.tif")
    with pytest.raises(UserError, match="constant"):
        check_frames(np.full_like(FRAMES, 7), "movie.tif")
    with pytest.raises(UserError, match="NaN"):
        check_frames(np.full((2, 3, 3), np.nan, np.float32), "movie.tif")
    with pytest.raises(UserError, match="infinite"):
        check_frames(np.full((2, 3, 3), np.inf, np.float32), "movie.tif")


def test_a_file_that_shrinks_while_open(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES, metadata=None, photometric="minisblack")
    movie = open_movie(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match="ends too early"):
        movie.read(0, 5)
    path.unlink()
    with pytest.raises(UserError, match="cannot read"):
        movie.read(0, 5)


@pytest.mark.parametrize(
    ("name", "shape"), [("nairr/2dairy_hd.tif", (500, 32, 32)), ("tetrapod/movie.tif", (90, 313, 333))]
)
def test_shared_movies_open(name, shape):
    with open_movie(shared(name)) as movie:
        assert movie.shape == shape
        np.testing.assert_array_equal(movie.read(7, 9), tifffile.imread(movie.path, key=[7, 8]))


def test_every_format_that_is_read_is_named():
    sources = Path(readers.__path__[0]).glob("*.py")
    opened = {name for source in sources for name in re.findall(r"^def open_(\w+)", source.read_text(), re.M)}
    opened -= {"sequence"}  # a folder of TIFF
    assert len(opened) > 8
    assert [name for name in opened if name.replace("_", " .") not in MOVIE_FORMATS.lower()] == []
