"""Emitters that are on for parts of frames, and the population of which some are found."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from autods.core import Camera, OpticalSystem
from autods.optics import PSF_MODELS, tabulate
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population, draw_shares, on_shares
from autods.pipelines.population_fit import Tried, fit_population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf

_AREA_UM2, _DIMMEST = 2500.0, 900.0


@pytest.mark.parametrize("on_frames", [0.5, 3.0])
def test_shares_are_those_of_molecules_that_appear_at_any_time(on_frames: float) -> None:
    rng, n = np.random.default_rng(1), 300_000
    # Molecules of a long time, and how much of the frame from 0 to 1 each is on.
    start = rng.uniform(-30 * on_frames, 1, n)
    share = np.minimum(start + rng.exponential(on_frames, n), 1) - np.maximum(start, 0)
    share = share[share > 0]
    drawn = draw_shares((50_000,), on_frames, torch.Generator().manual_seed(2)).numpy()
    log_share, probability = on_shares(on_frames)
    assert probability.sum() == pytest.approx(1.0)
    for limit in (0.2, 0.5, 0.8, 0.999):
        assert (drawn < limit).mean() == pytest.approx((share < limit).mean(), abs=0.02)
        assert probability[log_share < math.log(limit)].sum() == pytest.approx(
            (share < limit).mean(), abs=0.04
        )


def test_photons_by_rank_and_their_density_agree_with_draws() -> None:
    whole = Population(0.1, 2000.0, 0.4)
    assert whole.photons(0.0) == pytest.approx(2000.0)
    assert whole.photons(1.5) == pytest.approx(2000.0 * math.exp(0.6), rel=1e-4)
    parts = dataclasses.replace(whole, on_frames=2.0)
    photons = _drawn(parts, 200_000, 3)
    for deviations, below in ((-1.0, 0.1587), (0.0, 0.5), (2.0, 0.9772)):
        assert parts.photons(deviations) == pytest.approx(np.quantile(photons, below), rel=0.04)
    log_photons = np.linspace(-2.0, 12.0, 3000)
    density = np.exp(parts.log_density(log_photons))
    assert np.trapezoid(density, log_photons) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "true",
    [
        Population(0.03, 2000.0, 0.5, 3.0),
        Population(0.3, 1500.0, 0.4, 3.0),
        Population(0.1, 2400.0, 0.1, None),
        Population(1.0, 5000.0, 0.5, 1.5),
    ],
)
def test_population_is_found_though_dim_emitters_are_missed(true: Population) -> None:
    ratios = []
    for seed in range(100, 106):
        seen = _found(true, seed)
        log_seen = np.concatenate([seen.log_found, seen.log_false])
        found = Population(len(log_seen) / _AREA_UM2, float(np.exp(np.median(log_seen))), 0.5, 2.0)
        tried: list[Tried] = []
        for turn in range(3):
            tried.append(_found(dataclasses.replace(found, log_width=max(found.log_width, 0.3)), turn))
            found = fit_population(log_seen, tried, _AREA_UM2, found, (true.on_frames or 2.5, None))
        assert found.on_frames == true.on_frames
        ratios.append([found.density_per_um2 / true.density_per_um2, found.photons(0.0) / true.photons(0.0)])
    assert np.exp(np.mean(np.log(ratios), 0)) == pytest.approx(1.0, abs=0.15)
    assert np.abs(np.log(ratios)).max() < math.log(1.6)


def _drawn(population: Population, n: int, seed: int) -> np.ndarray:
    spread = np.random.default_rng(seed).standard_normal(n)
    photons = population.median_photons * np.exp(population.log_width * spread)
    if population.on_frames is not None:
        photons *= draw_shares((n,), population.on_frames, torch.Generator().manual_seed(seed)).numpy()
    return photons


def _found(population: Population, seed: int) -> Tried:
    """Find bright emitters with errors of a sixth of their photons, and a few where there are none."""
    rng = np.random.default_rng(seed)
    log_true = np.log(_drawn(population, rng.poisson(population.density_per_um2 * _AREA_UM2), seed))
    log_true = log_true[log_true > math.log(_DIMMEST) + 0.15 * rng.standard_normal(len(log_true))]
    log_found = log_true + 0.15 * rng.standard_normal(len(log_true))
    return Tried(population, log_true, log_found, np.log(rng.uniform(400, 900, rng.poisson(5))))


@pytest.mark.parametrize("on_frames", [0.7, 2.0, 8.0])
def test_frames_that_follow_each_other_hold_the_same_population(on_frames: float) -> None:
    psf = PSF_MODELS["astigmatism"](OpticalSystem(110.0, 660.0, 1.3))
    known = KnownPsf(tabulate(psf, -400.0, 400.0, 50.0, 25), (-400.0, 400.0))
    population, n_frames = Population(0.5, 1000.0, 0.4, on_frames), 150
    simulate = population_frames(known, Extent.of(known), Camera(), 96, torch.full((n_frames,), 5.0))
    (_, alone), (_, follow) = (simulate(population, 3, follow=follow) for follow in (False, True))
    assert len(follow) / len(alone) == pytest.approx(1.0, abs=0.12)
    assert np.median(follow.photons) / np.median(alone.photons) == pytest.approx(1.0, abs=0.12)
    frames: dict[float, set[int]] = {}
    for frame, x_nm in zip(follow.frame, follow.x_nm, strict=True):
        frames.setdefault(float(x_nm), set()).add(int(frame))
    again = sum(frame + 1 in own for own in frames.values() for frame in own if frame < n_frames - 1)
    seen = sum(frame < n_frames - 1 for own in frames.values() for frame in own)
    # Whoever is on when a frame ends is on in the next.
    assert again / seen == pytest.approx(on_frames / (on_frames + 1), abs=0.06)
    assert len(set(alone.x_nm)) > 0.99 * len(alone)
