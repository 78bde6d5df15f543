"""The level under blinking emitters, pixel by pixel, from a stack of frames.

At a pixel the frames without emitter light are normal about the background b with the noise's standard
deviation s; the others lie above. If a share p of the frames is lit, the values below b follow
``P(value < v) = (1 - p) Phi((v - b) / s)``: two low quantiles tell p, and then any low quantile tells b. A
fixed percentile, in contrast, follows the emitters wherever they are often on.

What single pixels show is combined with what the neighbourhood shows, by how much the background is
structured where no emitters are: see :func:`combine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr, ndtri

from autods.estimation.spots import dilate, local_maxima, matched_filter

#: Pairs of quantiles that tell the share of lit frames; the lower ones for more.
_LEVELS = ((0.08, 0.35), (0.04, 0.16), (0.02, 0.08))
#: Values below the lower quantile at least; of few values, that quantile and `_FEW_RATIO` times it.
_MIN_VALUES, _FEW_RATIO, _FEW_HIGHEST = 2.0, 4.0, 0.5
#: Quantile of the unlit frames from which the background is read: low, for the wings of dim light.
_READ_AT = 0.25
#: Share of lit frames up to which a pixel counts in the smooth part, as the power of the unlit share.
_SMOOTH_POWER, _QUIET_POWER = 4, 12
#: Error of the background that a share p of lit frames leaves behind: this times p / (1 - p) of the noise.
_BIAS = 0.25
#: Smoothing lengths in PSF standard deviations: of the share of lit frames, of the smooth background, and of
#: the region whose structure is judged.
_SHARE_SIGMAS, _SMOOTH_SIGMAS, _REGION_SIGMAS = 1.2, 4.0, 10.0
#: Height of a spot that is no background after the matched filter, in units of its noise and of the field's
#: spread.
_SPOT_HEIGHT = 12.0
#: Frames from which a pixel can tell its share of lit frames.
MIN_FRAMES = 25


@dataclass(frozen=True)
class PixelLevels:
    """What each pixel's values over time tell by themselves."""

    #: (Y, X) background.
    level: NDArray[np.float32]
    #: (Y, X) share of the frames with emitter light, 0 to 0.95.
    share: NDArray[np.float32]
    #: (Y, X) standard error of the level, light left behind included.
    error: NDArray[np.float32]


def quantile(
    ordered: NDArray[np.float32], count: NDArray[np.int64], share: NDArray[np.float64] | float
) -> NDArray[np.float32]:
    """Read a quantile of each pixel.

    Parameters
    ----------
    ordered
        (T, Y, X) values in rising order over time; those that do not count last.
    count
        (Y, X) values that count.
    share
        (Y, X) or one number, 0 to 1.
    """
    if isinstance(share, float) and count.size and count.min() == count.max():
        return _same_quantile(ordered, int(count.flat[0]), share)
    position = np.clip(np.asarray(share) * count - 0.5, 0, np.maximum(count - 1, 0))
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    part = (position - low).astype(np.float32)
    first, second = (np.take_along_axis(ordered, index[None], 0)[0] for index in (low, high))
    return np.asarray((1 - part) * first + part * second, np.float32)


def _same_quantile(ordered: NDArray[np.float32], count: int, share: float) -> NDArray[np.float32]:
    """Read the quantile of pixels that all have as many values: two images tell it."""
    last = max(count - 1, 0)
    position = min(max(share * count - 0.5, 0.0), float(last))
    low = int(position)
    part = np.float32(position - low)
    return np.asarray((1 - part) * ordered[low] + part * ordered[min(low + 1, last)], np.float32)


