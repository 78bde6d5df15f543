"""What the paper does before it measures, and how it tells an empty patch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The percentile that the paper subtracts from each frame before measuring.
BACKGROUND_PERCENTILE = 35.0


def preprocess(frames: NDArray[np.generic]) -> NDArray[np.float32]:
    """Subtract each frame's 35th intensity percentile, then its minimum (the paper's preprocessing).

    Returns (T, Y, X) float32, each frame's minimum 0.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.

    Examples
    --------
    >>> import numpy as np
    >>> preprocess(np.arange(4, dtype=np.uint16).reshape(1, 2, 2)).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    values: NDArray[np.float32] = np.array(frames, np.float32)
    level = np.percentile(values, BACKGROUND_PERCENTILE, axis=(-2, -1), keepdims=True)
    values -= level.astype(np.float32)
    values -= values.min(axis=(-2, -1), keepdims=True)
    return values


def has_events_published(patch: NDArray[np.floating], frame_mean: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The paper's test: the 99th percentile exceeds twice the patch's mean and the frame's mean.

    Returns (T,) bool.

    Parameters
    ----------
    patch
        (T, Y, X), preprocessed.
    frame_mean
        (T,) mean of the whole preprocessed frames.
    """
    high = np.percentile(patch, 99, axis=(1, 2))
    return np.asarray((high > 2 * patch.mean(axis=(1, 2))) & (high > frame_mean))
