"""Background, noise and dead pixels of a movie at one time, from a stack of frames round it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autods.estimation import backdrop
from autods.estimation.noise import pixel_noise
from autods.estimation.noise_model import (
    NoiseModel,
    clipped_quantiles,
    measured_variance,
    noisy_pixels,
    variance_by_level,
)
from autods.estimation.validity import Validity

#: How the background is found: `auto` weighs time against neighbourhood, `temporal` trusts each pixel's own
#: values over time, `spatial` the neighbourhood alone, `none` takes one level for all pixels.
Method = Literal["auto", "temporal", "spatial", "none"]
METHODS: tuple[Method, ...] = ("auto", "temporal", "spatial", "none")

#: Windows of the spatial estimate, in PSF standard deviations and at least, px.
_WINDOW_SIGMAS, _MIN_WINDOW_PX = 8.0, 8
#: Frames that tell the typical noise, about.
_NOISE_FRAMES = 25
#: Pixels of a filled border or gap at least.
_LEAST_FILLED = 3


@dataclass(frozen=True)
class Knot:
    """Background and variance (Y, X), and pixels that never measure light (Y, X)."""

    background: NDArray[np.float32]
    variance: NDArray[np.float32]
    dead: NDArray[np.bool_]


def window_px(psf_sigma_px: float) -> int:
    """Return the side of the windows of the spatial estimate, px."""
    return max(math.ceil(_WINDOW_SIGMAS * psf_sigma_px), _MIN_WINDOW_PX)


def measure_knot(
    frames: NDArray[np.float32],
    consecutive: NDArray[np.bool_],
    validity: Validity,
    model: NoiseModel | None,
    psf_sigma_px: float,
    method: Method,
) -> Knot:
    """Measure a stack of frames.

    Parameters
    ----------
    frames
        (T, Y, X), ADU.
    consecutive
        (T - 1,) whether a frame follows the one before.
    validity
        What tells valid values.
    model
        How the noise follows from the level; None measures it.
    psf_sigma_px
        PSF standard deviation, px.
    method
        How the background is found.
    """
    shape = frames.shape[1:]
    frames, consecutive = _without_blank(frames, consecutive)
    if not len(frames):
        return Knot(np.zeros(shape, np.float32), np.ones(shape, np.float32), np.ones(shape, bool))
    typical = float(np.median(pixel_noise(frames[:: max(1, len(frames) // _NOISE_FRAMES)]))) or 1.0
    valid = validity.of_values(frames, typical) & ~_filled(frames, typical, validity)
    dead = valid.sum(0) < max(0.1 * len(frames), 1)
    if len(frames) > 1:
        counted: dict[str, Any] = {} if valid.all() else {"where": valid}
        dead |= frames.min(0, initial=np.inf, **counted) >= frames.max(0, initial=-np.inf, **counted)
    if validity.floor_adu is not None:
        # Pixels at the floor throughout are background.
        dead &= ~(frames == validity.floor_adu).all(0)
    valid &= ~dead
    ordered, count = frames - _trend(frames, valid), valid.sum(0)
    if valid.all():
        ordered.sort(axis=0)
    else:
        ordered[~valid] = np.inf
        ordered.sort(axis=0)
        ordered[~np.isfinite(ordered)] = 0
    floor_adu = validity.floor_adu
    clipped = None if floor_adu is None else (floor_adu, clipped_quantiles(frames, floor_adu)[1])
    measured = measured_variance(frames, valid, consecutive, validity.floor_adu)
    usable = count > 0
    share = np.zeros(count.shape, np.float32)
    background = backdrop.quantile(ordered, count, 0.3)

    def variance_now() -> NDArray[np.float32]:
        if model is None:
            return variance_by_level(background, measured, share, usable)
        return model.variance(background)

    for is_last in (False, True):  # the noise follows from the background, and the background needs the noise
        noise = np.sqrt(variance_now())
        pixels = backdrop.pixel_levels(ordered, count, noise, psf_sigma_px, clipped)
        share = pixels.share
        # Over many frames a pixel's own level tells its noise well enough.
        rough = not is_last and len(frames) >= backdrop.MIN_FRAMES
        background = pixels.level if rough else _chosen(pixels, frames, valid, noise, psf_sigma_px, method)
    variance = variance_now()
    well_known = (count > 0.5 * len(frames)) & (len(frames) >= backdrop.MIN_FRAMES)
    variance *= noisy_pixels(measured, variance, well_known)
    floor = 0.05 * float(np.median(variance[~dead])) if (~dead).any() else 1.0
    return Knot(background, np.maximum(variance, max(floor, 1e-12)), dead)


def _chosen(
    pixels: backdrop.PixelLevels,
    frames: NDArray[np.float32],
    valid: NDArray[np.bool_],
    noise: NDArray[np.float32],
    psf_sigma_px: float,
    method: Method,
) -> NDArray[np.float32]:
    """Return the background (Y, X) by the method."""
    usable = np.asarray(valid.any(0), bool)
    if not usable.any():
        return pixels.level
    if method == "none":
        return np.full_like(pixels.level, np.median(pixels.level[usable]))
    pixels = dataclasses.replace(
        pixels, level=backdrop.without_spots(pixels.level, noise, usable, psf_sigma_px)
    )
    if method == "temporal":
        return pixels.level
    if method == "spatial" or len(frames) < backdrop.MIN_FRAMES:
        scale = float(np.median(noise[usable]))
        smooth = backdrop.window_levels(frames, valid, scale, window_px(psf_sigma_px))
        if method == "spatial" or len(frames) < 3:
            return smooth
        centred = dataclasses.replace(pixels, level=pixels.level - smooth)
        return smooth + backdrop.combine(centred, usable, psf_sigma_px)
    return backdrop.combine(pixels, usable, psf_sigma_px)


def _without_blank(
    frames: NDArray[np.float32], consecutive: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Leave out frames of one value; tell which of the others follow each other."""
    low, high = frames.min((1, 2)), frames.max((1, 2))
    if not (np.isfinite(low) & np.isfinite(high)).all():
        finite = np.isfinite(frames)
        low = frames.min((1, 2), where=finite, initial=np.inf)
        high = frames.max((1, 2), where=finite, initial=-np.inf)
    kept = np.flatnonzero(high > low)
    follows = np.array([b == a + 1 and consecutive[a] for a, b in itertools.pairwise(kept)], bool)
    return (frames if len(kept) == len(frames) else frames[kept]), follows


