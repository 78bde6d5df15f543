from pathlib import Path

import numpy as np
import pytest

from autods.core import UserError
from autods.estimation.correction import fit_correction, load_correction, write_correction
from autods.estimation.density import corrected_density
from autods.estimation.snr import corrected_snr
from autods.estimation.statistics import frame_statistics
from tests.estimation.simulate import simulate


def quadratic(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal([1, -2, 5], [1, 0.5, 3], (n, 3))
    a, b, c = features.T
    return features, np.stack([a + 0.2 * b * c, b - a**2, 0.1 * c], axis=1)


def test_fit_recovers_a_quadratic_in_spite_of_outliers() -> None:
    features, targets = quadratic(800, 0)
    spoilt = targets.copy()
    spoilt[::20] += 5
    correction = fit_correction(features, spoilt, ridge=1e-3)
    new_features, new_targets = quadratic(200, 1)
    inner = (np.abs((new_features - [1, -2, 5]) / [1, 0.5, 3]) < 2).all(1)
    predicted = correction.predict(new_features[inner])
    np.testing.assert_allclose(predicted, new_targets[inner], atol=0.15)


def test_nothing_extrapolates() -> None:
    features, targets = quadratic(300, 0)
    correction = fit_correction(features, targets)
    far = correction.predict(np.array([[1e6, -1e6, 1e6], [-1e6, 1e6, 0.0]]))
    assert (far >= targets.min(0) - 1e-9).all()
    assert (far <= targets.max(0) + 1e-9).all()


def test_file_round_trip(tmp_path: Path) -> None:
    features, targets = quadratic(300, 0)
    correction = fit_correction(features, targets)
    write_correction(correction, tmp_path / "c.json")
    read = load_correction(tmp_path / "c.json")
    np.testing.assert_allclose(read.predict(features), correction.predict(features), rtol=1e-4, atol=1e-3)


def test_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(UserError, match=r"c\.json"):
        load_correction(path)
    for text in ("{", "{}", "[]"):
        path.write_text(text, encoding="utf-8")
        load_correction.cache_clear()
        with pytest.raises(UserError, match=r"c\.json"):
            load_correction(path)


def test_estimates_rise_with_the_truth() -> None:
    densities = [0.05, 0.2, 0.6, 1.2, 2.5, 5.0]
    movies = [simulate(density, 6.0, n_frames=40, seed=1) for density in densities]
    found = [corrected_density(frame_statistics(movie.frames, 1.2), 1.2, 100.0) for movie in movies]
    assert (np.diff(found) > 0).all()
    bright = [simulate(0.8, snr, n_frames=40, seed=2) for snr in (1.5, 2.5, 4.0, 7.0, 12.0, 20.0)]
    assert (np.diff([corrected_snr(frame_statistics(movie.frames, 1.2), 1.2) for movie in bright]) > 0).all()


@pytest.mark.parametrize("assumed", [1.08, 1.32])
def test_a_psf_width_that_is_ten_percent_off_is_forgiven(assumed: float) -> None:
    movie = simulate(1.0, 5.0, n_frames=60)
    found = corrected_density(frame_statistics(movie.frames, assumed), assumed, 100.0)
    assert found == pytest.approx(movie.density_per_um2, rel=0.3)
