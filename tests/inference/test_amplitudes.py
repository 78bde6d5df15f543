import dataclasses
import math
import time

import numpy as np
import pytest
import torch
from scipy.special import erf

from autods.core import Camera
from autods.inference.amplitudes import fit_amplitudes
from autods.inference.observation import Observation

SIGMA = 1.1


def profile(length, centre):
    edge = (np.arange(length + 1)[None] - np.asarray(centre)[:, None]) / (SIGMA * math.sqrt(2))
    return 0.5 * np.diff(erf(edge), axis=1)


def expected_image(shape, x, y, photons, background=0.0):
    """Pixel-integrated Gaussians, written apart from the package."""
    return np.einsum("ni,nj->ij", profile(shape[0], y) * photons[:, None], profile(shape[1], x)) + background


def movie(rng, n_frames, per_frame, mean_photons, *, background=20.0, shape=(40, 56), edge=0.0):
    frames, table = [], []
    for t in range(n_frames):
        x = rng.uniform(edge, shape[1] - edge, per_frame)
        y = rng.uniform(edge, shape[0] - edge, per_frame)
        photons = rng.gamma(4, mean_photons / 4, per_frame)
        frames.append(expected_image(shape, x, y, photons, background))
        table.append(np.column_stack([np.full(per_frame, t), x, y, photons]))
    t, x, y, photons = np.concatenate(table).T
    return np.array(frames), t.astype(np.int64), x, y, photons


def seen(frames, camera=None, background=None):
    """Frames in photons, of a uniform background where none is given."""
    return Observation.over_level(frames, camera or Camera(), background)


def mortensen(photons, background):
    """Error of the maximum-likelihood position, px (Mortensen et al., Nature Methods 7, 377 (2010))."""
    variance = SIGMA**2 + 1 / 12
    tau = 2 * np.pi * variance * background / photons
    t = np.linspace(1e-6, 1, 20_001)
    integral = np.trapezoid(np.log(t) / (1 + t / tau), t)
    return np.sqrt(variance / photons / (1 + integral))


