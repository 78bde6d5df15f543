"""Which pixels of a movie measure light: not constant, filled, saturated, clipped away or not finite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autods.io.base import Movie

#: Frames looked at for what a whole movie has in common.
_FRAMES = 24
#: Full scales of analogue-to-digital converters, ADU; the file type's own largest value counts too.
_FULL_SCALES = tuple(2**bits - 1 for bits in (8, 10, 11, 12, 13, 14, 15, 16))
#: Values at the full scale from which it is taken as one, not as chance.
_MIN_SATURATED = 10
#: Share of values at the lowest one from which a movie counts as clipped there.
_MIN_CLIPPED = 0.02
#: A value this many noise standard deviations below the background is no measurement of light.
_MAX_BELOW = 8.0
#: Pixels that tell the typical noise, about.
_MEDIAN_PX = 100_000
#: Noise, ADU, from which a patch of 3 x 3 equal values cannot be chance.
_MIN_NOISE_ADU = 1.2


@dataclass(frozen=True)
class Validity:
    """What tells values that measure light from others."""

    #: Values from here on are saturated, ADU; None where none is known.
    saturation_adu: float | None
    #: Lowest value, at which many are clipped, ADU; None for a movie that is not clipped.
    floor_adu: float | None
    #: What people should know, a line each.
    notes: tuple[str, ...] = ()

    @classmethod
    def measure(cls, movie: Movie) -> Validity:
        """Look at frames spread over a movie."""
        n = movie.shape[0]
        chosen = np.unique(np.linspace(0, n - 1, _FRAMES).round().astype(int)).tolist()
        highest, n_highest, n_values, n_bad, dark, lows = -np.inf, 0, 0, 0, 0, []
        for t in chosen:
            frame = movie.read(t, t + 1)[0]
            finite = np.isfinite(frame)
            n_bad += int((~finite).sum())
            values = frame[finite]
            if not values.size or values.min() == values.max():
                dark += 1
                continue
            top = values.max()
            n_here = int((values == top).sum())
            n_highest = n_here + (n_highest if top == highest else 0) if top >= highest else n_highest
            highest = max(highest, top)
            moving = ~_flat(frame)[finite]
            lows.append((float(values.min()), values[moving]))
            n_values += int(moving.sum())
        saturation = _saturation(movie.dtype, float(highest), n_highest)
        floor = min((low for low, _ in lows), default=0.0)
        at_floor = sum(int((values == floor).sum()) for _, values in lows)
        clipped = n_values > 0 and at_floor > _MIN_CLIPPED * n_values
        notes = []
        if dark:
            notes.append(
                f"{dark} of {len(chosen)} frames looked at hold one value only (black or blank): such frames"
                " count for nothing"
            )
        if n_bad:
            share = 100 * n_bad / (len(chosen) * movie.shape[1] * movie.shape[2])
            notes.append(f"{share:.2g} % of the pixels are not finite and count for nothing")
        if saturation is not None:
            notes.append(
                f"pixels are saturated (at {saturation:g} ADU): they are left out, and what is under them"
                " is not found"
            )
        if clipped:
            notes.append(
                f"{100 * at_floor / n_values:.0f} % of the values are clipped at {floor:g} ADU: noise and dim"
                " molecules below it are lost; use the movie without background subtraction"
            )
        return cls(saturation, floor if clipped else None, tuple(notes))

    def of_values(self, frames: NDArray[Any], noise_adu: float) -> NDArray[np.bool_]:
        """Tell (T, Y, X) which values can measure light, before the background is known.

        Parameters
        ----------
        frames
            (T, Y, X), ADU.
        noise_adu
            Typical standard deviation of the noise, ADU.
        """
        valid = np.isfinite(frames)
        if self.saturation_adu is not None:
            # The neighbours of saturated pixels hold what flowed over.
            full = frames >= self.saturation_adu
            if full.any():
                valid &= ~ndimage.maximum_filter(full, size=(1, 3, 3), mode="constant", cval=False)
        if noise_adu > _MIN_NOISE_ADU:
            flat = np.stack([_flat(frame) for frame in frames]) if len(frames) else valid
            if self.floor_adu is not None:
                flat &= frames != self.floor_adu
            valid &= ~flat
        return np.asarray(valid, bool)

    def of_frames(
        self, frames: NDArray[Any], background: NDArray[np.float32], noise: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Tell (T, Y, X) which values measure light, given background and noise (broadcast), ADU."""
        # Of a long row of numbers every so many tell the middle as well.
        some = noise.ravel()[:: max(1, noise.size // _MEDIAN_PX)]
        typical = float(np.median(some)) if noise.size else 0.0
        valid = self.of_values(frames, typical)
        lowest = np.broadcast_arrays(background, noise, frames)[:2]
        for good, frame, level, spread in zip(valid, frames, *lowest, strict=True):
            good &= frame >= level - _MAX_BELOW * spread
        return valid


def _saturation(dtype: np.dtype[Any], highest: float, count: int) -> float | None:
    """Return the level of saturation if the highest value seen is one."""
    if not np.isfinite(highest):
        return None
    at_type = np.issubdtype(dtype, np.integer) and highest == np.iinfo(dtype).max
    at_scale = highest in _FULL_SCALES and count >= _MIN_SATURATED
    return highest if at_type or at_scale else None


def _flat(frame: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark pixels (Y, X) that belong to some square of 3 x 3 equal values."""
    flat = np.zeros(frame.shape, bool)
    if min(frame.shape) < 3:
        return flat
    right = frame[:, 1:] == frame[:, :-1]
    three = right[:, 1:] & right[:, :-1]
    down = frame[1:, 1:-1] == frame[:-1, 1:-1]
    square = three[2:] & three[1:-1] & three[:-2] & down[1:] & down[:-1]
    if square.any():
        flat[1:-1, 1:-1] = square
        flat = ndimage.maximum_filter(flat, size=3, mode="constant", cval=False)
    return flat
