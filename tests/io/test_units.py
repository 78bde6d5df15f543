import numpy as np
import pytest
import tifffile

from autods.core import UserError
from autods.io.movie import open_movie
from autods.io.units import length_nm, pixel_size, time_ms

FRAMES = np.arange(2 * 5 * 7, dtype=np.uint16).reshape(2, 5, 7)


@pytest.mark.parametrize(
    ("value", "unit", "nm"),
    [
        (100, "nm", 100),
        (0.1, "um", 100),
        (0.1, "µm", 100),
        (0.1, "μm", 100),
        (0.1, "\\u00B5m", 100),
        (0.1, "Âµm", 100),
        (0.1, "micron", 100),
        (0.1, "Micrometers", 100),
        (1e-4, "mm", 100),
        (1e-5, "cm", 100),
        (1e-7, "meter", 100),
        (1 / 254_000, "inch", 100),
        (1000, "Å", 100),
        (1, "pixel", None),
    ],
)
def test_lengths(value, unit, nm):
    assert length_nm(value, unit) == (None if nm is None else pytest.approx(nm))


def test_times():
    assert time_ms(0.03, "s") == pytest.approx(30)
    assert time_ms(30_000, "µs") == pytest.approx(30)
    assert time_ms(1, "frame") is None


@pytest.mark.parametrize(
    ("x_nm", "y_nm", "known"),
    [
        (100, 100, {"pixel_size_nm": 100}),
        (107.9, 108.1, {"pixel_size_nm": 107.9}),
        (100, 160, {"pixel_size_nm": 100, "pixel_size_y_nm": 160}),
        (None, 110, {"pixel_size_nm": 110}),
        (100, 1e6, {"pixel_size_nm": 100}),
        (float("nan"), 100, {"pixel_size_nm": 100}),
        (1000, 1000, {}),
    ],
)
def test_two_sides_of_a_pixel(x_nm, y_nm, known):
    assert pixel_size(x_nm, y_nm, "file").known() == known


def test_a_camera_pixel_is_not_used_and_said(tmp_path, caplog):
    path = tmp_path / "m.ome.tif"
    metadata = {"axes": "TYX", "PhysicalSizeX": 6.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, FRAMES, ome=True, metadata=metadata)
    assert open_movie(path).metadata.pixel_size_nm is None
    assert "states pixels of 6500 nm" in caplog.text
    assert "Divide it by the magnification" in caplog.text


def test_pixels_that_are_not_square(tmp_path):
    path = tmp_path / "m.ome.tif"
    sides = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.16}
    tifffile.imwrite(path, FRAMES, ome=True, metadata={"axes": "TYX", **sides})
    with pytest.raises(UserError, match="100 nm along x and 160 nm along y"):
        open_movie(path).metadata.square_pixel_nm(path)
