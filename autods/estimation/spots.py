"""Emitter candidates: threshold and local maxima, over all frames at once.

The published measurement works on the frames themselves; :func:`matched_filter` serves the corrected one.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: k of the paper's threshold, eq. 1.
PUBLISHED_K = 3.0

#: Pixels that are blurred at once: what stays in the cache.
_CACHED_PX = 262_144
#: Further blur that makes the surround from the PSF, in PSF standard deviations: its width is then 2.5.
_SURROUND_BLUR = math.sqrt(2.5**2 - 1)


def detection_threshold(frames: NDArray[np.floating], k: float = PUBLISHED_K) -> NDArray[np.float64]:
    """Threshold ``T = mean + k * std`` of each frame (the paper's eq. 1).

    Returns (T,) in the frames' unit.

    Examples
    --------
    >>> import numpy as np
    >>> detection_threshold(np.array([[[1.0, 1.0], [1.0, 5.0]]]), k=3.0).round(3).tolist()
    [7.196]
    """
    mean = frames.mean(axis=(-2, -1), dtype=np.float64)
    return np.asarray(mean + k * frames.std(axis=(-2, -1), dtype=np.float64))


def local_maxima(frames: NDArray[np.floating], threshold: float | NDArray[np.floating]) -> NDArray[np.bool_]:
    """Mark the pixels above a threshold that no pixel of their 3 x 3 neighbourhood exceeds.

    Of equal neighbours only the last in reading order is marked, so that a flat top of two pixels, common in
    integer data, counts once. Returns (T, Y, X) bool.

    Parameters
    ----------
    frames
        (T, Y, X).
    threshold
        One for all, or (T,).

    Examples
    --------
    >>> import numpy as np
    >>> frame = np.zeros((1, 5, 5))
    >>> frame[0, 2, 3] = 9.0
    >>> np.argwhere(local_maxima(frame, 1.0)).tolist()
    [[0, 2, 3]]
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
    standard deviation s, up to the border. Returns (T, Y, X) float32 in the frames' unit.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.
    psf_sigma_px
        PSF standard deviation, pixels.
    """
    values = _without_plane(np.asarray(frames, np.float32))
    near = blur(values, psf_sigma_px)
    # Blurring the narrow image further is cheaper than a second wide blur of the frames.
    far = blur(near, psf_sigma_px * _SURROUND_BLUR)
    height, width = values.shape[1:]
    return (near - far) / _noise_gain(height, width, round(psf_sigma_px, 3))


def _without_plane(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract each frame's least-squares plane, whose kink at a mirroring border would look like light."""
    height, width = frames.shape[1:]
    y, x = (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2) for n in (height, width))
    by_row, by_column = frames.mean(axis=2), frames.mean(axis=1)
    slope_y = by_row @ y / max(float(y @ y), 1.0)
    slope_x = by_column @ x / max(float(x @ x), 1.0)
    plane = slope_y[:, None, None] * y[:, None] + slope_x[:, None, None] * x
    level = by_row.mean(axis=1)[:, None, None]
    return np.asarray(frames - (plane + level), np.float32)


def blur(frames: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur frames (T, Y, X) with a Gaussian cut off at three standard deviations; borders mirror.

    What `scipy.ndimage.gaussian_filter` does, in single precision and in a third of the time.
    """
    out = np.empty(frames.shape, np.float32)
    step = max(1, _CACHED_PX // max(frames[0].size if len(frames) else 1, 1))
    for start in range(0, len(frames), step):
        part = torch.from_numpy(np.ascontiguousarray(frames[start : start + step], np.float32))
        blurred = _blur_along(_blur_along(part, sigma_px, 2), sigma_px, 1)
        out[start : start + step] = blurred.numpy()
    return out


def _blur_along(values: Tensor, sigma_px: float, axis: int) -> Tensor:
    weights = _gaussian_weights(sigma_px)
    reach, length = len(weights) - 1, values.shape[axis]
    # Mirrored so that the value at the border counts twice, as often as a short line asks for.
    inside = np.arange(-reach, length + reach) % (2 * length)
    border = torch.from_numpy(np.minimum(inside, 2 * length - 1 - inside))
    before, after = border[:reach], border[length + reach :]
    padded = torch.cat([values.index_select(axis, before), values, values.index_select(axis, after)], axis)
    out, pair = values * weights[0], torch.empty_like(values)
    for step, weight in enumerate(weights[1:], 1):
        torch.add(
            padded.narrow(axis, reach - step, length), padded.narrow(axis, reach + step, length), out=pair
        )
        out.add_(pair, alpha=weight)
    return out


@lru_cache(maxsize=64)
def _gaussian_weights(sigma_px: float) -> list[float]:
    """Return the middle and one half of a Gaussian that is cut off at three standard deviations."""
    steps = np.arange(int(3 * sigma_px + 0.5) + 1)
    weights = np.exp(-0.5 * (steps / sigma_px) ** 2)
    return [float(weight) for weight in weights / (2 * weights.sum() - weights[0])]


@lru_cache(maxsize=64)
def _noise_gain(height: int, width: int, psf_sigma_px: float) -> NDArray[np.float32]:
    """Standard deviation (Y, X) of the unscaled filter's response to unit white noise.

    It is larger along the border, where mirroring counts pixels twice.
    """
    (near_y, far_y, both_y), (near_x, far_x, both_x) = (
        _line_energy(n, psf_sigma_px) for n in (height, width)
    )
    energy = np.outer(near_y, near_x) + np.outer(far_y, far_x) - 2 * np.outer(both_y, both_x)
    return np.sqrt(energy).astype(np.float32)


def _line_energy(n: int, psf_sigma_px: float) -> tuple[NDArray[np.float64], ...]:
    """Energies along one axis of the narrow kernel and the wide one, and their overlap: three times (n,)."""
    reach = math.ceil(3 * psf_sigma_px * (1 + _SURROUND_BLUR)) + 2
    side = min(n, 2 * reach + 1)
    spot = _blur_along(torch.eye(side)[None], psf_sigma_px, 1)
    near, far = (a[0].numpy() for a in (spot, _blur_along(spot, psf_sigma_px * _SURROUND_BLUR, 1)))
    # All pixels farther than the kernel's reach from the border are like the middle one.
    same = np.clip(np.arange(n), 0, side // 2) + np.clip(np.arange(n) - (n - side + side // 2), 0, None)
    energies = [(a.astype(np.float64) * b).sum(1) for a, b in ((near, near), (far, far), (near, far))]
    return tuple(energy[same] for energy in energies)


def dilate(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Grow each marked pixel of (T, Y, X) to a square of side ``2 * radius_px + 1`` in its frame.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((1, 5, 5), bool)
    >>> mask[0, 2, 2] = True
    >>> int(dilate(mask, 1).sum())
    9
    """
    grown = mask.copy()
    for axis in (1, 2):
        line = np.moveaxis(grown, axis, -1)
        seed = line.copy()
        for step in range(1, min(radius_px, seed.shape[-1] - 1) + 1):
            line[..., step:] |= seed[..., :-step]
            line[..., :-step] |= seed[..., step:]
    return grown
