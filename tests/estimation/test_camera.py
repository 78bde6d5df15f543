import math

import numpy as np
import pytest

from autods.estimation.camera import estimate_camera
from tests.estimation.simulate import simulate


@pytest.mark.parametrize("gain", [0.5, 2.0, 10.0])
@pytest.mark.parametrize("density", [0.0, 0.3])
def test_gain_from_an_uneven_background(gain: float, density: float) -> None:
    movie = simulate(
        density,
        6.0,
        shape=(96, 96),
        n_frames=40,
        background=150.0,
        tilt=0.6,
        adu_per_e=gain,
        read_noise_e=1.0,
    )
    estimate = estimate_camera(movie.frames, 1.2)
    assert estimate.adu_per_photoelectron == pytest.approx(gain, rel=0.15)
    assert estimate.zero_variance_adu == pytest.approx(100.0, abs=25 * gain)
    assert estimate.background_adu == pytest.approx(100 + 150 * gain, rel=0.1)


def test_uniform_background_tells_no_gain_and_says_so() -> None:
    movie = simulate(0.0, 1.0, n_frames=20, tilt=0.0)
    estimate = estimate_camera(movie.frames, 1.2)
    assert estimate.adu_per_photoelectron is None
    assert estimate.zero_variance_adu is None
    assert "too little" in estimate.reason
    assert estimate.noise_adu == pytest.approx(movie.noise_std, rel=0.05)


def test_read_noise_is_not_taken_for_a_gain() -> None:
    frames = np.random.default_rng(0).normal(100, 5, (20, 64, 64)) + np.linspace(0, 200, 64)
    assert estimate_camera(frames, 1.2).adu_per_photoelectron is None


def test_one_frame_and_constant_frames() -> None:
    frame = np.random.default_rng(0).normal(100, 5, (1, 32, 32))
    for frames in (frame, np.full((4, 32, 32), 8.0)):
        estimate = estimate_camera(frames, 1.2)
        assert estimate.adu_per_photoelectron is None
        assert estimate.reason
        assert all(not isinstance(v, float) or math.isfinite(v) for v in estimate.to_dict().values())
