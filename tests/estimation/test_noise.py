import numpy as np
import pytest

from autods.estimation.noise import candidate_background, pixel_noise
from tests.estimation.simulate import simulate


@pytest.mark.parametrize("std", [0.5, 3.0, 40.0])
def test_noise_of_a_tilted_background(std: float) -> None:
    rng = np.random.default_rng(1)
    frames = rng.normal(500, std, (10, 64, 48)) + 20 * std * np.linspace(0, 1, 48)
    assert pixel_noise(frames).mean() == pytest.approx(std, rel=0.02)


@pytest.mark.parametrize(("density", "tolerance"), [(0.1, 0.05), (1.0, 0.1), (3.0, 0.3)])
@pytest.mark.parametrize("snr", [2.0, 10.0])
def test_noise_under_emitters(density: float, snr: float, tolerance: float) -> None:
    movie = simulate(density, snr, n_frames=20, tilt=0.0)
    assert pixel_noise(movie.frames).mean() == pytest.approx(movie.noise_std, rel=tolerance)


def test_constant_frames_have_no_noise() -> None:
    np.testing.assert_array_equal(pixel_noise(np.full((2, 8, 8), 7.0)), 0)


def test_background_is_read_outside_the_neighbourhoods() -> None:
    frames = np.random.default_rng(0).normal(100, 2, (2, 40, 40)).astype(np.float32)
    candidates = np.zeros(frames.shape, bool)
    candidates[:, 10::20, 10::20] = True
    bright = frames.copy()
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            bright[:, 10 + dy :: 20, 10 + dx :: 20] += 1000
    mean, std = candidate_background(bright, candidates)
    np.testing.assert_allclose(mean, 100, atol=0.2)
    np.testing.assert_allclose(std, 2, rtol=0.1)


def test_frame_covered_by_candidates_has_no_background() -> None:
    mean, std = candidate_background(np.ones((1, 8, 8)), np.ones((1, 8, 8), bool))
    assert np.isnan(mean).all()
    assert np.isnan(std).all()
