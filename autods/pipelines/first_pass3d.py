"""Photons and density of a movie's emitters, read off a first pass of the shipped network and the joint fit.

What such a pass finds is not what is there: dim emitters are missed, near ones merged. Frames are therefore
simulated with a population through the same PSF and noise, and the population is changed until the same pass
finds in them what it finds in the movie (indirect inference: Gourieroux et al., J. Applied Econometrics 8,
S85 (1993)).
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np

from autods.core import Camera
from autods.inference.observation import Observation
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_fit import Tried, fit_population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer

logger = logging.getLogger(__name__)

#: Pixels that are looked at of sparse and of dense movies, and side of the largest windows.
_MOST_PX, _LOOKED_PX, _SIDE_PX = 250_000, 100_000, 96
#: Emitters that are enough, and for a quick look.
_ENOUGH, _ENOUGH_QUICK = 150, 30
#: Rounds of simulation. Where so many emitters were found in the later ones, the first is left out if its
#: density is off by more than this factor: crowds are found otherwise.
ROUNDS, _POOLED, _CROWDED = 3, 200, 1.5
#: Emitters that are simulated where the movie holds fewer, at a density of so many times its own at most.
_SIMULATED, _DENSER = 150, 2.0
_LEAST_FOUND = 10
#: Width of the photons' distribution to begin with, and the least that is simulated: what is not simulated
#: cannot become likely.
_FIRST_WIDTH, _LEAST_WIDTH = 0.5, 0.3
_SEED = 30_001


def windows(shape: tuple[int, int, int], least_px: int) -> list[tuple[int, int, int, int]]:
    """Return frame, row, column and side of windows spread over field and time, in an order without meaning.

    Parameters
    ----------
    shape
        T, Y, X of the movie.
    least_px
        Side that holds the PSF, px.
    """
    n_frames, height, width = shape
    side = min(height, width, max(_SIDE_PX, 2 * least_px))
    count = min(max(_MOST_PX // side**2, 4), n_frames)
    rng = np.random.default_rng(_SEED)
    frames = rng.permutation(np.unique(np.linspace(0, n_frames - 1, count).round().astype(int)))
    places = rng.random((len(frames), 2))
    return [
        (int(t), int(y * (height - side + 1)), int(x * (width - side + 1)), side)
        for t, (y, x) in zip(frames, places, strict=True)
    ]


def measure_population(
    observation: Observation,
    localizer: VolumeLocalizer,
    known: KnownPsf,
    extent: Extent,
    camera: Camera,
    *,
    on_frames: float,
    rounds: int = ROUNDS,
) -> Population | None:
    """Find the population that explains what a pass finds in some windows; None where it finds too little.

    Parameters
    ----------
    observation
        Windows (T, S, S) of the movie, see `windows`.
    localizer
        The shipped network that is told the PSF, and the fit.
    known, extent
        The PSF.
    camera
        Of the movie.
    on_frames
        Frames for which an emitter is on, on average; whether emitters are on for parts of frames at all,
        what is found tells.
    rounds
        Simulations that make up for what the pass misses and merges. Below `ROUNDS` fewer emitters are
        enough, in a fraction of the time.
    """
    side, few = observation.light.shape[-1], max(_LOOKED_PX // observation.light[0].numel(), 4)
    photons = localizer(observation[:few]).photons
    if len(photons) >= (_ENOUGH_QUICK if rounds < ROUNDS else _ENOUGH):
        observation = observation[:few]
    elif len(observation.light) > few:
        photons = np.concatenate([photons, localizer(observation[few:]).photons])
    if len(photons) < _LEAST_FOUND:
        return None
    pixel_um2 = (known.model.pixel_size_nm * 1e-3) ** 2
    area_um2 = observation.light.numel() * pixel_um2
    times = (on_frames, None)
    population = Population(len(photons) / area_um2, float(np.median(photons)), _FIRST_WIDTH, times[0])
    simulate = population_frames(known, extent, camera, side, observation.noise_of_frames())
    tried: list[Tried] = []
    for turn in range(rounds):
        density = population.density_per_um2
        simulated = dataclasses.replace(
            population,
            density_per_um2=max(density, min(_SIMULATED / area_um2, _DENSER * density)),
            log_width=max(population.log_width, _LEAST_WIDTH),
        )
        frames, truth = simulate(simulated, turn)
        tried.append(Tried.of(simulated, truth, localizer(frames)))
        while sum(len(one.log_found) for one in tried[1:]) >= _POOLED and _is_off(tried[0], density):
            tried.pop(0)
        population = fit_population(np.log(photons), tried, area_um2, population, times)
        logger.info("first pass, round %d: %s", turn + 1, population)
    return population


def _is_off(tried: Tried, density_per_um2: float) -> bool:
    ratio = tried.population.density_per_um2 / density_per_um2
    return max(ratio, 1 / ratio) > _CROWDED
