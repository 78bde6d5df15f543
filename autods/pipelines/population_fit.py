"""The population of which a localizer finds what it finds, by what it finds of populations that are known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from autods.core import LocalizationTable
from autods.metrics.matching import match
from autods.pipelines.population import Population

_Floats = NDArray[np.float64]

#: Distances of what is found from the truth of which it is.
_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
#: Standard deviation of the kernels of the logarithm of photons, and the least density, for outliers.
_KERNEL, _OUTLIER = 0.15, 1e-6
#: Step of the logarithm at which what was found is compared, and bins of the logarithm of true photons.
_STEP, _BIN = 0.1, 0.05
#: Logarithm of photons up to which brighter emitters than any simulated one are taken to be found.
_BRIGHTER = 2.0
#: Width that is expected, the deviation of its logarithm, and the least.
_USUAL_WIDTH, _WIDTH_SPREAD, _LEAST_WIDTH = 0.5, 0.2, 0.1
#: Of what is found, one in so many is independent: an emitter is seen in several frames.
_REPEATED = 2.5
#: By how much whole frames must be likelier than parts of frames.
_LIKELIER = 1.0


@dataclass(frozen=True)
class Tried:
    """What a localizer has found of a population, in as many pixels as in the movie."""

    #: The population.
    population: Population
    #: Logarithm of the true photons (M,) of those that were found, and of what was found of them.
    log_true: _Floats
    log_found: _Floats
    #: The same (F,) of what was found of nothing.
    log_false: _Floats

    @classmethod
    def of(cls, population: Population, truth: LocalizationTable, found: LocalizationTable) -> Tried:
        """Compare what was found with the truth."""
        pairs = match(truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM)
        log_found = np.log(found.photons)
        return cls(
            population,
            np.log(truth.photons[pairs.truth_index]),
            log_found[pairs.found_index],
            np.delete(log_found, pairs.found_index),
        )


def fit_population(
    log_seen: _Floats,
    tried: Sequence[Tried],
    area_um2: float,
    start: Population,
    on_frames: Sequence[float | None],
) -> Population:
    """Return the likeliest population.

    What is found is a Poisson process in the logarithm of its photons. Its density for any population is that
    of what was found of the tried ones, weighted by how much more often the population has such emitters.

    Parameters
    ----------
    log_seen
        Logarithm of the photons (N,) that were found in the movie.
    tried
        Populations near the one sought, simulated and localized.
    area_um2
        All that was looked at of the movie's frames, um^2; as much was simulated of each one tried.
    start
        Where the search begins.
    on_frames
        Frames for which emitters may be on; the first is kept unless another one is clearly likelier.
    """
    found = _Found(log_seen, tried, area_um2)
    fits = [found.likeliest(dataclasses.replace(start, on_frames=frames)) for frames in on_frames]
    best, least = fits[0]
    for other, loss in fits[1:]:
        if loss < least - _LIKELIER:
            best, least = other, loss
    return best


class _Found:
    """What was found in the movie and of tried populations, in bins, as the likelihood needs it."""

    def __init__(self, log_seen: _Floats, tried: Sequence[Tried], area_um2: float) -> None:
        log_true, log_found, log_false = (
            np.concatenate([getattr(one, name) for one in tried])
            for name in ("log_true", "log_found", "log_false")
        )
        reach = 3 * _KERNEL
        at = np.arange(log_seen.min() - reach, log_seen.max() + reach, _STEP)
        # Both are smoothed alike, or the narrower would seem the likelier.
        self._seen = _kernels(at, log_seen).sum(1) * _STEP
        bins, number = np.unique(np.floor(log_true / _BIN), return_inverse=True)
        log_true = (bins + 0.5) * _BIN
        n_found, response = np.bincount(number).astype(float), np.zeros((len(at), len(bins)))
        np.add.at(response.T, number, _kernels(at, log_found).T)
        # Emitters of such photons that were simulated, all tried together, per um^2.
        simulated = sum(
            one.population.density_per_um2 * np.exp(one.population.log_density(log_true)) for one in tried
        )
        # Brighter ones than any that was simulated would be found, too.
        brightest = log_true[-1] if len(log_true) else log_seen.min()
        brighter = brightest + _BIN * np.arange(1, round(_BRIGHTER / _BIN))
        self._log_true = np.concatenate([log_true, brighter])
        self._n_found = np.concatenate([n_found, np.ones(len(brighter))])
        self._response = np.hstack([response, _kernels(at, brighter)])
        self._simulated = np.concatenate([simulated, np.full(len(brighter), 1 / (area_um2 * _BIN))])
        self._n_false = len(log_false) / len(tried)
        self._false = _kernels(at, log_false).sum(1) / len(tried) + _OUTLIER

    def likeliest(self, start: Population) -> tuple[Population, float]:
        """Return the likeliest population with the start's times, and its negative log-likelihood."""

        def population(state: _Floats) -> Population:
            density, median, width = (float(value) for value in np.exp(state))
            return Population(density, median, max(width, _LEAST_WIDTH), start.on_frames)

        def loss(state: _Floats) -> float:
            unlikely = (state[2] - math.log(_USUAL_WIDTH)) / _WIDTH_SPREAD
            return float(self._loss(population(state)) / _REPEATED + 0.5 * unlikely**2)

        state = np.log([start.density_per_um2, start.median_photons, max(start.log_width, _LEAST_WIDTH)])
        simplex = state + np.vstack([np.zeros(3), 0.3 * np.eye(3)])
        options = {"initial_simplex": simplex, "xatol": 0.005, "fatol": 0.01, "maxiter": 400}
        found = minimize(loss, state, method="Nelder-Mead", options=options)  # type: ignore[call-overload]
        return population(found.x), float(found.fun)

    def _loss(self, population: Population) -> float:
        per_simulated = np.exp(population.log_density(self._log_true)) / self._simulated
        weight = population.density_per_um2 * per_simulated
        expected = self._n_found @ weight + self._n_false
        return float(expected - self._seen @ np.log(self._response @ weight + self._false))


def _kernels(at: _Floats, of: _Floats) -> _Floats:
    """Return Gaussian kernels (N, M) round ``of`` (M,) at ``at`` (N,)."""
    return np.exp(-0.5 * ((at[:, None] - of) / _KERNEL) ** 2) / (_KERNEL * math.sqrt(2 * math.pi))
