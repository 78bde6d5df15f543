import numpy as np
import pytest
import tifffile
from PIL import Image

from autods.core import UserError
from autods.io.images import MovieWriter, write_image_tiff, write_movie_tiff, write_png
from autods.io.movie import open_movie

FRAMES = np.random.default_rng(2).integers(0, 65_535, (9, 7, 5)).astype(np.uint16)


@pytest.mark.parametrize("shape", [(20, 30), (4, 20, 30)])
def test_image_keeps_values_and_pixel_size(tmp_path, shape):
    image = np.random.default_rng(0).random(shape)
    write_image_tiff(image, tmp_path / "image.tif", 12.5)
    with tifffile.TiffFile(tmp_path / "image.tif") as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata["unit"] == "um"
        across, unit = tif.pages[0].tags["XResolution"].value
        assert across / unit == pytest.approx(80, rel=1e-6)
        assert tif.asarray().dtype == np.float32
    np.testing.assert_allclose(tifffile.imread(tmp_path / "image.tif"), image, rtol=1e-6)
    assert open_movie(tmp_path / "image.tif").metadata.pixel_size_nm == pytest.approx(12.5)


def test_same_image_same_bytes(tmp_path):
    for name in "ab":
        write_image_tiff(np.eye(9), tmp_path / name, 10.0)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_short_movie_is_an_imagej_file(tmp_path):
    write_movie_tiff(FRAMES, tmp_path / "movie.tif", 108.0)
    with tifffile.TiffFile(tmp_path / "movie.tif") as tif:
        assert tif.is_imagej
        assert not tif.is_bigtiff
        assert tif.imagej_metadata["frames"] == 9
    with open_movie(tmp_path / "movie.tif") as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES)
        assert movie.metadata.pixel_size_nm == pytest.approx(108)


@pytest.mark.parametrize("n_bytes", [None, FRAMES.nbytes, 5_000_000_000])
def test_streamed_movie_in_uneven_blocks(tmp_path, n_bytes):
    with MovieWriter(tmp_path / "movie.tif", 108.0, n_bytes) as writer:
        for start, stop in ((0, 4), (4, 4), (4, 5), (5, 9)):
            writer.append(FRAMES[start:stop])
        assert not (tmp_path / "movie.tif").exists()
    with tifffile.TiffFile(tmp_path / "movie.tif") as tif:
        assert tif.is_bigtiff == (n_bytes != FRAMES.nbytes)
        assert tif.series[0].shape == FRAMES.shape
    with open_movie(tmp_path / "movie.tif") as movie:
        np.testing.assert_array_equal(movie.read(0, 9), FRAMES)
        assert movie.metadata.pixel_size_nm == pytest.approx(108)


def test_real_values_are_rounded_and_limited(tmp_path):
    write_movie_tiff(np.array([[[-3.0, 1.6, 70_000.0]]]), tmp_path / "movie.tif", 100.0)
    assert open_movie(tmp_path / "movie.tif").read(0, 1).tolist() == [[[0, 2, 65_535]]]


def test_failure_while_streaming_leaves_nothing(tmp_path):
    def write() -> None:
        with MovieWriter(tmp_path / "movie.tif", 100.0) as writer:
            writer.append(FRAMES)
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="disk is full"):
        write()
    assert not list(tmp_path.iterdir())


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), MovieWriter(tmp_path / "file" / "movie.tif", 100.0):
        pass
    with pytest.raises(UserError, match="cannot write"):
        write_image_tiff(np.ones((3, 3)), tmp_path / "file" / "a.tif", 10.0)


def test_png(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (8, 6, 3)).astype(np.uint8)
    write_png(picture, tmp_path / "picture.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "picture.png")), picture)
