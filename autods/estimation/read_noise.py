"""Read noise of a camera of known gain, from the finest structure of a movie's darker pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Share of the pixels, the darker ones, that are looked at, and how many there must be.
_DARKER, _LEAST_PX = 0.5, 500
#: Quantile of the absolute response that is read, and that of a standard normal variable.
_QUANTILE, _NORMAL_QUANTILE = 0.3, 0.38532
#: Halvings of the range in which the variance is sought.
_HALVINGS = 40


def read_noise_photons(photons: NDArray[np.float32], shot: float) -> float:
    """Return the standard deviation of the noise that light does not explain, photons.

    Light is as smooth as the PSF; the mask [[1, -2, 1], [-2, 4, -2], [1, -2, 1]] hardly responds to it
    (Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996)), and a low quantile less still. The light's own
    noise follows from the light: no emitter need be known, and no pixel be without any.

    Parameters
    ----------
    photons
        (T, Y, X) frames.
    shot
        Variance that each photon adds.

    Returns
    -------
    float
        0 where light explains all noise, or too few pixels tell.
    """
    line = np.array([1.0, -2.0, 1.0], np.float32)
    mask = line[:, None] * line
    whole = np.isfinite(photons)
    values = np.where(whole, photons, 0).astype(np.float32)
    response, light = (
        ndimage.correlate(values, kernel[None], mode="nearest")[:, 1:-1, 1:-1] for kernel in (mask, mask**2)
    )
    usable = ndimage.minimum_filter(whole, (1, 3, 3))[:, 1:-1, 1:-1]
    size, variance = np.abs(response[usable]), shot * light[usable].clip(0)
    if len(size) * _DARKER < _LEAST_PX:
        return 0.0
    darker = variance <= np.quantile(variance, _DARKER)
    size, variance = size[darker].astype(np.float64), variance[darker].astype(np.float64)
    gain = float((mask**2).sum())
    low, high = 0.0, float(np.mean(size**2)) / gain * 4
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        scaled = size / np.sqrt(np.maximum(variance + gain * middle, 1e-12))
        wider = float(np.quantile(scaled, _QUANTILE)) > _NORMAL_QUANTILE
        low, high = (middle, high) if wider else (low, middle)
    return math.sqrt(low)
