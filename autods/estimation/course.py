"""How the level of a whole movie runs over time, where it does: bleaching, a lamp that warms up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from autods.estimation.noise import pixel_noise
from autods.estimation.validity import Validity
from autods.io.base import Movie

#: Frames looked at, pixels of each, and quantile that tells its level: below most emitters.
_FRAMES, _PIXELS, _QUANTILE = 65, 4096, 0.2
#: Change of the level, in standard deviations of a pixel's noise, from which it counts.
_LEAST_CHANGE = 0.3


@dataclass(frozen=True)
class Course:
    """Level of a movie at some frames, ADU; a single frame stands for a level that does not change."""

    #: (K,) frames in order.
    frame: NDArray[np.float64]
    #: (K,) low quantile of their values, smoothed.
    level: NDArray[np.float64]

    @classmethod
    def measure(cls, movie: Movie, validity: Validity) -> Course:
        """Look at frames spread over a movie."""
        n_frames, flat = movie.shape[0], cls(np.zeros(1), np.zeros(1))
        if n_frames < _FRAMES // 3:
            return flat
        chosen = np.unique(np.linspace(0, n_frames - 1, _FRAMES).round().astype(int))
        step = max(1, math.isqrt(movie.shape[1] * movie.shape[2] // _PIXELS))
        thin = np.concatenate(
            [np.asarray(movie.read(t, t + 1)[:, ::step, ::step], np.float32) for t in chosen.tolist()]
        )
        noise = float(np.median(pixel_noise(np.nan_to_num(thin)))) or 1.0
        values = np.where(validity.of_values(thin, noise), thin, np.nan).reshape(len(chosen), -1)
        good = np.isfinite(values).any(1)
        if good.sum() < _FRAMES // 3:
            return flat
        frame = chosen[good].astype(np.float64)
        level = np.nanquantile(values[good], _QUANTILE, axis=1)
        # Single frames may be black or flash.
        smooth = gaussian_filter1d(median_filter(level, 5, mode="nearest"), 1.0, mode="nearest")
        if np.ptp(smooth) < _LEAST_CHANGE * noise:
            return flat
        return cls(frame, np.asarray(smooth, np.float64))

    @property
    def is_flat(self) -> bool:
        """Whether the level does not change."""
        return len(self.frame) == 1

    def at(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the level at some times (N,), counted in frames, linear in between."""
        return np.interp(time, self.frame, self.level)
