import math

import numpy as np
import pytest
import torch

from autods.core import Camera
from autods.inference.amplitudes import fit_amplitudes
from autods.inference.groups import MAX_GROUP, group_emitters
from autods.inference.likelihood import Emitters, Layout, Windows
from autods.inference.refine import MAX_MISFIT, MAX_SHIFT_PX, refine_positions
from autods.simulation.noise import expose
from tests.inference.test_amplitudes import SIGMA, expected_image, movie, seen


def start_at(frames, t, x, y, sigma=SIGMA, camera=None):
    """Photons and background at positions."""
    fit = fit_amplitudes(seen(frames, camera or Camera()), t, x, y, sigma)
    return fit.photons, fit.background


def bound(photons, background, sigma, size=17, offset=0.3, camera=None):
    """Cramer-Rao bound of x with y, photons and background unknown, px: derivatives by differences."""
    camera = camera or Camera()

    def image(parameters):
        x, y, n, b = parameters
        edge = np.arange(size + 1)
        p = [np.diff([0.5 * math.erf((e - c) / (sigma * math.sqrt(2))) for e in edge]) for c in (y, x)]
        return n * np.outer(*p) + b

    at = np.array([size / 2 + offset, size / 2 - 0.1, photons, background])
    steps = np.diag([1e-4, 1e-4, 1e-2, 1e-3])
    slopes = np.stack([(image(at + s) - image(at - s)).ravel() / (2 * s.sum()) for s in steps])
    variance = camera.excess_noise_factor / camera.qe * image(at) + camera.read_noise_photons**2
    return math.sqrt(np.linalg.inv(slopes / variance.ravel() @ slopes.T)[0, 0])


def isolated(rng, sigma, photons, background, n=300, camera=None):
    """One emitter near the middle of each frame, and starts 0.25 px off."""
    x, y = rng.uniform(6, 9, (2, n))
    edges = np.arange(17) / (sigma * math.sqrt(2))
    erf = np.vectorize(math.erf)
    across, down = (
        0.5 * np.diff(erf(edges[None] - c[:, None] / (sigma * math.sqrt(2))), axis=1) for c in (x, y)
    )
    clean = photons * down[:, :, None] * across[:, None, :] + background
    if camera is None:
        frames = torch.from_numpy(rng.poisson(clean).astype(np.float32))
    else:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        frames = camera.to_photons(expose(torch.from_numpy(clean).float(), camera, generator))
    x0, y0 = x + rng.normal(0, 0.25, n), y + rng.normal(0, 0.25, n)
    return frames, x, y, x0, y0, start_at(frames, np.arange(n), x0, y0, sigma, camera)


@pytest.mark.parametrize("sigma", [0.9, 1.4])
@pytest.mark.parametrize("photons", [300, 5000])
@pytest.mark.parametrize("background", [5, 50])
def test_isolated_emitters_reach_the_cramer_rao_bound(sigma, photons, background):
    frames, x, y, x0, y0, start = isolated(np.random.default_rng(0), sigma, photons, background)
    fit = refine_positions(seen(frames), np.arange(len(x)), x0, y0, *start, sigma)
    error = np.concatenate([fit.x_px - x, fit.y_px - y])
    best = bound(photons, background, sigma)
    assert 0.9 < np.sqrt(np.mean(error**2)) / best < 1.1
    assert np.median(fit.uncertainty_px) == pytest.approx(best, rel=0.05)
    assert abs(error.mean()) < 0.1 * best
    assert fit.photons.mean() == pytest.approx(photons, rel=0.03)
    assert fit.background.mean() == pytest.approx(background, rel=0.03)


