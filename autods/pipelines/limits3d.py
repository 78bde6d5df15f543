"""Limits of confidence, significance and photons that let in most of a movie's emitters and least else.

The network's own best threshold is that of all it was trained for, and without the fit, which sorts out in
its turn. Frames are simulated with the photons and the density of the movie, and localized with several
thresholds, no emitter of them taken for two; the limits of the highest Jaccard index are taken, that of the
neighbouring limits weighing too, for some hundred emitters scatter. Where molecules overlap, what is none is
a part of another's light: it may be significant, but where all have much the same photons it has too few.
Whether the light of what is left out goes to others while these are fitted, or is taken as it is and left out
in the end, is tried as well: wide images find each other's light, crowds need to have all explained.

The same frames tell how much larger errors are than their bounds, which know of the neighbours that are found
alone.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autods.core import Camera, LocalizationTable
from autods.core.grid import px_to_nm
from autods.inference.observation import Observation
from autods.metrics.matching import match_arrays
from autods.pipelines.blocks import blocks_at_once, side_by_side
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import Limits, VolumeLocalizer, is_inside
from autods.representation import Detections

logger = logging.getLogger(__name__)

#: Confidences and significances that are tried beside the usual ones.
THRESHOLDS, SIGNIFICANCES = (0.1, 0.15, 0.22), (3.0, 4.0, 5.0, 6.0, 8.0)
#: Least photons, in parts of the population's median, in the end; and while emitters are fitted.
PHOTONS, _FITTED_PHOTONS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6), 0.3
#: Emitters that are simulated, in so many frames at least and at most, and the frames' side.
_ENOUGH, _FEWEST, _MOST, _SIDE_PX = 800, 8, 64, 64
_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
#: Over how many steps of threshold, significance and photons the Jaccard index is smoothed.
_SMOOTHED = 0.8
#: Other limits than the usual ones must be better by so many emitters: fewer tell nothing.
_BETTER_BY = 4.0
#: Matched emitters from which errors are compared with their bounds, and the largest factor on these: where
#: emitters are so dense that the nearest is often another one, pairs tell of errors that nobody makes.
_COMPARED, _LARGEST = 50, 1.5
#: Part of the stated variance that is the bound's at least.
_LEAST_BOUND = 0.1

#: What was fitted with some limits, and (N,) which of it is kept.
_Fits = tuple[Detections, torch.Tensor]


def best_limits(
    localizer: VolumeLocalizer,
    known: KnownPsf,
    extent: Extent,
    camera: Camera,
    population: Population,
    noise_std: torch.Tensor,
    threshold: float | None,
    significance: float | None,
) -> dict[str, Any]:
    """Return the best `Limits`, as a dictionary, their Jaccard index and that of the usual ones.

    And ``crowding``, see `PsfFitter.with_crowding`.

    Parameters
    ----------
    localizer
        Network and fit with the usual limits.
    known, extent
        The PSF.
    camera
        Of the movie.
    population
        What the movie holds.
    noise_std
        (T,) noise of some of its frames, photons.
    threshold, significance
        Limits that are given and not to be changed; None for the best.
    """
    usual = localizer.limits
    levels = sorted({usual.threshold, *THRESHOLDS} if threshold is None else {threshold})
    least = sorted({usual.significance, *SIGNIFICANCES} if significance is None else {significance})
    frames = _frames_like_the_movie(known, extent, camera, population, noise_std)
    follow = population.on_frames is not None
    trial = _Trial(localizer, *frames, min(levels), known.model.pixel_size_nm, follow=follow)
    median = population.photons(0.0)
    photons = [share * median for share in PHOTONS]
    fits = trial.all_estimates([Limits(level, least[0]) for level in levels])
    scores = np.array([trial.beyond(fit, least, photons) for fit in fits])
    logger.info("Jaccard index by threshold %s, significance and photons: %s", levels, scores.round(3))
    i, j, k = _highest(scores)
    chosen, score = Limits(levels[i], least[j], photons[k]), float(scores[i, j, k])
    few = _BETTER_BY / max(len(trial.truth), 1)
    dimmest = _FITTED_PHOTONS * median if k > 0 else 0.0
    fitted = [(least[0], dimmest)] * (k > 0) + [(least[j], dimmest)] * (j > 0)
    without = [trial.without_weakest(levels[i], weakest, least, photons) for weakest in fitted]
    logger.info("Jaccard index without the weakest in the fit: %s, with: %.3f", without, score)
    best = max(without, key=lambda one: one[1], default=(chosen, score))
    if best[1] > score - few:
        chosen, score = best
    score_usual = None
    if usual.threshold in levels and usual.significance in least:
        score_usual = float(scores[levels.index(usual.threshold), least.index(usual.significance), 0])
        if score_usual > score - few:
            chosen, score = usual, score_usual
    fit, keep = trial.estimates(chosen, apart=True)
    return {
        **asdict(chosen),
        "jaccard": score,
        "jaccard_usual": score_usual,
        "crowding": _crowding(trial.truth, fit.select(keep), known),
    }


class _Trial:
    """Simulated frames, which may follow each other in time, localized with thresholds from the lowest on."""

    def __init__(
        self,
        localizer: VolumeLocalizer,
        observation: Observation,
        truth: LocalizationTable,
        lowest: float,
        pixel_size_nm: float,
        *,
        follow: bool,
    ) -> None:
        self.localizer, self.observation, self.truth = localizer, observation, truth
        self.pixel_size_nm = pixel_size_nm
        # The network looks once: surer estimates are a part of those at the lowest threshold.
        looks = localizer.with_limits(replace(localizer.limits, threshold=lowest))
        self._first = looks.first_look(observation, slice(None) if follow else None)

    def estimates(self, limits: Limits, *, apart: bool = False) -> _Fits:
        """Return the fits with some limits, and which of them are kept."""
        surer = self._first.select(self._first.confidence >= limits.threshold)
        fit, keep = self.localizer.with_limits(limits).estimates(self.observation, surer, apart=apart)
        return fit, keep & is_inside(fit, self.observation)

    def all_estimates(self, tried: list[Limits]) -> list[_Fits]:
        """Return `estimates` of several limits, made side by side."""
        calls = [functools.partial(self.estimates, limits) for limits in tried]
        return side_by_side(calls, blocks_at_once(self.observation.light.device))

    def without_weakest(
        self, threshold: float, fitted: tuple[float, float], least: list[float], photons: list[float]
    ) -> tuple[Limits, float]:
        """Return the best limits where the fit is without what is less significant or has fewer photons than
        ``fitted``, and their score.
        """
        fits = self.estimates(Limits(threshold, fitted[0], 0.0, *fitted))
        scores = self.beyond(fits, least, photons)
        j, k = _highest(scores)
        return Limits(threshold, max(least[j], fitted[0]), photons[k], *fitted), float(scores[j, k])

    def beyond(self, fits: _Fits, significances: list[float], photons: list[float]) -> NDArray[np.float64]:
        """Return the Jaccard indices (S, P) with limits applied to fits that were made with lower ones."""
        fit, keep = fits
        scores = [
            _jaccard(self.truth, fit.select(keep & Limits(0.0, *least).hold(fit)), self.pixel_size_nm)
            for least in itertools.product(significances, photons)
        ]
        return np.reshape(scores, (len(significances), len(photons)))


def _highest(scores: NDArray[np.float64]) -> tuple[int, ...]:
    """Return where scores are highest, smoothed along each axis."""
    smooth = gaussian_filter(scores, _SMOOTHED, mode="nearest")
    return tuple(int(index) for index in np.unravel_index(smooth.argmax(), smooth.shape))


def _frames_like_the_movie(
    known: KnownPsf, extent: Extent, camera: Camera, population: Population, noise_std: torch.Tensor
) -> tuple[Observation, LocalizationTable]:
    """Return frames that hold enough emitters of the population, and the truth within them."""
    side = max(_SIDE_PX, 2 * extent.light_px)
    per_frame = population.per_px(known.model.pixel_size_nm) * side**2
    n_frames = int(np.clip(math.ceil(_ENOUGH / per_frame), _FEWEST, _MOST))
    noise = noise_std[torch.arange(n_frames, device=noise_std.device) % len(noise_std)]
    return population_frames(known, extent, camera, side, noise)(population, 0, follow=True)


def _jaccard(truth: LocalizationTable, found: Detections, pixel_size_nm: float) -> float:
    matched = len(_matched(truth, found, pixel_size_nm)[0])
    return matched / max(len(truth) + len(found) - matched, 1)


def _matched(
    truth: LocalizationTable, found: Detections, pixel_size_nm: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return (P, 3) errors of those that are found, nm, and (P,) their rows."""
    assert truth.z_nm is not None
    assert found.z_nm is not None
    true = np.stack([truth.x_nm, truth.y_nm, truth.z_nm], 1)
    frame, x_px, y_px = found.places()
    xyz = np.stack([px_to_nm(x_px, pixel_size_nm), px_to_nm(y_px, pixel_size_nm), found.z_nm.numpy()], 1)
    of_truth, rows = match_arrays(truth.frame, true, frame, xyz, _RADIUS_NM, _AXIAL_RADIUS_NM)
    return xyz[rows] - true[of_truth], rows


def _crowding(truth: LocalizationTable, found: Detections, known: KnownPsf) -> tuple[float, float]:
    """Return by which factors lateral and axial errors exceed their bounds, in the middle; at least 1."""
    pixel_nm = known.model.pixel_size_nm
    error, rows = _matched(truth, found, pixel_nm)
    if len(rows) < _COMPARED:
        return 1.0, 1.0
    column = {name: values.numpy()[rows] for name, values in found.columns().items()}
    lateral = px_to_nm(column["uncertainty_px"], pixel_nm)
    stated = np.stack([lateral, lateral, column["uncertainty_z_nm"]], 1)
    if known.error is not None:
        # These frames are made with the PSF that the fit knows.
        lateral, axial = known.error.at(column["z_nm"])
        bound = stated**2 - np.stack([lateral, lateral, axial], 1) ** 2
        stated = np.sqrt(np.maximum(bound, _LEAST_BOUND * stated**2))
    pull = np.abs(error) / stated
    factors = [float(np.clip(1.4826 * np.median(of), 1.0, _LARGEST)) for of in (pull[:, :2], pull[:, 2])]
    return factors[0], factors[1]
