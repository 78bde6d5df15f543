"""Background level and noise of each frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autods.estimation.spots import dilate

#: Quantile of the noise mask's absolute response; below the median, so that a third of the frame under
#: emitters hardly changes it.
_QUANTILE = 0.3
#: That quantile of the absolute value of a standard normal variable.
_NORMAL_QUANTILE = 0.38532
#: Places at which a row of random numbers may begin, see `dithered`.
_DITHER_PX = 65_536


def candidate_background(
    frames: NDArray[np.floating], candidates: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the pixels outside the 5 x 5 neighbourhoods of all candidates.

    Returns ``mean, std``: (T,) each, in the frames' unit; NaN in frames that the neighbourhoods cover.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.
    candidates
        (T, Y, X) bool.
    """
    free = ~dilate(candidates, 2)
    count = free.sum(axis=(-2, -1)).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.where(free, frames, 0).sum(axis=(-2, -1), dtype=np.float64) / count
    residual = np.where(free, frames - mean[:, None, None], 0)
    return mean, np.sqrt((residual**2).sum(axis=(-2, -1), dtype=np.float64) / count)


def pixel_noise(frames: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation of the pixel noise of each frame, from its finest structure.

    The response to the mask [[1, -2, 1], [-2, 4, -2], [1, -2, 1]] vanishes on smooth structure and has 6
    times the noise's standard deviation (Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996)). A low
    quantile of its absolute value stands for the pixels without emitters. Returns (T,) in the frames' unit; 0
    for a constant frame.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit, at least 3 x 3 pixels.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.random.default_rng(0).normal(100, 5, (1, 64, 64))
    >>> pixel_noise(frames).round(0).tolist()
    [5.0]
    """
    low = np.empty(len(frames))
    for number, frame in enumerate(frames):  # one frame stays in the cache
        values = np.asarray(frame, np.float32)
        rows = values[:-2] - 2 * values[1:-1] + values[2:]
        magnitude = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]).ravel()
        index = int(_QUANTILE * (len(magnitude) - 1))
        low[number] = np.partition(magnitude, index)[index]
    return low / (6 * _NORMAL_QUANTILE)


def dithered(difference: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Make differences of whole numbers continuous: quantiles of integers move in steps.

    A triangular random number between -1 and 1, the difference of two rounding errors, is added. Returns
    ``difference, added_variance``: as given and 0 where they are no whole numbers; else with the random
    numbers, and 1 / 6.

    Parameters
    ----------
    difference
        (N, Y, X) of pairs of values.
    """
    part = difference[: max(1, len(difference) // 8)]
    if not len(difference) or not np.array_equal(part, np.rint(part), equal_nan=True):
        return difference, 0.0
    random, smooth = np.random.default_rng(0), np.array(difference, np.float32)
    # A long row of numbers, begun anywhere for each image, is as good as new ones.
    n_pixels = difference[0].size
    row = random.random(n_pixels + _DITHER_PX, np.float32) - random.random(n_pixels + _DITHER_PX, np.float32)
    for image, start in zip(smooth, random.integers(_DITHER_PX, size=len(smooth)), strict=True):
        image += row[start : start + n_pixels].reshape(image.shape)
    return smooth, 1 / 6
