import subprocess
import sys

import numpy as np
import pytest

from autods.rendering import round_length_nm, to_preview


@pytest.mark.parametrize(
    ("longest", "bar"),
    [(1.0, 1), (1.99, 1), (499.9, 200), (500.0, 500), (999, 500), (1000, 1000), (7e4, 5e4)],
)
def test_bar_lengths_are_round(longest, bar):
    assert round_length_nm(longest) == pytest.approx(bar)


def test_contrast_comes_from_the_pixels_that_are_not_empty():
    image = np.zeros((300, 300), np.float32)
    image[100, :200] = np.linspace(0.01, 1, 200)
    image[5, 5] = 1000
    picture = to_preview(image)
    assert picture.shape == (300, 300, 3)
    assert picture.dtype == np.uint8
    assert picture[100, 199].mean() > 200
    assert picture[200, 200].mean() < 5


def test_bar_has_its_length():
    """A quarter of 400 px of 10 nm is 1000 nm: 100 white pixels."""
    picture = to_preview(np.zeros((300, 400), np.float32), 10.0)
    white = (picture == 255).all(-1)
    assert white[270:].sum(1).max() == 100
    assert not white[:200].any()
    assert not white[:, :250].any()


def test_large_images_are_averaged_and_small_ones_enlarged():
    image = np.zeros((501, 1000), np.float32)
    image[:, 500:] = 1
    picture = to_preview(image, max_side=250)
    assert picture.shape == (126, 250, 3)
    assert picture[60, 100].mean() < 5
    assert picture[60, 150].mean() > 150
    assert to_preview(np.eye(16, dtype=np.float32)).shape == (256, 256, 3)


def test_bar_length_follows_the_new_pixel():
    small = to_preview(np.zeros((1000, 1000), np.float32), 10.0, max_side=500)
    # 500 px of 20 nm: the quarter is 2500 nm, the bar 2000 nm.
    assert (small == 255).all(-1)[450:].sum(1).max() == 100


def test_empty_and_unknown_values():
    assert to_preview(np.zeros((300, 300), np.float32)).max() < 5
    assert to_preview(np.full((300, 300), np.nan, np.float32)).max() < 5


def test_colour_images_keep_their_hue():
    image = np.zeros((300, 300, 3), np.float32)
    image[50:60, 50:60] = (4.0, 2.0, 0.0)
    red, green, blue = to_preview(image)[55, 55].tolist()
    assert red == 255
    assert 180 < green < 195  # half the light
    assert blue == 0


def test_importing_does_not_load_matplotlib():
    code = "import sys, autods.rendering; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_handful_of_spots_on_a_large_field_is_seen():
    image = np.zeros((1500, 1500), np.float32)
    image[np.arange(100, 1500, 200), np.arange(100, 1500, 200)] = 1
    picture = to_preview(image)
    bright = picture.max(-1) > 60
    assert bright.sum() > 7 * 20
    assert picture[100, 100].max() > 200


def test_a_legend_names_the_depths():
    plain, told = (to_preview(np.zeros((300, 400, 3), np.float32), z_range_nm=z) for z in (None, (-400, 400)))
    colours = told[287, 10:90].astype(int)
    assert not plain.any()
    assert colours[5, 2] > colours[5, 0]
    assert colours[-5, 0] > colours[-5, 2]