@pytest.mark.parametrize(
    "camera",
    [
        Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.8, read_noise_e=6.0),
        Camera(offset_adu=100.0, e_per_adu=10.0, em_gain=200.0, qe=0.9, read_noise_e=60.0),
        Camera(read_noise_e=np.random.default_rng(5).uniform(0.5, 12, (16, 16))),
    ],
    ids=["read noise", "EM", "sCMOS"],
)
def test_the_cameras_noise_is_in_the_bound_and_reached(camera):
    frames, x, y, x0, y0, start = isolated(np.random.default_rng(1), 1.1, 1000, 10, camera=camera)
    fit = refine_positions(seen(frames, camera), np.arange(len(x)), x0, y0, *start, 1.1)
    pull = np.concatenate([fit.x_px - x, fit.y_px - y]) / np.tile(fit.uncertainty_px, 2)
    assert 0.9 < pull.std() < 1.1
    if np.ndim(camera.read_noise_e) == 0:
        assert np.median(fit.uncertainty_px) == pytest.approx(bound(1000, 10, 1.1, camera=camera), rel=0.05)


def test_overlapping_emitters_are_fitted_together():
    """Without noise the truth is found from starts 0.3 px off, alone, in a pair and in a triple."""
    rng = np.random.default_rng(3)
    x = np.array([8.3, 10.6, 30.0, 32.1, 31.2, 8.0, 20.0])
    y = np.array([8.0, 8.4, 9.1, 9.4, 11.2, 30.7, 22.2])
    photons = rng.uniform(2000, 6000, len(x))
    image = expected_image((40, 44), x, y, photons, 12.0)
    frames = torch.from_numpy(image[None].astype(np.float32))
    t = np.zeros(len(x), np.int64)
    x0, y0 = x + rng.uniform(-0.3, 0.3, len(x)), y + rng.uniform(-0.3, 0.3, len(x))
    start = start_at(frames, t, x0, y0)
    fit = refine_positions(seen(frames), t, x0, y0, *start, SIGMA)
    assert np.hypot(fit.x_px - x, fit.y_px - y).max() < 0.002
    assert fit.photons == pytest.approx(photons, rel=0.005)
    assert np.hypot(x0 - x, y0 - y).max() > 0.2


