"""Which slices of a bead stack were recorded, and whether they come in the order of their positions."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

#: A slice with less light over its background than this share of its neighbours' is a dropped frame.
_DARK = 0.1
#: Neighbouring slices resemble each other more than those two apart; the reverse by this much is no chance.
_REVERSED = 0.05
#: Ranges that bead stacks cover, nm.
_RANGE_NM = (100.0, 30_000.0)


def recorded_slices(stack: NDArray[np.floating]) -> tuple[NDArray[np.bool_], list[str]]:
    """Find the slices that hold an image of the beads.

    Returns (Z,) whether to use each slice, and a reason for each that is left out.

    Parameters
    ----------
    stack
        (Z, Y, X) camera values.
    """
    flat = stack.reshape(len(stack), -1).astype(np.float64)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(flat).all(1))
    spread = np.where(finite, np.ptp(np.where(np.isfinite(flat), flat, 0.0), axis=1), 0.0)
    light = _light(stack)
    keep = np.ones(len(stack), bool)
    reasons = []
    for i in range(len(stack)):
        reason = ""
        if not finite[i]:
            reason = "holds values that are not finite"
        elif spread[i] == 0:
            reason = "is black or of one value"
        elif light[i] < _DARK * float(np.median(light[max(i - 2, 0) : i + 3])):
            reason = "holds no light"
        elif i and keep[i - 1] and np.array_equal(flat[i], flat[i - 1]):
            reason = f"is a copy of slice {i - 1}"
        if reason:
            keep[i] = False
            reasons.append(f"slice {i} {reason}")
    return keep, reasons


def _light(stack: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far the brightest hundredth of each slice's pixels lies over its median, beyond what noise does."""
    values = np.nan_to_num(stack.astype(np.float64))
    steps = np.diff(values, axis=2).reshape(len(stack), -1)
    noise = 1.4826 * np.median(np.abs(steps), axis=1) / np.sqrt(2)
    flat = np.sort(values.reshape(len(stack), -1), axis=1)
    n_bright = max(flat.shape[1] // 100, 1)
    # The mean of the highest hundredth of Gaussian noise lies 2.7 standard deviations up.
    bright: NDArray[np.float64] = flat[:, -n_bright:].mean(1) - np.median(flat, axis=1) - 2.7 * noise
    return np.maximum(bright, 0.0)


def warn_about_positions(volume: NDArray[np.floating], z_nm: NDArray[np.float64]) -> None:
    """Warn when the slices of the mean bead do not look like a scan at the stated positions.

    Parameters
    ----------
    volume
        (Z, S, S) mean bead.
    z_nm
        (Z,) stated positions, nm.
    """
    span = float(np.ptp(z_nm))
    if not _RANGE_NM[0] <= span <= _RANGE_NM[1]:
        _log.warning(
            "the bead stack covers %.4g nm in %d slices: is the distance of the slices right, and in nm?",
            span,
            len(z_nm),
        )
    if len(volume) < 8:
        return
    images = volume.reshape(len(volume), -1).astype(np.float64)
    images = images - images.mean(1, keepdims=True)
    images /= np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-12)
    near, far = (float(np.mean(np.sum(images[k:] * images[:-k], axis=1))) for k in (1, 2))
    if near < far - _REVERSED:
        _log.warning(
            "neighbouring slices of the bead stack resemble each other less (%.2f) than those two apart"
            " (%.2f): are the slices in the order of their positions, and of one channel?",
            near,
            far,
        )