@lru_cache(maxsize=8)
def _spread_of_share(low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of two quantiles, in noise units, for shares of lit frames: (distance, share)."""
    share = np.linspace(0, 0.95, 400)
    share = share[high / (1 - share) < 0.97]
    return ndtri(high / (1 - share)) - ndtri(low / (1 - share)), share


def pixel_levels(
    ordered: NDArray[np.float32],
    count: NDArray[np.int64],
    noise: NDArray[np.float32],
    psf_sigma_px: float,
    clipped: tuple[float, float] | None = None,
) -> PixelLevels:
    """Estimate background and share of lit frames of each pixel.

    Parameters
    ----------
    ordered, count
        See :func:`quantile`.
    noise
        (Y, X) standard deviation without emitters, in the unit of the values.
    psf_sigma_px
        PSF standard deviation, px: the share of lit frames does not vary faster.
    clipped
        Of a movie that is clipped: the floor, and a quantile that lies above it. The level is then the mean
        of what clipping leaves of the noise.
    """
    scale = np.maximum(noise, np.float32(1e-12))
    share = np.zeros(noise.shape)
    n_typical = float(np.median(count[count > 0])) if (count > 0).any() else 0.0
    for low, high in _usable_levels(n_typical):
        distance = (quantile(ordered, count, high) - quantile(ordered, count, low)) / scale
        distance = ndimage.gaussian_filter(distance, _SHARE_SIGMAS * psf_sigma_px)
        share = np.maximum(share, np.interp(distance, *_spread_of_share(low, high)))
    read_at = _READ_AT if n_typical >= MIN_FRAMES else 0.4
    if clipped is not None:
        read_at = clipped[1]
    level = quantile(ordered, count, read_at * (1 - share)) - np.float32(ndtri(read_at)) * scale
    if clipped is not None:
        # Mean of max(floor, x) for normal x.
        above = (level - clipped[0]) / scale
        level = clipped[0] + scale * (np.exp(-0.5 * above**2) / math.sqrt(2 * math.pi) + above * ndtr(above))
    # Standard error of a normal quantile read from the unlit values.
    unlit = np.maximum(count * (1 - share), 1)
    height = math.exp(-0.5 * ndtri(read_at) ** 2) / math.sqrt(2 * math.pi)
    random = scale * math.sqrt(read_at * (1 - read_at)) / height / np.sqrt(unlit)
    bias = _BIAS * scale * share / (1 - share)
    error = np.hypot(random, bias)
    return PixelLevels(*(values.astype(np.float32) for values in (level, share, error)))


def _usable_levels(n_values: float) -> list[tuple[float, float]]:
    """Return the pairs of quantiles that so many values can tell."""
    levels = [pair for pair in _LEVELS if pair[0] * n_values >= _MIN_VALUES]
    low = _MIN_VALUES / max(n_values, 1.0)
    if levels or low >= 0.8 * _FEW_HIGHEST:
        return levels
    return [(round(low, 3), min(round(_FEW_RATIO * low, 3), _FEW_HIGHEST))]


def smooth_level(
    level: NDArray[np.float32], weight: NDArray[np.floating], sigma_px: float
) -> NDArray[np.float32]:
    """Smooth a map (Y, X) by normalized convolution; where nothing has weight, from farther away."""
    weight = np.maximum(weight, 1e-6).astype(np.float64)
    top = ndimage.gaussian_filter(level * weight, sigma_px, mode="nearest", truncate=3.0)
    return np.asarray(
        top / ndimage.gaussian_filter(weight, sigma_px, mode="nearest", truncate=3.0), np.float32
    )


def combine(pixels: PixelLevels, valid: NDArray[np.bool_], psf_sigma_px: float) -> NDArray[np.float32]:
    """Weigh each pixel's own level against that of its neighbourhood.

    The detail, level minus smooth level, is taken as far as it is real: where no emitters are, its variance
    beyond its error is that of the structure of the background, A^2; everywhere the detail then counts with
    ``A^2 / (A^2 + error^2)``, the error growing with the share of lit frames. Patterns of whole columns and
    rows are known more precisely than pixels and taken out before.

    Parameters
    ----------
    pixels
        From :func:`pixel_levels`.
    valid
        (Y, X) pixels that count.
    psf_sigma_px
        PSF standard deviation, px.
    """
    unlit = (1 - pixels.share) * valid
    smooth = smooth_level(pixels.level, unlit**_SMOOTH_POWER, _SMOOTH_SIGMAS * psf_sigma_px)
    quiet = unlit**_QUIET_POWER
    lines = np.zeros_like(smooth)
    for axis in (0, 1):
        lines += _line_pattern(pixels.level - smooth - lines, pixels.error, quiet, axis)
    detail = pixels.level - smooth - lines
    region = _REGION_SIGMAS * psf_sigma_px
    # Single extreme pixels are real too, but say nothing about others.
    bounded = np.minimum(detail**2, 25 * np.median(detail[valid] ** 2) if valid.any() else 0)
    # What is beyond the error, and beyond what chance makes of pure noise in a region.
    significant = np.maximum(smooth_level(bounded - 1.1 * pixels.error**2, quiet, region), 0)
    gain = significant / np.maximum(significant + pixels.error**2, 1e-12)
    outlier = np.abs(detail) > 6 * pixels.error + 3 * np.sqrt(significant)
    gain = np.where(outlier & (pixels.share < 0.3), 1.0, gain)
    return np.asarray(smooth + lines + gain * detail * valid, np.float32)


def _line_pattern(
    detail: NDArray[np.float32], error: NDArray[np.float32], weight: NDArray[np.floating], axis: int
) -> NDArray[np.float32]:
    """Part of a map that whole columns (axis 0) or rows (axis 1) share, shrunk by its own error."""
    total = weight.sum(axis, keepdims=True)
    known = total > 4
    mean = np.where(known, (weight * detail).sum(axis, keepdims=True) / np.maximum(total, 1e-6), 0)
    variance = np.where(
        known, (weight**2 * error**2).sum(axis, keepdims=True) / np.maximum(total, 1e-6) ** 2, 0
    )
    if known.sum() < 8:
        return np.zeros_like(detail)
    noise = float(np.median(variance[known]))
    signal = max(float(np.var(mean[known])) - 2 * noise, 0.0)
    gain = signal / max(signal + noise, 1e-12)
    return np.broadcast_to((gain * mean).astype(np.float32), detail.shape)


def without_spots(
    level: NDArray[np.float32],
    noise: NDArray[np.float32],
    valid: NDArray[np.bool_],
    psf_sigma_px: float,
) -> NDArray[np.float32]:
    """Take spots out of a background: beads that shine in all frames are emitters, not background.

    They are told from structure by their height after a filter of the PSF's shape, far above what the rest of
    the field reaches. What lies under them is what is round them.

    Parameters
    ----------
    level, noise
        (Y, X) background and its noise.
    valid
        (Y, X) pixels that count.
    psf_sigma_px
        PSF standard deviation, px.
    """
    if min(level.shape) < 8 * psf_sigma_px or not valid.any():
        return level
    # Where the background is darkest the noise is least, and any structure would stand out.
    typical = np.float32(np.median(noise[valid]))
    filtered = matched_filter((level / np.maximum(noise, typical))[None], psf_sigma_px)
    spread = 1.4826 * float(np.median(np.abs(filtered[0][valid] - np.median(filtered[0][valid]))))
    peaks = local_maxima(filtered, _SPOT_HEIGHT * max(spread, 1.0)) & valid
    if not peaks.any():
        return level
    # Where a Gaussian of that height has sunk into the noise.
    reach = psf_sigma_px * (1 + math.sqrt(2 * math.log(float(filtered.max()))))
    near = dilate(peaks, math.ceil(reach))[0]
    around = smooth_level(level, valid & ~near, _SMOOTH_SIGMAS * psf_sigma_px)
    return np.where(near & valid, np.minimum(around, level), level)


def window_levels(
    frames: NDArray[np.float32], valid: NDArray[np.bool_], noise: float, side_px: int
) -> NDArray[np.float32]:
    """Estimate a smooth background from few frames: the values of a window take the place of those over time.

    Done twice, the second time on what the first leaves: within a window a slope looks like emitters. Returns
    (Y, X).

    Parameters
    ----------
    frames, valid
        (T, Y, X) values and whether they count.
    noise
        Standard deviation of a value without emitters.
    side_px
        Side of the windows, px; the result is interpolated between their centres.
    """
    total = np.zeros(frames.shape[1:], np.float32)
    for _ in range(2):
        total += _window_levels(frames - total, valid, noise, side_px)
    return total


def _window_levels(
    frames: NDArray[np.float32], valid: NDArray[np.bool_], noise: float, side_px: int
) -> NDArray[np.float32]:
    height, width = frames.shape[1:]
    ny, nx = max(1, round(height / side_px)), max(1, round(width / side_px))
    rows, columns = (np.linspace(0, n, k + 1).round().astype(int) for n, k in ((height, ny), (width, nx)))
    found = np.full((ny, nx), np.nan)
    scale = np.full((1, 1), noise, np.float32)
    for i in range(ny):
        for j in range(nx):
            box = (slice(None), slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1]))
            values = np.sort(frames[box][valid[box]])
            if len(values) >= MIN_FRAMES:
                ordered, count = values.reshape(-1, 1, 1), np.full((1, 1), len(values))
                found[i, j] = pixel_levels(ordered, count, scale, 1e-3).level[0, 0]
    if np.isnan(found).all():
        return np.full((height, width), np.median(frames[valid]) if valid.any() else 0, np.float32)
    index = ndimage.distance_transform_edt(np.isnan(found), return_distances=False, return_indices=True)
    found = found[tuple(index)]
    y = (np.arange(height) + 0.5) / height * ny - 0.5
    x = (np.arange(width) + 0.5) / width * nx - 0.5
    grid = np.meshgrid(y, x, indexing="ij")
    return np.asarray(ndimage.map_coordinates(found, grid, order=1, mode="nearest"), np.float32)