@pytest.mark.parametrize("per_frame", [20, 60])
def test_crowded_emitters_get_better_and_know_how_good(per_frame):
    """From 0.6 to 1.9 emitters per 100 px; the largest groups are split."""
    rng = np.random.default_rng(4)
    frames, t, x, y, photons = movie(rng, 240 // per_frame, per_frame, 2000, shape=(48, 64), edge=2)
    noisy = torch.from_numpy(rng.poisson(frames).astype(np.float32))
    x0, y0 = x + rng.normal(0, 0.2, len(x)), y + rng.normal(0, 0.2, len(x))
    start = start_at(noisy, t, x0, y0)
    fit = refine_positions(seen(noisy), t, x0, y0, *start, SIGMA)
    before, after = (np.hypot(a - x, b - y) for a, b in ((x0, y0), (fit.x_px, fit.y_px)))
    assert np.median(after) < 0.4 * np.median(before)
    assert np.sqrt(np.mean(after**2)) < 0.65 * np.sqrt(np.mean(before**2))
    pull = np.concatenate([fit.x_px - x, fit.y_px - y]) / np.tile(fit.uncertainty_px, 2)
    assert 0.85 < 1.4826 * np.median(np.abs(pull)) < 1.15
    assert np.median(fit.photons / photons) == pytest.approx(1, abs=0.05)


def test_emitters_stay_near_their_start(monkeypatch):
    """A start 3 px from the only emitter may not reach it; photons stay positive."""
    frames = torch.from_numpy(
        expected_image((30, 30), np.array([15.0]), np.array([15.0]), np.array([5000.0]), 10.0)[None]
    ).float()
    at = (np.zeros(1, np.int64), np.array([18.0]), np.array([15.0]))
    monkeypatch.setattr("autods.inference.refine.MAX_MISFIT", np.inf)
    fit = refine_positions(seen(frames), *at, np.array([500.0]), np.array([10.0]), 1.1)
    assert fit.x_px[0] == pytest.approx(18.0 - MAX_SHIFT_PX, abs=1e-4)
    assert fit.photons[0] > 0


def test_a_tight_prior_holds_and_a_missing_one_does_not():
    frames, _, _, x0, y0, start = isolated(np.random.default_rng(6), 1.1, 2000, 10, n=50)
    t = np.arange(50)
    free = refine_positions(seen(frames), t, x0, y0, *start, 1.1)
    missing = refine_positions(seen(frames), t, x0, y0, *start, 1.1, predicted_px=np.full(50, np.nan))
    held = refine_positions(seen(frames), t, x0, y0, *start, 1.1, predicted_px=np.full(50, 1e-3))
    assert np.array_equal(free.x_px, missing.x_px)
    assert np.abs(held.x_px - x0).max() < 0.01 < np.abs(free.x_px - x0).max()


def test_emitters_without_photons_are_left_alone():
    frames, _, _, x0, y0, (photons, background) = isolated(np.random.default_rng(7), 1.1, 2000, 10, n=4)
    photons[2] = 0
    fit = refine_positions(seen(frames), np.arange(4), x0, y0, photons, background, 1.1)
    assert (fit.x_px[2], fit.y_px[2], fit.photons[2]) == (x0[2], y0[2], 0)
    assert np.isinf(fit.uncertainty_px).tolist() == [False, False, True, False]


def test_nothing_to_refine():
    none = np.zeros(0)
    fit = refine_positions(seen(torch.zeros(2, 8, 8)), none.astype(np.int64), none, none, none, none, 1.1)
    assert len(fit.x_px) == 0


def test_the_order_given_and_the_chunks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(8)
    frames, t, x, y, _ = movie(rng, 12, 25, 2000)
    noisy = torch.from_numpy(rng.poisson(frames).astype(np.float32))
    start = start_at(noisy, t, x, y)
    one = refine_positions(seen(noisy), t, x, y, *start, SIGMA)
    monkeypatch.setattr("autods.inference.refine._CHUNK", 40)
    p = rng.permutation(len(t))
    other = refine_positions(seen(noisy), t[p], x[p], y[p], *(a[p] for a in start), SIGMA)
    difference = np.abs(other.x_px - one.x_px[p])
    assert np.quantile(difference, 0.98) < 0.02
    assert np.median(difference) < 1e-4


def test_gradient_and_information_are_those_of_the_likelihood():
    """Against numerical derivatives; the information is the expectation, so the data are their mean."""
    x, y = np.array([8.2, 10.1, 20.4]), np.array([9.3, 10.0, 9.7])
    t = np.zeros(3, np.int64)
    groups = group_emitters(t, x, y, 5.0)
    image = torch.from_numpy(expected_image((20, 28), x, y, np.array([900.0, 500.0, 700.0]), 0.0)[None])
    # The background's variance differs from pixel to pixel, and one pixel tells nothing.
    variance = 8.5 + torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).double()
    valid = torch.ones_like(image, dtype=torch.bool)
    valid[0, 9, 9] = False
    layout = Layout(groups, image.device)
    windows = Windows(image, variance, valid, t, x, y, SIGMA, layout)
    left, top = windows.left.double(), windows.top.double()
    truth = torch.stack([torch.from_numpy(x) - left, torch.from_numpy(y) - top, torch.zeros(3)])
    photons = torch.tensor([900.0, 500.0, 700.0]).double()

    def emitters(parameters):
        return Emitters(parameters[0], parameters[1], photons * parameters[2].exp(), windows.reference_level)

    def objective(parameters):
        return windows.evaluate(emitters(parameters)).objective.sum()

    off = truth + torch.tensor([[0.1, -0.1, 0.2], [0.0, 0.2, -0.1], [0.1, -0.2, 0.05]])
    numeric = torch.autograd.functional.jacobian(objective, off)
    ours = windows.evaluate(emitters(off)).gradient[layout.index["emitter"]].T
    assert torch.allclose(ours, numeric, rtol=1e-2, atol=0.5)
    hessian = torch.autograd.functional.hessian(objective, truth)
    fisher = windows.evaluate(emitters(truth)).fisher
    own = fisher[layout.index["to_own"]]
    for k in range(3):
        assert torch.allclose(own[k], -hessian[:, k, :, k], rtol=1e-2, atol=2)
    first, second = groups.pairs[0]
    assert torch.allclose(
        fisher[layout.index["to_pairs"]][0], -hessian[:, first, :, second], rtol=5e-2, atol=4
    )


