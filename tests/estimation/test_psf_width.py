import math

import numpy as np
import pytest
from scipy.special import ndtr

from autods.estimation.psf_width import (
    autocorrelation_psf_width,
    cut_windows,
    fit_gaussians,
    isolated,
    measure_psf_width,
)
from tests.estimation.simulate import simulate


def window(x: float, y: float, sigma: float, photons: float, background: float) -> np.ndarray:
    edges = np.arange(-3.5, 4)
    column, row = (np.diff(ndtr((edges - c) / sigma)) for c in (x, y))
    return photons * np.outer(row, column) + background


def test_fit_recovers_exact_windows_x_along_columns() -> None:
    truth = [(0.4, -0.2, 1.0, 500, 10), (-0.5, 0.5, 1.4, 2000, 100), (0.0, 0.3, 1.9, 900, 0)]
    fits = fit_gaussians(np.array([window(*row) for row in truth]))
    found = np.stack([fits.x_px, fits.y_px, fits.sigma_px, fits.photons, fits.background], axis=1)
    np.testing.assert_allclose(found, truth, rtol=1e-3, atol=1e-3)
    assert fits.good.all()


def test_fits_of_noise_and_of_pairs_are_not_good() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(100, 5, (50, 7, 7))
    flat = np.full((1, 7, 7), 9.0)
    edge = np.array([window(2.6, 0, 1.2, 900, 10)])
    fits = fit_gaussians(np.concatenate([noise, flat, edge]))
    assert fits.good[:50].mean() < 0.1
    assert not fits.good[50:].any()


def test_both_of_two_neighbours_are_dropped() -> None:
    candidates = np.zeros((2, 40, 40), bool)
    for t, y, x in [(0, 10, 10), (0, 10, 15), (0, 30, 30), (1, 30, 24), (1, 1, 20)]:
        candidates[t, y, x] = True
    assert np.argwhere(isolated(candidates)).tolist() == [[0, 30, 30], [1, 30, 24]]


def test_windows_are_cut_around_their_pixel() -> None:
    frames = np.arange(2 * 20 * 30, dtype=np.float64).reshape(2, 20, 30)
    centres = np.zeros(frames.shape, bool)
    centres[1, 5, 21] = True
    np.testing.assert_array_equal(cut_windows(frames, centres)[0], frames[1, 2:9, 18:25])


@pytest.mark.parametrize("sigma", [0.9, 1.2, 1.6])
@pytest.mark.parametrize(("density", "snr"), [(0.1, 4.0), (0.1, 10.0), (1.0, 4.0), (3.0, 4.0), (3.0, 10.0)])
def test_width_over_density_and_snr(sigma: float, density: float, snr: float) -> None:
    movie = simulate(density, snr, sigma_px=sigma, n_frames=50)
    measured = measure_psf_width(movie.frames, 1.3)
    assert measured is not None
    assert measured.sigma_px == pytest.approx(sigma, rel=0.08)


def test_autocorrelation_survives_overlap_and_blinking_over_several_frames() -> None:
    movie = simulate(4.0, 3.0, sigma_px=1.3, n_frames=60, on_frames=3.0)
    width = autocorrelation_psf_width(movie.frames)
    assert width is not None
    assert width == pytest.approx(1.3, rel=0.06)


def test_no_width_from_noise_or_constants() -> None:
    rng = np.random.default_rng(0)
    assert measure_psf_width(rng.normal(100, 3, (20, 32, 32)), 1.3) is None
    assert measure_psf_width(np.full((5, 32, 32), 3.0), 1.3) is None
    assert measure_psf_width(rng.normal(100, 3, (1, 8, 8)), 1.3) is None
    assert not math.isnan(fit_gaussians(np.zeros((1, 7, 7))).sigma_px[0])
