"""Joint maximum-likelihood refinement of overlapping emitters, from the positions that a network found.

An emitter has a position and photons, a group of overlapping emitters one background more; the PSF is a
Gaussian integrated over the pixels. Where the variance is ``v + s * light`` (v: that of the background, s:
excess noise over quantum efficiency), ``(light + v / s) / s`` has the variance of its mean, and is treated as
Poisson (Huang et al., Nature Methods 10, 653 (2013), for read noise). Levenberg-Marquardt steps with the
Fisher information maximise the likelihood (Smith et al., Nature Methods 7, 373 (2010)); its inverse is the
Cramer-Rao bound.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.inference.groups import Groups, group_emitters
from autods.inference.likelihood import MODEL_ERROR, Emitters, Evaluation, Layout, Windows
from autods.inference.observation import Observation

#: Emitters nearer than this share a group, in units of the PSF's standard deviation. Beyond, the
#: information of two positions is coupled by less than 3 %.
LINK_SIGMAS = 5.0
#: An emitter may move by this much in all, and in one step, px.
MAX_SHIFT_PX, MAX_STEP_PX = 1.5, 0.5
#: Excess of chi-squared, in its standard deviations, from which the model is taken not to describe the data.
MAX_MISFIT = 4.0
#: Height over the noise up to which networks judge the error of an emitter, and from which they cannot; and
#: the weight of their word.
_SEEN_SNR, _BRIGHT_SNR, _NETWORK_WEIGHT = 40.0, 150.0, 0.15
#: Photons and background shrink at most to this factor in one step, and stay positive.
_SMALLEST = 0.3
_MIN_COUNTS = 0.01
_MAX_ITERATIONS, _COMMON_ITERATIONS = 10, 3
#: Loss of likelihood that a step may bring: that of neighbouring groups' moves cannot be told from its own.
_SLACK = 0.5
#: A step whose square in units of the standard errors is smaller ends a group's search.
_TOLERANCE = 0.01
_FIRST_DAMPING, _LESS, _MORE = 1e-3, 0.1, 10.0
#: Emitters and pixels worked on at once: small enough for the cache and for sparse movies.
_CHUNK, _CHUNK_PX = 4096, 4_000_000


@dataclass(frozen=True)
class Refined:
    """Refined emitters, arrays of length N."""

    #: Positions, corner pixels.
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    #: Photons of the emitter.
    photons: NDArray[np.float64]
    #: Background under it, photons per pixel.
    background: NDArray[np.float64]
    #: Standard error of the position per axis (root mean square of both), px: the Cramer-Rao bound, with the
    #: places and photons of overlapping emitters unknown; or, where the error is predicted, the mean of both:
    #: geometric for an emitter that is alone (the bound where it is bright), root mean square for others.
    #: Emitters without photons have the predicted error, else infinity.
    uncertainty_px: NDArray[np.float64]
    #: Excess of chi-squared round the emitter, in its standard deviations; infinite where nothing was fitted.
    misfit: NDArray[np.float64]


def refine_positions(
    observation: Observation,
    frame: NDArray[np.int64],
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    photons: NDArray[np.float64],
    background: NDArray[np.float64],
    psf_sigma_px: float,
    *,
    predicted_px: NDArray[np.float64] | None = None,
    model_error: float = MODEL_ERROR,
) -> Refined:
    """Refine positions, photons and background.

    Where the light round an emitter is not what the model makes of it (two emitters taken for one, another
    PSF), the start is kept: a network has seen such cases. Returns `Refined`, in the order given.

    Parameters
    ----------
    observation
        T frames; the fit runs on their device.
    frame
        (N,) index of each emitter's frame, in any order.
    x_px, y_px
        (N,) positions to start from, corner pixels.
    photons, background
        (N,) photons and background per pixel to start from, see `fit_amplitudes`.
    psf_sigma_px
        Standard deviation of the PSF, px.
    predicted_px
        (N,) standard error per axis of the start, which is then a normal prior, px; NaN, or None, for no
        prior.
    model_error
        Error of the PSF's shape that is put up with, in parts of its light.
    """
    prior = np.full(len(frame), np.nan) if predicted_px is None else predicted_px
    result = np.stack([x_px, y_px, photons, background, np.where(np.isfinite(prior), prior, np.inf)])
    misfits = np.full(len(frame), np.inf)
    usable = np.flatnonzero((photons > 0) & np.isfinite(x_px) & np.isfinite(y_px))
    order = usable[np.argsort(frame[usable], kind="stable")]
    max_frames = max(1, _CHUNK_PX // (observation.light.shape[1] * observation.light.shape[2]))
    for rows in _chunks(frame[order], max_frames):
        chosen = order[rows]
        fit = _Fit.set_up(observation, frame[chosen], result[:4, chosen], prior[chosen], psf_sigma_px)
        refined, misfit = fit.run(model_error)
        misfits[chosen] = misfit
        kept = misfit > MAX_MISFIT
        refined[:4, kept] = result[:4, chosen[kept]]
        # What was found lies within the PSF, however little its neighbours' light lets be told.
        bound = np.minimum(refined[4], psf_sigma_px)
        bound = np.where(kept, bound * np.sqrt(misfit.clip(1)), bound)
        refined[4] = _standard_error(bound, prior[chosen], fit.windows.layout.groups, kept, fit.peak_snr())
        result[:, chosen] = refined
    x, y, counts, level, error = result
    return Refined(x, y, counts, level, error, misfits)


def _standard_error(
    bound: NDArray[np.float64],
    predicted: NDArray[np.float64],
    groups: Groups,
    kept: NDArray[np.bool_],
    peak_snr: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Combine the bound, which knows nothing of missed emitters, with the error that the network predicts.

    Where an emitter is alone the network sees what is missed and merged, but overrates the error of bright
    ones, whose amplitudes it is shown compressed: their error is the bound.
    """
    alone = (groups.size == 1)[groups.group]
    ratio = np.log(_BRIGHT_SNR / peak_snr.clip(1e-3)) / np.log(_BRIGHT_SNR / _SEEN_SNR)
    weight = _NETWORK_WEIGHT * ratio.clip(0, 1)
    both = np.where(
        alone, bound ** (1 - weight) * predicted**weight, np.sqrt(0.5 * (bound**2 + predicted**2))
    )
    return np.where(np.isfinite(predicted), np.where(kept, predicted, both), bound)