def test_groups_hold_what_overlaps_and_are_cut_where_too_large():
    x = np.concatenate([[1.0, 2.0, 30.0], np.arange(100) * 0.9 + 100])
    y, t = np.zeros(103), np.zeros(103, np.int64)
    t[2] = 1
    groups = group_emitters(np.append(t, 1), np.append(x, 1.5), np.append(y, 0.0), 4.0)
    assert groups.group[0] == groups.group[1] != groups.group[2]
    assert groups.group[103] not in groups.group[:103]
    counts = np.bincount(groups.group)
    assert counts.max() <= MAX_GROUP
    assert (groups.size >= counts).all()
    assert (np.diff(groups.size) >= 0).all()
    for group in range(len(counts)):
        assert sorted(groups.slot[groups.group == group]) == list(range(counts[group]))
    assert (groups.group[groups.pairs[:, 0]] == groups.group[groups.pairs[:, 1]]).all()


def test_what_the_model_does_not_describe_is_left_as_the_network_gave_it():
    """Two emitters 2.2 px apart of which one was found: the fit would go astray, the start is kept."""
    rng = np.random.default_rng(9)
    pair = expected_image(
        (24, 24), np.array([10.0, 12.2]), np.array([12.0, 12.0]), np.array([3e3, 3e3]), 10.0
    )
    single = expected_image((24, 24), np.array([11.1]), np.array([12.0]), np.array([6e3]), 10.0)
    frames = torch.from_numpy(rng.poisson(np.stack([pair, single])).astype(np.float32))
    t, x0, y0 = np.arange(2), np.array([10.3, 11.3]), np.array([12.1, 12.1])
    start = start_at(frames, t, x0, y0)
    fit = refine_positions(seen(frames), t, x0, y0, *start, SIGMA, predicted_px=np.array([0.3, 0.1]))
    assert (fit.x_px[0], fit.photons[0], fit.uncertainty_px[0]) == (10.3, start[0][0], 0.3)
    assert abs(fit.x_px[1] - 11.1) < 0.06
    assert fit.uncertainty_px[1] == pytest.approx(bound(6e3, 10.0, SIGMA), rel=0.15)
    alone = refine_positions(seen(frames), t, x0, y0, *start, SIGMA)
    assert alone.x_px[0] == 10.3
    assert alone.uncertainty_px[0] > 2 * alone.uncertainty_px[1]


@pytest.mark.parametrize("apart", [0.1, 0.5, 1.0])
def test_emitters_in_a_row_have_an_error_however_near_they_are(apart):
    """Where pairs share nearly all light, the information is not positive; the error stays a number."""
    rng = np.random.default_rng(9)
    n, rows = 10, 8
    x = np.tile(8 + apart * SIGMA * np.arange(n), rows) + rng.normal(0, 0.05, n * rows)
    y = np.tile(12 + 0.6 * apart * SIGMA * np.arange(n), rows)
    t = np.repeat(np.arange(rows), n)
    light = rng.uniform(200, 5000, n * rows)
    clean = [expected_image((24, 40), x[t == k], y[t == k], light[t == k], 20.0) for k in range(rows)]
    frames = torch.from_numpy(rng.poisson(clean).astype(np.float32))
    start = start_at(frames, t, x, y)
    found = refine_positions(seen(frames, Camera()), t, x, y, *start, SIGMA)
    fitted = found.photons > 0
    assert fitted.sum() > rows
    assert found.uncertainty_px[fitted].min() > 0.005
    assert np.all(found.misfit[fitted] < np.inf)
    settled = fitted & (found.misfit < MAX_MISFIT)
    assert found.uncertainty_px[settled].max() <= SIGMA
