"""Emitter candidates: preprocessing, threshold and local maxima, over all frames at once.

The published measurement works on the frames themselves; :func:`matched_filter` serves the corrected one.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: The percentile that the paper subtracts from each frame before measuring.
BACKGROUND_PERCENTILE = 35.0
#: k of the paper's threshold, eq. 1.
PUBLISHED_K = 3.0

#: Width of the local background of the matched filter, in PSF standard deviations.
_SURROUND = 2.5


def preprocess(frames: NDArray[np.generic]) -> NDArray[np.float32]:
    """Subtract each frame's 35th intensity percentile, then its minimum (the paper's preprocessing).

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.

    Returns
    -------
    ndarray
        (T, Y, X) float32, each frame's minimum 0.
    """
    values: NDArray[np.float32] = np.array(frames, np.float32)
    level = np.percentile(values, BACKGROUND_PERCENTILE, axis=(-2, -1), keepdims=True)
    values -= level.astype(np.float32)
    values -= values.min(axis=(-2, -1), keepdims=True)
    return values


def detection_threshold(frames: NDArray[np.floating], k: float = PUBLISHED_K) -> NDArray[np.float64]:
    """Threshold ``T = mean + k * std`` of each frame (the paper's eq. 1).

    Returns
    -------
    ndarray
        (T,) in the frames' unit.
    """
    mean = frames.mean(axis=(-2, -1), dtype=np.float64)
    return np.asarray(mean + k * frames.std(axis=(-2, -1), dtype=np.float64))


def local_maxima(frames: NDArray[np.floating], threshold: float | NDArray[np.floating]) -> NDArray[np.bool_]:
    """Mark the pixels above a threshold that no pixel of their 3 x 3 neighbourhood exceeds.

    Of equal neighbours only the last in reading order is marked, so that a flat top of two pixels, common in
    integer data, counts once.

    Parameters
    ----------
    frames
        (T, Y, X).
    threshold
        One for all, or (T,).

    Returns
    -------
    ndarray
        (T, Y, X) bool.
    """
    limit = np.asarray(threshold, frames.dtype).reshape(-1, 1, 1)
    found = frames > limit
    height, width = frames.shape[1:]
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        rows, later_rows = slice(0, height - dy), slice(dy, height)
        columns, later_columns = slice(max(-dx, 0), width - max(dx, 0)), slice(max(dx, 0), width + min(dx, 0))
        rises = frames[:, rows, columns] <= frames[:, later_rows, later_columns]
        found[:, rows, columns] &= ~rises
        found[:, later_rows, later_columns] &= rises
    return found


def matched_filter(frames: NDArray[np.floating], psf_sigma_px: float) -> NDArray[np.float32]:
    """Correlate with the PSF minus its surround: white noise keeps its standard deviation.

    The kernel is a Gaussian of the PSF's width minus a wider one of the same sum, so that a background that
    varies slowly disappears, scaled to unit energy: the response to noise of standard deviation s has
    standard deviation s.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.
    psf_sigma_px
        PSF standard deviation, pixels.

    Returns
    -------
    ndarray
        (T, Y, X) float32 in the frames' unit.
    """
    values = np.asarray(frames, np.float32)
    near = _blur(values, psf_sigma_px)
    # Blurring the narrow image further is cheaper than a second wide blur of the frames.
    far = _blur(near, psf_sigma_px * math.sqrt(_SURROUND**2 - 1))
    return (near - far) / np.float32(_filter_gain(round(psf_sigma_px, 3)))


def _blur(frames: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    blurred = ndimage.gaussian_filter1d(frames, sigma_px, axis=-1, mode="reflect", truncate=3.0)
    return np.asarray(ndimage.gaussian_filter1d(blurred, sigma_px, axis=-2, mode="reflect", truncate=3.0))


@lru_cache(maxsize=64)
def _filter_gain(psf_sigma_px: float) -> float:
    """Root of the energy of the unscaled matched filter."""
    side = 2 * math.ceil(12 * psf_sigma_px) + 1
    impulse = np.zeros((1, side, side), np.float32)
    impulse[0, side // 2, side // 2] = 1
    near = _blur(impulse, psf_sigma_px)
    far = _blur(near, psf_sigma_px * math.sqrt(_SURROUND**2 - 1))
    return float(np.sqrt(((near - far) ** 2).sum(dtype=np.float64)))


def dilate(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Grow each marked pixel of (T, Y, X) to a square of side ``2 * radius_px + 1`` in its frame."""
    side = 2 * radius_px + 1
    return np.asarray(ndimage.maximum_filter(mask, size=(1, side, side), mode="constant", cval=0), bool)
