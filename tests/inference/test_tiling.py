import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import UserError
from autods.inference.tiling import patch_size_px, split_evenly, tile_field

sides = st.integers(1, 300)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.floats(3, 200), st.integers(0, 30))
def test_cores_cover_every_pixel_exactly_once(height, width, patch, margin):
    tiles = tile_field((height, width), patch, margin)
    count = np.zeros((height, width), int)
    for tile in tiles:
        y0, x0, y1, x1 = tile.core
        count[y0:y1, x0:x1] += 1
        assert tile.window == (
            max(y0 - margin, 0), max(x0 - margin, 0), min(y1 + margin, height), min(x1 + margin, width)
        )  # fmt: skip
    assert (count == 1).all()
    assert [tile.index for tile in tiles] == list(range(len(tiles)))


@given(st.integers(1, 5000), st.floats(5, 200))
def test_even_split_is_nearest_to_the_target(length, target):
    sizes = np.diff(split_evenly(length, target))
    assert sizes.sum() == length
    assert sizes.max() - sizes.min() <= 1
    if length > 2 * target:
        assert 0.65 * target - 1 <= sizes.min()
        assert sizes.max() <= 1.35 * target + 1


def test_patches_of_ten_micrometres_stay_in_the_papers_range():
    for pixel_nm in (65.0, 100.0, 160.0):
        target = patch_size_px(10.0, pixel_nm)
        for length in range(int(np.ceil(6.5e3 / pixel_nm)), 700):
            sizes = np.diff(split_evenly(length, target)) * pixel_nm / 1000
            assert sizes.min() > 6.49
            assert sizes.max() < 14.9


def test_a_patch_below_the_smallest_sensible_is_refused():
    with pytest.raises(UserError, match="patch_um"):
        patch_size_px(2.0, 100.0)
    with pytest.raises(UserError, match="patch_um"):
        patch_size_px(float("nan"), 100.0)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="cannot tile"):
        tile_field((0, 10), 10, 0)
