import numpy as np
import pytest

from autods.rendering import depth_color, depth_palette, render_depth, render_gaussian


def test_palette_is_equally_light_and_evenly_stepped():
    palette = depth_palette()
    luminance = palette @ [0.2126, 0.7152, 0.0722]
    assert luminance.std() / luminance.mean() < 0.1
    assert palette.min() > 0
    assert palette.max() < 1
    assert palette[0].argmax() == 2
    assert palette[128].argmax() == 1
    assert palette[-1].argmax() == 0
    step = np.linalg.norm(np.diff(palette ** (1 / 2.4), axis=0), axis=1)
    assert step.max() / step.min() < 4


def test_colours_follow_depth():
    colors = depth_color(np.array([-900.0, -500.0, 0.0, 500.0, 900.0, np.nan]), (-500.0, 500.0))
    palette = depth_palette()
    np.testing.assert_array_equal(colors[[0, 1, 5]], palette[[0, 0, 0]])
    np.testing.assert_array_equal(colors[[3, 4]], palette[[-1, -1]])
    assert colors[2].argmax() == 1
    with pytest.raises(ValueError, match="empty"):
        depth_color(np.zeros(1), (1.0, 1.0))


def test_picture_is_the_gaussian_one_in_colour():
    rng = np.random.default_rng(0)
    x, y, z = rng.uniform(0, 500, 50), rng.uniform(0, 400, 50), rng.uniform(-300, 300, 50)
    image = render_depth(x, y, z, 12.0, (400.0, 500.0), 10.0, (-300.0, 300.0))
    assert image.shape == (40, 50, 3)
    one = render_depth(x[:1], y[:1], z[:1], 12.0, (400.0, 500.0), 10.0, (-300.0, 300.0))
    expected = render_gaussian(x[:1], y[:1], 12.0, (400.0, 500.0), 10.0)[..., None]
    np.testing.assert_allclose(one, expected * depth_color(z[:1], (-300.0, 300.0)), atol=1e-6)
