"""How the noise of a pixel follows from its level, and its variance where no camera tells it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from autods.core import Camera
from autods.estimation import backdrop
from autods.estimation.noise import dithered, pixel_noise

#: Quantile of the absolute difference of consecutive frames that is read, and that of a standard normal.
_DIFFERENCE_QUANTILE, _NORMAL_QUANTILE = 0.3, 0.385320
#: A pixel whose noise exceeds that of the neighbourhood by this factor is noisier indeed.
_NOISY = 1.6
#: Pixels of similar level whose variance is averaged, at least, and groups of them, at most.
_GROUP, _MAX_GROUPS = 50, 20
#: Variance depends on level where these correlate as much, and it rises by this part of itself.
_MIN_CORRELATION, _MIN_RISE = 0.8, 0.1


@dataclass(frozen=True)
class NoiseModel:
    """Variance without emitters as a function of the level: ``slope * (level - zero) + floor``, ADU^2."""

    #: ADU^2 of variance per ADU of level: gain times excess noise.
    slope: float
    #: Level without light, ADU; a number or a map (Y, X).
    zero: float | NDArray[np.float32]
    #: Variance without light, ADU^2; a number or a map.
    floor: float | NDArray[np.float32]

    @classmethod
    def of_camera(cls, camera: Camera) -> NoiseModel:
        """Return the noise of a camera whose gain and offset are known."""
        per_adu = camera.photons_per_adu
        read = np.asarray(camera.read_noise_photons, np.float32) / np.float32(per_adu)
        # Rounding to whole ADU adds 1 / 12.
        return cls(
            camera.excess_noise_factor / camera.qe / per_adu, camera.offset_adu, np.square(read) + 1 / 12
        )

    def of_rows(self, top: int, bottom: int) -> NoiseModel:
        """Return the model of some rows: maps are cut."""

        def cut(value: float | NDArray[np.float32]) -> float | NDArray[np.float32]:
            return value[top:bottom] if isinstance(value, np.ndarray) and value.ndim == 2 else value

        return NoiseModel(self.slope, cut(self.zero), cut(self.floor))

    def variance(self, level: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the variance at levels (..., Y, X), ADU^2."""
        light = np.maximum(level - np.asarray(self.zero, np.float32), 0)
        return np.asarray(self.slope * light + self.floor, np.float32)


def measured_variance(
    frames: NDArray[np.float32], valid: NDArray[np.bool_], consecutive: NDArray[np.bool_], floor: float | None
) -> NDArray[np.float32]:
    """Variance of each pixel from the differences of consecutive frames; one for all where these cannot tell.

    Returns (Y, X), positive.

    Parameters
    ----------
    frames, valid
        (T, Y, X) values and whether they count.
    consecutive
        (T - 1,) whether a frame follows the one before.
    floor
        Value at which a movie is clipped, None for one that is not.
    """
    if floor is not None:
        return np.full(frames.shape[1:], _clipped_variance(frames, floor), np.float32)
    pairs = np.flatnonzero(consecutive)
    if len(pairs) < 2:
        return np.full(frames.shape[1:], float(np.median(pixel_noise(frames))) ** 2 or 1.0, np.float32)
    difference, added = dithered(frames[pairs + 1] - frames[pairs])
    ordered = np.abs(difference, out=difference)
    count = np.full(ordered.shape[1:], len(pairs))
    if valid.all():
        ordered.sort(axis=0)
    else:
        bad = ~(valid[pairs + 1] & valid[pairs])
        count -= bad.sum(0)
        ordered[bad] = np.inf
        ordered.sort(axis=0)
        ordered[~np.isfinite(ordered)] = 0
    spread = backdrop.quantile(ordered, count, _DIFFERENCE_QUANTILE) / _NORMAL_QUANTILE
    return np.asarray(np.maximum(0.5 * (spread**2 - added), 1e-12), np.float32)


def _clipped_variance(frames: NDArray[np.float32], floor: float) -> float:
    """Variance of normal values of which only those above a floor are kept.

    If a share f of the values lies at the floor, the quantile ``f + (1 - f) / 3`` lies
    ``z(f + (1 - f) / 3) - z(f)`` standard deviations above it.
    """
    share, upper = clipped_quantiles(frames, floor)
    finite = frames[np.isfinite(frames)]
    # Whole numbers stand for half a number on either side of them.
    half = 0.5 if (finite == np.rint(finite)).all() else 0.0
    spread = half * np.random.default_rng(0).uniform(-1, 1, finite.shape)
    distance = float(np.quantile(finite + spread, upper)) - floor - half
    step = float(ndtri(upper) - ndtri(share))
    return max((distance / step) ** 2, 0.25)


def clipped_quantiles(frames: NDArray[np.float32], floor: float) -> tuple[float, float]:
    """Return the share of values (T, Y, X) at a floor, and a quantile of all that lies well above it."""
    share = min(max(float((frames <= floor).mean()), 0.01), 0.97)
    return share, share + (1 - share) / 3


def variance_by_level(
    background: NDArray[np.float32],
    measured: NDArray[np.float32],
    share: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Smooth the measured variance (Y, X) along the background: rising through groups of equal level.

    Single pixels know their variance to some 20 %; a group's median averages over all of them. The variance
    depends on the level only where levels differ enough to show it, and beyond the levels that were seen it
    stays what it was. Pixels that are often lit are left out, for emitters flicker.
    """
    if not usable.any():
        return np.ones_like(background)
    quiet = usable & (share < max(0.3, float(np.quantile(share[usable], 0.2))))
    # A pixel's own noise must not choose its group.
    smooth = ndimage.uniform_filter(background, 5, mode="nearest")
    level, variance = smooth[quiet], measured[quiet]
    typical = float(np.median(variance if len(variance) else measured[usable]))
    if len(level) < 4 * _GROUP:
        return np.full_like(background, typical)
    groups = np.array_split(np.argsort(level), min(_MAX_GROUPS, len(level) // _GROUP))
    x = np.array([level[group].mean() for group in groups], np.float64)
    y = np.array([np.median(variance[group]) for group in groups], np.float64)
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return np.full_like(background, typical)
    slope = float(np.polyfit(x, y, 1)[0])
    if np.corrcoef(x, y)[0, 1] < _MIN_CORRELATION or slope * x.std() < _MIN_RISE * typical:
        return np.full_like(background, typical)
    return np.interp(background, x, np.maximum.accumulate(y)).astype(np.float32)


def noisy_pixels(
    measured: NDArray[np.float32], expected: NDArray[np.float32], well_known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return factors (Y, X) on the variance for single pixels that are much noisier than their neighbours."""
    ratio = measured / expected
    # An emitter that flickers raises its neighbours too.
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    around = ndimage.maximum_filter(ratio, footprint=ring, mode="nearest")
    noisy = well_known & (ratio > _NOISY**2 * np.maximum(around, 1.0))
    return np.where(noisy, ratio, 1.0).astype(np.float32)
