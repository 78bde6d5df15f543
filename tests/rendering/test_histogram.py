import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.rendering import render_histogram
from autods.rendering.histogram import image_shape


def test_x_runs_along_columns_and_the_origin_is_the_corner():
    image = render_histogram(np.array([0.0, 25.0, 25.1]), np.array([0.0, 9.9, 9.9]), (20.0, 40.0), 10.0)
    np.testing.assert_array_equal(image, [[1, 0, 2, 0], [0, 0, 0, 0]])


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([0.1, 3.3, 10.0, 12.5, 108.3]))
def test_a_whole_number_of_pixels_is_kept(n_pixels, pixel):
    assert image_shape((n_pixels * pixel, (n_pixels - 0.5) * pixel), pixel) == (n_pixels, n_pixels)


def test_outside_and_unknown_positions_do_not_count():
    x = np.array([-0.1, 40.0, np.nan, 5.0])
    assert render_histogram(x, np.full(4, 5.0), (20.0, 40.0), 10.0).sum() == 1


def test_weights_add_up():
    image = render_histogram(
        np.array([5.0, 6.0]), np.array([5.0, 6.0]), (10.0, 10.0), 10.0, np.array([2.0, 0.5])
    )
    assert image.tolist() == [[2.5]]


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="positive"):
        render_histogram(np.ones(1), np.ones(1), (10.0, 10.0), 0.0)