def _trend(frames: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Line through the frames' levels about its middle (T, 1, 1): bleaching is no noise of the pixels."""
    if len(frames) < backdrop.MIN_FRAMES:
        return np.zeros((len(frames), 1, 1), np.float32)
    step = max(1, math.isqrt(frames[0].size // 4096))
    thin = np.where(valid[:, ::step, ::step], frames[:, ::step, ::step], np.nan).reshape(len(frames), -1)
    thin = thin[:, np.isfinite(thin).all(0)]
    if thin.shape[1] < 16:
        return np.zeros((len(frames), 1, 1), np.float32)
    level = np.percentile(thin, 30, axis=1)
    time = np.arange(len(frames)) - (len(frames) - 1) / 2
    slope = float((time * (level - level.mean())).sum() / (time**2).sum())
    return np.asarray(slope * time, np.float32).reshape(-1, 1, 1)


def _filled(frames: NDArray[np.float32], noise: float, validity: Validity) -> NDArray[np.bool_]:
    """Mark (T, Y, X) values far below the frame's level: borders and gaps that were filled.

    The level is the median of a frame's moving pixels; where the background varies by more than that, dark
    places are protected by being dark in all frames without being equal.
    """
    if validity.floor_adu is not None:
        return np.zeros(frames.shape, bool)
    filled = np.zeros(frames.shape, bool)
    for frame, out in zip(frames, filled, strict=True):
        lowest = np.nanmin(frame)
        if not lowest < np.nanmax(frame) - 6 * noise:
            continue
        at_lowest = frame == lowest
        if at_lowest.sum() < _LEAST_FILLED:
            continue
        level = np.nanmedian(frame) if np.isnan(lowest + frame.max()) else _median(frame)
        at_lowest &= lowest < level - 6 * noise
        if at_lowest.any():
            # A filled pixel has filled neighbours; the lowest of a noisy frame is alone.
            neighbours = ndimage.uniform_filter(at_lowest.astype(np.float32), 3, mode="nearest")
            out[:] = at_lowest & (neighbours > 0.25)
    return filled


def _median(values: NDArray[np.float32]) -> float:
    """Return the lower median: NumPy's own looks for not-a-number, and takes ten times as long."""
    middle = (values.size - 1) // 2
    return float(np.partition(values.ravel(), middle)[middle])
