import json
import math

import numpy as np
import pytest

from autods.estimation.patch import measure_patch
from tests.estimation.simulate import simulate

#: (density, SNR, PSF width) over the range to serve, from another simulator than the calibration's.
CONDITIONS = [
    (density, snr, sigma)
    for density in (0.1, 0.5, 1.0, 2.0, 3.0)
    for snr, sigma in ((1.5, 1.2), (3.0, 1.0), (5.0, 1.4), (10.0, 1.2))
]


@pytest.fixture(scope="module")
def ratios() -> dict[str, np.ndarray]:
    """Estimates over truth on the grid."""
    rows: dict[str, list[float]] = {
        "density": [],
        "published": [],
        "snr": [],
        "snr_published": [],
        "noise": [],
    }
    for seed, (density, snr, sigma) in enumerate(CONDITIONS):
        movie = simulate(density, snr, sigma_px=sigma, n_frames=60, seed=seed, background=20.0 + 10 * seed)
        profile = measure_patch(movie.frames, 100.0)
        rows["density"].append(profile.density_per_um2 / movie.density_per_um2)
        rows["published"].append(profile.density_published_per_um2 / movie.density_per_um2)
        rows["snr"].append(profile.snr / movie.snr)
        rows["snr_published"].append(profile.snr_published / movie.snr)
        rows["noise"].append(profile.noise_std / movie.noise_std)
    return {name: np.array(values) for name, values in rows.items()}


def test_corrected_density_over_the_range(ratios: dict[str, np.ndarray]) -> None:
    error = np.abs(ratios["density"] - 1)
    assert np.median(error) < 0.15
    bright = np.array([snr >= 3 for _, snr, _ in CONDITIONS])
    assert np.quantile(error[bright], 0.9) < 0.35
    assert error.max() < 0.8
    assert np.median(np.abs(ratios["published"] - 1)) > 2 * np.median(error)


def test_corrected_snr_and_noise_over_the_range(ratios: dict[str, np.ndarray]) -> None:
    assert np.median(np.abs(ratios["snr"] - 1)) < 0.15
    assert np.abs(ratios["snr"] - 1).max() < 0.5
    assert np.median(np.abs(ratios["snr_published"] - 1)) > 2 * np.median(np.abs(ratios["snr"] - 1))
    assert np.abs(ratios["noise"] - 1).max() < 0.15


@pytest.mark.parametrize(("offset", "gain"), [(0.0, 1.0), (5000.0, 0.02), (-300.0, 40.0)])
def test_the_cameras_offset_and_gain_do_not_matter(offset: float, gain: float) -> None:
    movie = simulate(1.0, 5.0, n_frames=20)
    reference = measure_patch(movie.frames, 100.0)
    profile = measure_patch(movie.frames.astype(np.float64) * gain + offset, 100.0)
    assert profile.density_per_um2 == pytest.approx(reference.density_per_um2, rel=0.02)
    assert profile.snr == pytest.approx(reference.snr, rel=0.02)
    assert profile.snr_published == pytest.approx(reference.snr_published, rel=0.02)
    assert profile.noise_std == pytest.approx(reference.noise_std * gain, rel=0.02)
    assert profile.background == pytest.approx(reference.background * gain + offset, rel=0.02)


def test_density_is_per_area_whatever_the_pixel_size() -> None:
    movie = simulate(1.0, 6.0, n_frames=20)
    fine, coarse = measure_patch(movie.frames, 100.0), measure_patch(movie.frames, 200.0)
    assert coarse.density_per_um2 == pytest.approx(fine.density_per_um2 / 4)
    assert coarse.density_published_per_um2 == pytest.approx(fine.density_published_per_um2 / 4)


def test_published_density_counts_candidates_not_coordinates() -> None:
    frames = np.random.default_rng(0).normal(0, 0.1, (1, 50, 50))
    for y, x in [(5, 40), (20, 20), (45, 10)]:
        frames[0, y - 1 : y + 2, x - 1 : x + 2] += 20
        frames[0, y, x] += 20
    profile = measure_patch(frames, 100.0, psf_sigma_px=1.2)
    assert profile.n_candidates == 3
    assert profile.density_published_per_um2 == pytest.approx(3 / 25)


def test_transposed_frames_measure_the_same() -> None:
    movie = simulate(1.0, 5.0, n_frames=20, shape=(48, 80))
    one, other = measure_patch(movie.frames, 100.0), measure_patch(movie.frames.transpose(0, 2, 1), 100.0)
    assert other.density_per_um2 == pytest.approx(one.density_per_um2, rel=0.02)
    assert other.snr == pytest.approx(one.snr, rel=0.02)


@pytest.mark.parametrize("shape", [(5, 5), (16, 16), (7, 90)])
def test_small_patches_and_single_frames(shape: tuple[int, int]) -> None:
    movie = simulate(2.0, 6.0, shape=shape, n_frames=1)
    profile = measure_patch(movie.frames, 100.0)
    assert profile.n_frames == 1
    assert math.isfinite(profile.density_per_um2)


def test_constant_and_partly_missing_frames() -> None:
    constant = measure_patch(np.full((4, 20, 20), 100, np.uint16), 100.0)
    assert constant.is_empty
    assert constant.density_per_um2 == 0
    assert math.isnan(constant.snr)
    assert constant.to_dict()["snr"] is None
    json.dumps(constant.to_dict(), allow_nan=False)
    movie = simulate(1.0, 6.0, n_frames=20)
    whole = measure_patch(movie.frames, 100.0, psf_sigma_px=1.2)
    holes = movie.frames.copy()
    holes[:, 30, 40] = np.nan
    holes[3] = np.inf
    assert measure_patch(holes, 100.0, 1.2).density_per_um2 == pytest.approx(whole.density_per_um2, rel=0.2)


@pytest.mark.parametrize("snr", [10.0, 100.0, 2000.0])
def test_the_brightest_emitter_is_measured_beyond_the_calibration(snr: float) -> None:
    movie = simulate(0.3, snr, sigma_px=1.2, n_frames=20, seed=3)
    profile = measure_patch(movie.frames, 100.0, 1.2)
    assert 0.6 * snr < profile.brightest_snr < 4 * snr