def _chunks(frame: NDArray[np.int64], max_frames: int) -> list[slice]:
    """Cut sorted frames into ranges of at most `max_frames` and about `_CHUNK` emitters, each frame whole."""
    cuts = [0]
    while cuts[-1] < len(frame):
        first = cuts[-1]
        last = min(frame[min(first + _CHUNK, len(frame)) - 1], frame[first] + max_frames - 1)
        cuts.append(int(np.searchsorted(frame, last, side="right")))
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


@dataclass
class _Fit:
    """One chunk of emitters on its way: windows, parameters, and the prior's centre and weight.

    ``unit`` is how many photons a count stands for, ``background`` (G,) the photons per pixel of each group
    at which its background in counts is ``windows.reference_level``.
    """

    windows: Windows
    emitters: Emitters
    prior: tuple[Tensor, Tensor, Tensor]
    unit: float
    background: Tensor
    damping: Tensor

    def __post_init__(self) -> None:
        self.active = torch.ones_like(self.damping, dtype=torch.bool)
        self.now = self._evaluate(self.emitters)

    @classmethod
    def set_up(
        cls,
        observation: Observation,
        frame: NDArray[np.int64],
        start: NDArray[np.float64],
        prior_px: NDArray[np.float64],
        sigma_px: float,
    ) -> _Fit:
        groups = group_emitters(frame, start[0], start[1], LINK_SIGMAS * sigma_px)
        layout = Layout(groups, observation.light.device)
        first, last = int(frame[0]), int(frame[-1])
        block, unit = observation[first : last + 1], observation.shot
        windows = Windows(
            block.light / unit,
            block.variance / unit**2,
            block.valid,
            frame - first,
            start[0],
            start[1],
            sigma_px,
            layout,
        )
        background = windows.group_mean(block.background)
        emitters = _emitters(start, windows, unit, background)
        weight = _tensor(np.where(np.isfinite(prior_px) & (prior_px > 0), prior_px**-2.0, 0.0), block.light)
        return cls(
            windows,
            emitters,
            (emitters.x, emitters.y, weight),
            unit,
            background,
            torch.full_like(emitters.background, _FIRST_DAMPING),
        )

    def run(self, model_error: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Search, and return (5, n): x, y, photons, background, bound; and (n,) how badly the model fits."""
        self._search(_COMMON_ITERATIONS)
        active = self.active.cpu().numpy()
        result, misfit = self._result(), self._misfit(model_error)
        if active.any():
            # The few that need longer go on alone.
            groups = self.windows.layout.groups
            slow = self._select(active)
            slow._search(_MAX_ITERATIONS - _COMMON_ITERATIONS)
            own = active[groups.group]
            result[:, own], misfit[own] = slow._result(), slow._misfit(model_error)
        return result, misfit

    def _select(self, active: NDArray[np.bool_]) -> _Fit:
        layout = Layout(self.windows.layout.groups.select(active), self.active.device)
        own = self.active[self.windows.layout.index["group"]]
        now = self.emitters
        return _Fit(
            self.windows.select(now, self.active, layout),
            Emitters(now.x[own], now.y[own], now.counts[own], now.background[self.active]),
            (self.prior[0][own], self.prior[1][own], self.prior[2][own]),
            self.unit,
            self.background[self.active],
            self.damping[self.active],
        )

    def _search(self, max_iterations: int) -> None:
        layout = self.windows.layout
        vector_group = layout.index["vector_group"]
        for _ in range(max_iterations):
            damped = self.now.fisher.clone()
            damped[layout.index["diagonal"]] *= 1 + self.damping[vector_group]
            self._add_prior_information(damped)
            step = layout.solve(damped, self.now.gradient) * self.active[vector_group]
            gain = layout.by_group(step * self.now.gradient)
            moved = self._moved(step)
            trial = self._evaluate(moved)
            better = self.active & (trial.objective >= self.now.objective - _SLACK)
            self.emitters = _blend_emitters(better, moved, self.emitters, layout)
            self.now = _blend(better, trial, self.now, layout)
            self.damping *= torch.where(better, _LESS, _MORE)
            self.active &= gain > _TOLERANCE
            if not bool(self.active.any()):
                break

    def _evaluate(self, emitters: Emitters) -> Evaluation:
        """Likelihood and prior; the Fisher information is that of the data alone."""
        layout = self.windows.layout
        x, y, weight = self.prior
        off = torch.stack([emitters.x - x, emitters.y - y], 1) * weight[:, None]
        value = self.windows.evaluate(emitters)
        value.gradient[layout.index["emitter"][:, :2]] -= off
        penalty = 0.5 * (off[:, 0] * (emitters.x - x) + off[:, 1] * (emitters.y - y))
        value.objective.index_add_(0, layout.index["group"], -penalty)
        return value

    def _add_prior_information(self, fisher: Tensor) -> None:
        index = self.windows.layout.index
        fisher[index["diagonal"][index["emitter"][:, :2]]] += self.prior[2][:, None]

    def _moved(self, step: Tensor) -> Emitters:
        """Return the parameters after a step, kept within the trust region."""
        index, now = self.windows.layout.index, self.emitters
        dx, dy, factor = step[index["emitter"]].unbind(1)
        background = now.background + step[index["background"]]

        def shifted(position: Tensor, by: Tensor, start: Tensor) -> Tensor:
            off = position + by.clamp(-MAX_STEP_PX, MAX_STEP_PX) - start
            return start + off.clamp(-MAX_SHIFT_PX, MAX_SHIFT_PX)

        return Emitters(
            shifted(now.x, dx, self.prior[0]),
            shifted(now.y, dy, self.prior[1]),
            (now.counts * (1 + factor.clamp(_SMALLEST - 1, 1 / _SMALLEST - 1))).clamp_min(_MIN_COUNTS),
            torch.maximum(background, _SMALLEST * now.background).clamp_min(_MIN_COUNTS),
        )

    def peak_snr(self) -> NDArray[np.float64]:
        """Return (n,) height of each emitter over the noise of the background."""
        windows = self.windows
        peak = self.emitters.counts / (2 * math.pi * windows.sigma_px**2)
        noise = windows.reference_level.sqrt()[windows.layout.index["group"]]
        return np.asarray((peak / noise.clamp_min(1e-6)).double().cpu().numpy(), np.float64)

    def _misfit(self, model_error: float) -> NDArray[np.float64]:
        return np.asarray(self.windows.misfit(self.emitters, model_error).double().cpu().numpy(), np.float64)

    def _result(self) -> NDArray[np.float64]:
        windows, index = self.windows, self.windows.layout.index
        variance = windows.layout.variances(self.now.fisher)[index["emitter"][:, :2]].mean(1)
        columns = [
            self.emitters.x.double() + windows.left,
            self.emitters.y.double() + windows.top,
            self.emitters.counts * self.unit,
            self._background()[index["group"]],
            variance.sqrt(),
        ]
        return np.asarray(torch.stack([column.double() for column in columns]).cpu().numpy(), np.float64)

    def _background(self) -> Tensor:
        """Photons per pixel (G,) under the emitters of each group."""
        off = (self.emitters.background - self.windows.reference_level) * self.unit
        return (self.background + off).clamp_min(0)


def _tensor(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device, torch.float32)


def _emitters(start: NDArray[np.float64], windows: Windows, unit: float, background: Tensor) -> Emitters:
    """Return the parameters to start from: the background of a group is its emitters' mean."""
    group = windows.layout.groups.group
    level = np.bincount(group, start[3]) / np.bincount(group)
    x, y, counts, mean = (_tensor(a, windows.counts) for a in (*start[:2], start[2] / unit, level))
    level_counts = windows.reference_level + (mean - background) / unit
    return Emitters(
        x - windows.left,
        y - windows.top,
        counts,
        torch.maximum(level_counts, _SMALLEST * windows.reference_level).clamp_min(_MIN_COUNTS),
    )


def _blend(take: Tensor, new: Evaluation, old: Evaluation, layout: Layout) -> Evaluation:
    """Take the groups marked from ``new``, the others from ``old``."""
    index = layout.index
    return Evaluation(
        torch.where(take, new.objective, old.objective),
        torch.where(take[index["vector_group"]], new.gradient, old.gradient),
        torch.where(take[index["matrix_group"]], new.fisher, old.fisher),
    )


def _blend_emitters(take: Tensor, new: Emitters, old: Emitters, layout: Layout) -> Emitters:
    own = take[layout.index["group"]]
    return Emitters(
        torch.where(own, new.x, old.x),
        torch.where(own, new.y, old.y),
        torch.where(own, new.counts, old.counts),
        torch.where(take, new.background, old.background),
    )
