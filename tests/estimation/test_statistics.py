from dataclasses import fields

import numpy as np
import pytest

from autods.estimation.snr import published_snr
from autods.estimation.statistics import MAXIMA_LEVELS, FrameStatistics, frame_statistics
from tests.estimation.simulate import simulate


def test_chunks_joined_are_the_whole() -> None:
    movie = simulate(0.5, 6.0, n_frames=12)
    whole = frame_statistics(movie.frames, 1.2)
    joined = FrameStatistics.concatenate([frame_statistics(movie.frames[i : i + 5], 1.2) for i in (0, 5, 10)])
    assert len(joined) == len(whole) == 12
    np.testing.assert_array_equal(joined.n_published, whole.n_published)
    np.testing.assert_allclose(joined.background, whole.background, rtol=1e-3)
    # Each chunk has its own noise as the unit.
    np.testing.assert_allclose(joined.features(1.2), whole.features(1.2), atol=0.1)


def test_pure_noise_has_unit_variance_and_symmetric_maxima() -> None:
    frames = np.random.default_rng(0).normal(50, 7, (60, 80, 80))
    statistics = frame_statistics(frames, 1.2)
    assert statistics.variance.mean() == pytest.approx(1, rel=0.03)
    assert statistics.third_moment.mean() == pytest.approx(0, abs=0.03)
    assert statistics.maxima[:, 0].mean() == pytest.approx(statistics.minima[:, 0].mean(), rel=0.2)
    assert np.isfinite(statistics.features(1.2)).all()


def test_counts_fall_with_the_level_and_see_the_emitters() -> None:
    movie = simulate(0.3, 12.0, n_frames=30, brightness_cv=0.1)
    counts = frame_statistics(movie.frames, 1.2).maxima.mean(0)
    assert (np.diff(counts) <= 0).all()
    per_um2 = counts / (4 * np.pi * 0.12**2)
    assert per_um2[MAXIMA_LEVELS.index(8.0)] == pytest.approx(movie.density_per_um2, rel=0.25)


@pytest.mark.parametrize("value", [0.0, 1000.0])
def test_constant_frames_are_finite(value: float) -> None:
    statistics = frame_statistics(np.full((3, 12, 12), value), 1.2)
    assert np.isfinite(statistics.features(1.2)).all()
    assert np.isnan(published_snr(statistics))
    for field in fields(statistics):
        assert field.name == "snr_published" or np.isfinite(getattr(statistics, field.name)).all()


def test_published_snr_is_amplitude_over_noise() -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(200, 4, (20, 60, 60))
    frames[:, 10::20, 10::20] += 100
    assert published_snr(frame_statistics(frames, 1.2)) == pytest.approx(25, rel=0.06)
