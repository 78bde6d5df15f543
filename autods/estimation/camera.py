"""Rough camera calibration from the movie itself, by photon transfer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.estimation.noise import dithered, pixel_noise
from autods.estimation.spots import dilate, local_maxima, matched_filter

#: Groups of pixels of similar brightness.
_BINS = 24
#: Fewer background samples than this a group are not trusted.
_MIN_SAMPLES = 200
#: Filtered height, in noise units, from which a pixel's surroundings are left out.
_EMITTER_LEVEL = 3.5
#: Median of the squared standard normal variable.
_NORMAL_SQUARE_MEDIAN = 0.454936
#: Largest relative standard error of the slope that is still reported.
_MAX_SLOPE_ERROR = 0.2
#: Share of the levels at either end that are left out in turn, and largest change of the slope then.
_END_SHARE, _MAX_CHANGE = 0.15, 0.3
#: What an emitter reaches, in PSF standard deviations; height from which one is very bright, and its reach.
_REACH_SIGMAS, _BRIGHT_LEVEL, _BRIGHT_REACH_SIGMAS = 3.0, 60.0, 9.0


@dataclass(frozen=True)
class CameraEstimate:
    """What the background's mean and variance say about the camera."""

    #: Slope of the variance over the mean, ADU: gain times excess noise factor; None when the background does
    #: not vary enough to tell it.
    adu_per_photoelectron: float | None
    #: Level at which the fitted variance vanishes, ADU: the offset if there were no read noise, else below
    #: it; None with the slope.
    zero_variance_adu: float | None
    #: Median level and standard deviation of the background, ADU.
    background_adu: float
    noise_adu: float
    #: One line for people: how far to trust it.
    reason: str
    #: Photon transfer, ADU: level and variance of groups of pixels; empty where there were too few.
    levels_adu: tuple[float, ...] = ()
    variances_adu2: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def estimate_camera(
    pairs: NDArray[np.generic], psf_sigma_px: float, valid: NDArray[np.bool_] | None = None
) -> CameraEstimate:
    """Estimate gain and offset from pairs of consecutive frames.

    In pixels away from emitters in both frames, half the squared difference estimates the variance, without
    the pixels' fixed pattern; grouped by the pair's mean it follows the photon transfer line
    ``variance = g F (mean - offset) + read^2`` with gain g (ADU per electron) and excess noise factor F
    (Janesick, Photon Transfer, 2007). Offset and read noise enter its constant together, gain and excess
    noise its slope: neither pair can be separated.

    Frames of one value, pixels that are not valid and the wide surroundings of very bright spots, which reach
    much farther than a molecule's, are left out. A line that one end of the levels alone makes is refused.

    Parameters
    ----------
    pairs
        (2 N, Y, X) in ADU; frames 2 i and 2 i + 1 are consecutive.
    psf_sigma_px
        PSF standard deviation to find the emitters with, pixels.
    valid
        (2 N, Y, X) whether a value measures light; None for all.
    """
    frames = np.asarray(pairs, np.float32)
    frames = frames[: len(frames) // 2 * 2]
    usable = np.ones(frames.shape, bool) if valid is None else valid[: len(frames)].copy()
    blank = np.array([not frame.size or frame.min() == frame.max() for frame in frames], bool)
    both = np.repeat(~(blank[::2] | blank[1::2]), 2)
    frames, usable = frames[both], usable[both]
    noise = pixel_noise(frames) if len(frames) else np.zeros(1)
    if not noise.mean() > 0:
        level = float(np.median(frames)) if frames.size else math.nan
        return CameraEstimate(None, None, level, 0.0, "needs at least two frames with noise")
    usable &= ~dilate(~usable, math.ceil(_REACH_SIGMAS * psf_sigma_px))
    usable &= ~_near_emitters(frames, float(np.median(noise)), psf_sigma_px)
    free = usable[::2] & usable[1::2]
    # Blurred, so that a pixel's own noise does not choose its group and tilt the line.
    mean = _smooth_mean(frames)[free]
    difference, added = dithered(frames[::2] - frames[1::2])
    squared = (0.5 * difference**2)[free]
    level = float(np.median(mean)) if len(mean) else float(np.median(frames))
    if len(mean) < 4 * _MIN_SAMPLES:
        return CameraEstimate(None, None, level, float(noise.mean()), "too few pixels are free of emitters")
    return _fit_line(mean, squared, level, 0.5 * added)


def _near_emitters(frames: NDArray[np.float32], noise: float, psf_sigma_px: float) -> NDArray[np.bool_]:
    """Mark (T, Y, X) what emitters reach: farther the brighter they are."""
    filtered = matched_filter(frames, psf_sigma_px) / np.float32(noise)
    near = dilate(local_maxima(filtered, _EMITTER_LEVEL), math.ceil(_REACH_SIGMAS * psf_sigma_px))
    bright = filtered > _BRIGHT_LEVEL
    if bright.any():
        near |= dilate(bright, math.ceil(_BRIGHT_REACH_SIGMAS * psf_sigma_px))
    return near


def _smooth_mean(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Local background of each pair, from the other pixels around: (N, Y, X)."""
    both = 0.5 * (frames[::2] + frames[1::2])
    total = np.zeros_like(both)
    padded = np.pad(both, ((0, 0), (2, 2), (2, 2)), mode="reflect")
    height, width = both.shape[1:]
    for dy in range(5):
        for dx in range(5):
            total += padded[:, dy : dy + height, dx : dx + width]
    return np.asarray((total - both) / 24, np.float32)


def _fit_line(
    mean: NDArray[np.float32], squared: NDArray[np.float32], level: float, added: float
) -> CameraEstimate:
    n_bins = min(_BINS, len(mean) // _MIN_SAMPLES)
    groups = np.array_split(np.argsort(mean), n_bins)
    x = np.array([mean[group].mean(dtype=np.float64) for group in groups])
    # The median ignores the emitters that were overlooked; for half a squared normal difference its ratio to
    # the variance is known.
    y = np.array([float(np.median(squared[group])) for group in groups]) / _NORMAL_SQUARE_MEDIAN - added
    noise = math.sqrt(float(np.median(y)))
    # Standard error of the median of a squared normal variable, relative to its median: 1.8 / sqrt(n). Levels
    # of little noise must not outweigh all others, whatever their own error.
    error = 1.8 * np.maximum(y, 0.25 * np.median(y)) / np.sqrt([len(group) for group in groups])
    weight = 1 / np.maximum(error, 1e-9 * y.max() + 1e-12) ** 2
    slope, constant, slope_error = _weighted_line(x, y, weight)
    points = tuple(x.tolist()), tuple(y.tolist())
    if slope <= 0 or slope_error > _MAX_SLOPE_ERROR * slope:
        reason = "the background varies too little to tell the gain from the read noise and the offset"
        return CameraEstimate(None, None, level, noise, reason, *points)
    n_end = max(1, round(_END_SHARE * n_bins))
    for part in (slice(n_end, None), slice(None, -n_end)):
        other, _, other_error = _weighted_line(x[part], y[part], weight[part])
        if abs(other - slope) > _MAX_CHANGE * slope + 2 * other_error:
            reason = (
                "the line of variance over level rests on one end of the levels: without it the gain would be"
                f" {abs(other / slope - 1) * 100:.0f} % different"
            )
            return CameraEstimate(None, None, level, noise, reason, *points)
    reason = (
        f"slope known to {100 * slope_error / slope:.0f} %; it includes the excess noise of an EM register,"
        " and the zero level lies below the offset by read noise^2 / slope"
    )
    return CameraEstimate(slope, -constant / slope, level, noise, reason, *points)


def _weighted_line(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return slope, constant and the slope's standard error, scaled to the scatter; 0 without a spread."""
    centre = (weight * x).sum() / weight.sum()
    spread = float((weight * (x - centre) ** 2).sum())
    if not spread > 0:
        return 0.0, float((weight * y).sum() / weight.sum()), math.inf
    slope = float((weight * (x - centre) * y).sum() / spread)
    constant = float((weight * y).sum() / weight.sum()) - slope * float(centre)
    scatter = float((weight * (y - constant - slope * x) ** 2).sum()) / max(len(x) - 2, 1)
    return slope, constant, math.sqrt(max(scatter, 1.0) / spread)
