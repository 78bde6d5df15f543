import time

import numpy as np
import pytest
from scipy.special import erf

from autods.rendering import gaussian as module
from autods.rendering import render_gaussian, render_histogram


def _exact(x, y, sigma, shape_nm, pixel):
    """Integrate one Gaussian over every pixel of the field."""

    def along(centre, length):
        edges = np.arange(round(length / pixel) + 1) * pixel
        return np.diff(erf((edges - centre) / sigma / np.sqrt(2))) / 2

    return np.outer(along(y, shape_nm[0]), along(x, shape_nm[1]))


@pytest.mark.parametrize("sigma", [3.0, 8.0, 17.0, 45.0, 130.0])
def test_one_localization_against_the_integral(sigma):
    shape = (1200.0, 1500.0)
    image = render_gaussian(np.array([803.7]), np.array([598.1]), sigma, shape, 10.0)
    exact = _exact(803.7, 598.1, sigma, shape, 10.0)
    assert image.shape == exact.shape
    # Cutting at three sigma moves 0.5 % of the light.
    np.testing.assert_allclose(image, exact, atol=0.012 * exact.max())
    assert image.sum() == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize("n_localizations", [1, 4000])
def test_position_and_width_are_kept_in_any_way_of_drawing(n_localizations):
    """Many wide localizations are filtered, few are drawn."""
    image = (
        render_gaussian(
            np.full(n_localizations, 503.0), np.full(n_localizations, 396.0), 35.0, (800.0, 1000.0), 10.0
        )
        / n_localizations
    )
    y, x = (np.indices(image.shape) + 0.5) * 10
    assert (image * x).sum() == pytest.approx(503, abs=5.1 if n_localizations > 1 else 0.05)
    assert (image * y).sum() == pytest.approx(396, abs=5.1 if n_localizations > 1 else 0.05)
    spread = np.sqrt((image * (x - (image * x).sum()) ** 2).sum())
    assert spread == pytest.approx(35, rel=0.03)


def test_filtering_and_drawing_agree(monkeypatch):
    rng = np.random.default_rng(0)
    x, y, sigma = rng.uniform(0, 2000, 3000), rng.uniform(0, 2000, 3000), rng.uniform(25, 60, 3000)
    filtered = render_gaussian(x, y, sigma, (2000.0, 2000.0), 10.0)
    monkeypatch.setattr(module, "_COST_RATIO", 0.0)
    drawn = render_gaussian(x, y, sigma, (2000.0, 2000.0), 10.0)
    assert np.abs(filtered - drawn).max() > 0
    np.testing.assert_allclose(filtered, drawn, atol=0.05 * drawn.max())


def test_sum_is_the_number_inside_away_from_the_border():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(300, 2700, 5000), rng.uniform(300, 1700, 5000)
    image = render_gaussian(x, y, rng.gamma(4, 4, 5000), (2000.0, 3000.0), 10.0)
    assert image.sum() == pytest.approx(5000, rel=1e-4)
    assert (image >= 0).all()


def test_narrow_ones_are_a_histogram():
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 30, 500) * 10.0 + 5 for _ in range(2))
    drawn = render_gaussian(x, y, 1e-3, (300.0, 300.0), 10.0)
    np.testing.assert_allclose(drawn, render_histogram(x, y, (300.0, 300.0), 10.0), atol=0.15)


def test_different_widths_along_x_and_y():
    image = render_gaussian(
        np.array([500.0]), np.array([500.0]), 20.0, (1000.0, 1000.0), 10.0, sigma_y_nm=60.0
    )
    y, x = (np.indices(image.shape) + 0.5) * 10 - 500
    assert np.sqrt((image * x**2).sum()) == pytest.approx(20, rel=0.03)
    assert np.sqrt((image * y**2).sum()) == pytest.approx(60, rel=0.03)


def test_unknown_widths_get_the_median_and_weights_count():
    x = np.array([100.0, 300.0, 500.0])
    image = render_gaussian(
        x, x, np.array([20.0, np.nan, 20.0]), (600.0, 600.0), 10.0, np.array([1.0, 1.0, 3.0])
    )
    np.testing.assert_allclose(image[20:40, 20:40], image[:20, :20], atol=1e-6)
    assert image[40:, 40:].sum() == pytest.approx(3, rel=1e-3)


def test_nothing_to_draw():
    none = np.zeros(0)
    assert not render_gaussian(none, none, none, (50.0, 70.0), 10.0).any()
    assert render_gaussian(np.array([-5.0]), np.array([5.0]), 3.0, (50.0, 70.0), 10.0).shape == (5, 7)


def test_a_hundred_thousand_in_a_second_of_computing():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 25_600, (2, 100_000))
    start = time.process_time()
    render_gaussian(x, y, rng.gamma(8, 1.5, 100_000), (25_600.0, 25_600.0), 10.0)
    assert time.process_time() - start < 3
