"""Photons and density of a movie's emitters, read off a first pass of the shipped network and the joint fit.

What such a pass finds is not what is there: dim emitters are missed, near ones merged. Frames are therefore
simulated with a log-normal population through the same PSF and noise, and the population is changed until the
same pass finds in them what it finds in the movie (indirect inference: Gourieroux et al., J. Applied
Econometrics 8, S85 (1993)).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera
from autods.inference.observation import Observation
from autods.pipelines.measure3d import Extent, Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer

logger = logging.getLogger(__name__)

#: Pixels that are looked at of sparse and of dense movies, and side of the largest windows.
_MOST_PX, _LOOKED_PX, _SIDE_PX = 250_000, 100_000, 96
#: Emitters that are enough.
_ENOUGH = 150
#: Rounds of simulation, factor on the density in one round at most, and the range of log-normal widths.
ROUNDS, _MOST_CHANGE, _WIDTHS = 3, 4.0, (0.1, 1.5)
_LEAST_FOUND = 10
_SEED = 30_001


@dataclass(frozen=True)
class _Seen:
    """What a pass finds: emitters and their light per pixel, and the logarithm of their photons."""

    per_px: float
    light_per_px: float
    log_photons: float
    log_width: float


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
    rounds
        Simulations that make up for what the pass misses and merges. Below `ROUNDS` only the first windows
        are looked at, in a fraction of the time.
    """
    side, few = observation.light.shape[-1], max(_LOOKED_PX // observation.light[0].numel(), 4)
    photons = localizer(observation[:few]).photons
    if len(photons) >= _ENOUGH or rounds < ROUNDS:
        observation = observation[:few]
    elif len(observation.light) > few:
        photons = np.concatenate([photons, localizer(observation[few:]).photons])
    seen = _summary(photons, observation.light.numel())
    if seen is None:
        return None
    noise = observation.noise_of_frames()
    pixel_um2 = (known.model.pixel_size_nm * 1e-3) ** 2
    state = np.array([math.log(seen.per_px / pixel_um2), seen.log_photons, math.log(seen.log_width)])
    simulate = population_frames(known, extent, camera, side, noise)
    for turn in range(rounds):
        found = localizer(simulate(_population(state))[0]).photons
        simulated = _summary(found, observation.light.numel())
        if simulated is None:
            break
        change = np.array(
            [
                math.log(seen.per_px / simulated.per_px),
                seen.log_photons - simulated.log_photons,
                0.0,
            ]
        )
        # Where emitters merge their number hardly changes any more, but their light does.
        light = math.log(seen.light_per_px / simulated.light_per_px) - change[1]
        change[0] = 0.5 * (change[0] + light)
        state += np.clip(change, -math.log(_MOST_CHANGE), math.log(_MOST_CHANGE))
        # The errors of the fit widen what is seen in both alike: squares of widths add.
        wide = math.exp(2 * state[2]) + seen.log_width**2 - simulated.log_width**2
        state[2] = math.log(min(max(math.sqrt(max(wide, 0.0)), _WIDTHS[0]), _WIDTHS[1]))
        logger.info("first pass, round %d: %s", turn + 1, _population(state))
    return _population(state)


def _population(state: np.ndarray) -> Population:
    return Population(float(np.exp(state[0])), float(np.exp(state[1])), float(np.exp(state[2])))


def _summary(photons: NDArray[np.float64], n_px: int) -> _Seen | None:
    if len(photons) < _LEAST_FOUND:
        return None
    low, middle, high = np.quantile(np.log(photons), [0.1, 0.5, 0.9])
    width = max((high - low) / 2.563, _WIDTHS[0])
    return _Seen(len(photons) / n_px, float(photons.sum()) / n_px, float(middle), float(width))
