import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import UserError
from autods.inference.tiling import cut, mirror_index, patch_size_px, split_evenly, tile_field

sides = st.integers(1, 300)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.floats(3, 200), st.integers(0, 30), st.integers(1, 8))
def test_cores_cover_every_pixel_exactly_once(height, width, patch, margin, multiple):
    tiles = tile_field((height, width), patch, margin, multiple=multiple)
    count = np.zeros((height, width), int)
    for tile in tiles:
        y0, x0, y1, x1 = tile.core
        count[y0:y1, x0:x1] += 1
        wy0, wx0, wy1, wx1 = tile.window
        assert wy0 <= y0 - margin
        assert wx0 <= x0 - margin
        assert wy1 >= y1 + margin
        assert wx1 >= x1 + margin
        assert tile.window_shape == tiles[0].window_shape
        assert (wy1 - wy0) % multiple == 0
        assert (wx1 - wx0) % multiple == 0
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


@given(st.integers(1, 40), st.integers(0, 150), st.integers(0, 150))
def test_mirror_is_numpys_symmetric_padding(length, before, after):
    line = np.arange(length)
    expected = np.pad(line, (before, after), mode="symmetric")
    assert (mirror_index(-before, length + after, length) == expected).all()


def test_cut_of_arrays_and_tensors_agree_also_far_outside():
    frames = np.random.default_rng(0).normal(size=(3, 16, 13)).astype(np.float32)
    box = (-40, -5, 30, 60)
    from_array = cut(frames, box)
    assert from_array.shape == (3, 70, 65)
    assert (from_array[:, 40:56, 5:18] == frames).all()
    assert (cut(torch.from_numpy(frames), box).numpy() == from_array).all()


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="cannot tile"):
        tile_field((0, 10), 10, 0)