@pytest.mark.parametrize("mean_photons", [300, 1000, 10_000])
@pytest.mark.parametrize(("per_frame", "spread"), [(4, 1.3), (60, 2.6)])
def test_photons_are_unbiased_and_nearly_as_good_as_possible(mean_photons, per_frame, spread):
    rng = np.random.default_rng(1)
    frames, t, x, y, photons = movie(rng, 400 // per_frame, per_frame, mean_photons)
    noisy = torch.from_numpy(rng.poisson(frames).astype(np.float32))
    fit = fit_amplitudes(seen(noisy, background=20.0), t, x, y, SIGMA)
    assert abs((fit.photons - photons).sum() / photons.sum()) < 0.02
    # Known position, isolated: shot noise and background under the spot (4 pi sigma^2 pixels).
    best = np.sqrt(photons + 4 * np.pi * SIGMA**2 * 20)
    inside = (x > 3) & (x < 53) & (y > 3) & (y < 37)
    error = (fit.photons - photons)[inside] / best[inside]
    assert np.sqrt(np.mean(error**2)) < spread
    # Light farther than the window counts as background: 2e-4 of an emitter's photons per pixel at worst.
    assert np.median(fit.background) == pytest.approx(20, abs=1 + 2e-4 * mean_photons)
    assert np.median(fit.background_std) == pytest.approx(math.sqrt(20 + 1e-4 * mean_photons), rel=0.06)


def test_overlapping_neighbours_share_the_light():
    x, y = np.array([10.2, 11.9, 25.0]), np.array([9.7, 9.7, 12.0])
    photons = np.array([4000.0, 1000.0, 2000.0])
    image = expected_image((24, 32), x, y, photons, 10.0)
    together = fit_amplitudes(
        seen(torch.from_numpy(image[None].astype(np.float32))), np.zeros(3, np.int64), x, y, SIGMA
    )
    assert together.photons == pytest.approx(photons, rel=0.01)
    assert together.background == pytest.approx([10.0] * 3, abs=0.5)


def test_a_sloping_background_does_not_leak_into_photons():
    rng = np.random.default_rng(2)
    frames, t, x, y, photons = movie(rng, 10, 12, 1000, edge=3)
    slope = (
        np.linspace(5, 80, frames.shape[2])[None, None] + np.linspace(0, 40, frames.shape[1])[None, :, None]
    )
    noisy = torch.from_numpy(rng.poisson(frames + slope).astype(np.float32))
    fit = fit_amplitudes(seen(noisy), t, x, y, SIGMA)
    assert abs((fit.photons - photons).sum() / photons.sum()) < 0.03
    truth = 20 + 5 + 75 * (x - 0.5) / 55 + 40 * (y - 0.5) / 39
    assert np.mean(np.abs(fit.background - truth)) < 4


def test_a_position_without_emitter_gets_no_light_of_a_neighbour():
    rng = np.random.default_rng(3)
    image = expected_image((30, 30), np.array([15.3]), np.array([15.1]), np.array([5000.0]), 20.0)
    noisy = torch.from_numpy(rng.poisson(np.repeat(image[None], 40, 0)).astype(np.float32))
    t = np.repeat(np.arange(40), 2)
    fit = fit_amplitudes(seen(noisy), t, np.tile([15.3, 17.4], 40), np.tile([15.1, 15.1], 40), SIGMA)
    assert fit.photons[::2].mean() == pytest.approx(5000, rel=0.02)
    assert fit.photons[1::2].mean() < 60
    assert (fit.photons >= 0).all()
    assert np.isinf(fit.uncertainty_px[fit.photons == 0]).all()


@pytest.mark.parametrize("photons", [300.0, 1000.0, 5000.0, 50_000.0])
@pytest.mark.parametrize("background", [2.0, 50.0])
def test_uncertainty_is_mortensens_for_isolated_emitters(photons, background):
    rng = np.random.default_rng(4)
    x, y = rng.uniform(14, 15, 200), rng.uniform(14, 15, 200)
    frames = np.array(
        [expected_image((29, 29), x[[i]], y[[i]], np.array([photons]), background) for i in range(200)]
    )
    fit = fit_amplitudes(seen(torch.from_numpy(frames.astype(np.float32))), np.arange(200), x, y, SIGMA)
    assert np.mean(fit.uncertainty_px) == pytest.approx(mortensen(photons, background), rel=0.05)


def test_significance_is_photons_over_their_scatter():
    rng = np.random.default_rng(8)
    x, y = np.full(400, 14.3), np.full(400, 14.6)
    clean = expected_image((29, 29), x[:1], y[:1], np.array([400.0]), 20.0)
    noisy = torch.from_numpy(rng.poisson(np.repeat(clean[None], 400, 0)).astype(np.float32))
    fit = fit_amplitudes(seen(noisy), np.arange(400), x, y, SIGMA)
    # The bound takes the background of the window alone; the fit knows it from the whole frame.
    assert np.median(fit.significance) == pytest.approx(400 / fit.photons.std(), rel=0.25)
    nothing = torch.from_numpy(rng.poisson(20, (400, 29, 29)).astype(np.float32))
    assert np.mean(fit_amplitudes(seen(nothing), np.arange(400), x, y, SIGMA).significance > 3) < 0.02


def test_the_cameras_noise_enters_the_uncertainty():
    x = y = np.array([14.4])
    image = torch.from_numpy(expected_image((29, 29), x, y, np.array([1000.0]), 5.0)[None].astype(np.float32))

    def uncertainty(camera):
        return float(
            fit_amplitudes(seen(image, camera), np.zeros(1, np.int64), x, y, SIGMA).uncertainty_px[0]
        )

    plain = uncertainty(Camera())
    assert uncertainty(Camera(em_gain=300.0)) == pytest.approx(plain * math.sqrt(2), rel=0.02)
    assert uncertainty(Camera(qe=0.5)) == pytest.approx(plain * math.sqrt(2), rel=0.02)
    read_map = np.zeros((29, 29))
    read_map[:, 14:] = 10.0
    uneven = uncertainty(Camera(read_noise_e=read_map))
    assert plain < uneven < uncertainty(Camera(read_noise_e=10.0))


def test_a_pattern_under_the_emitters_and_dead_pixels_do_not_matter():
    """A static pattern that is known, its noise, and pixels without information leave photons right."""
    rng = np.random.default_rng(5)
    frames, t, x, y, photons = movie(rng, 60, 4, 3000, edge=4)
    pattern = 20 + 80 * rng.random(frames.shape[1:])
    noisy = torch.from_numpy(rng.poisson(frames + pattern).astype(np.float32))
    known = seen(noisy, background=torch.from_numpy(pattern + 10).float())
    dead = torch.from_numpy(rng.random(frames.shape) < 0.03)
    masked = dataclasses.replace(known, light=known.light.masked_fill(dead, 1e6), valid=~dead)
    for observation in (known, masked):
        fit = fit_amplitudes(observation, t, x, y, SIGMA)
        assert np.median(fit.photons / photons) == pytest.approx(1, abs=0.03)
        assert np.std((fit.photons - photons) * fit.significance / fit.photons) == pytest.approx(1, abs=0.15)


def test_order_and_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(6)
    frames, t, x, y, _ = movie(rng, 9, 20, 1000)
    noisy = torch.from_numpy(rng.poisson(frames).astype(np.float32))
    whole = fit_amplitudes(seen(noisy), t, x, y, SIGMA)
    shuffle = rng.permutation(len(t))
    monkeypatch.setattr("autods.inference.amplitudes._BLOCK_PX", 2 * frames[0].size)
    parts = fit_amplitudes(seen(noisy), t[shuffle], x[shuffle], y[shuffle], SIGMA)
    assert parts.photons == pytest.approx(whole.photons[shuffle], rel=1e-3, abs=0.5)


def test_nothing_to_fit():
    none = np.zeros(0)
    fit = fit_amplitudes(seen(torch.zeros(3, 8, 8)), none.astype(np.int64), none, none, SIGMA)
    assert len(fit.photons) == 0


@pytest.mark.slow
def test_a_hundred_thousand_in_seconds():
    rng = np.random.default_rng(7)
    frames, t, x, y, _ = movie(rng, 400, 250, 1000, shape=(100, 100))
    noisy = torch.from_numpy(rng.poisson(frames).astype(np.float32))
    start = time.perf_counter()
    fit_amplitudes(seen(noisy), t, x, y, SIGMA)
    assert time.perf_counter() - start < 30
