"""The emitters of a movie in a frame: how many there are, and how bright."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

_Floats = NDArray[np.float64]

#: Shares of a frame between which the light of emitters that are on for a part of it is summed.
_SHARE_EDGES = np.concatenate([[0.0], np.geomspace(0.01, 1.0, 51)])


@dataclass(frozen=True)
class Population:
    """Emitters of a movie in a frame: their density, and the distribution of their photons.

    An emitter that is on for the whole frame has photons of a log-normal distribution. Emitters switch on and
    off at any time: one that is on for a part of the frame has that part of them. Photons are those of the
    table: within the beads' cut-out.
    """

    #: Emitters per um^2, however short they are on.
    density_per_um2: float
    #: Of those that are on for the whole frame: median and standard deviation of the logarithm.
    median_photons: float
    log_width: float
    #: Frames for which an emitter is on, on average; None where all are on for whole frames.
    on_frames: float | None = None

    def photons(self, deviations: float) -> float:
        """Return the photons that rank as so many standard deviations above the median of a normal one."""
        if self.on_frames is None:
            return self.median_photons * math.exp(deviations * self.log_width)
        log_share, probability = on_shares(self.on_frames)
        middle = math.log(self.median_photons) + log_share

        def beyond(log_photons: float) -> float:
            below = probability * ndtr((log_photons - middle) / self.log_width)
            return float(below.sum() - ndtr(deviations))

        reach = (abs(deviations) + 1.0) * self.log_width
        return math.exp(brentq(beyond, middle.min() - reach, middle.max() + reach, xtol=1e-6))

    def log_density(self, log_photons: _Floats) -> _Floats:
        """Return the logarithm of the probability density (N,) of the logarithm of an emitter's photons."""
        log_share, probability = on_shares(self.on_frames)
        middle = math.log(self.median_photons) + log_share
        deviation = (log_photons[:, None] - middle) / self.log_width
        scale = probability / (self.log_width * math.sqrt(2 * math.pi))
        density: _Floats = np.exp(-0.5 * deviation**2) @ scale
        return np.log(np.maximum(density, np.finfo(float).tiny))

    def per_px(self, pixel_size_nm: float) -> float:
        """Return the emitters in a pixel of a frame."""
        return self.density_per_um2 * (pixel_size_nm * 1e-3) ** 2


@functools.lru_cache(maxsize=32)
def on_shares(on_frames: float | None) -> tuple[_Floats, _Floats]:
    """Return logarithms (K,) of the share of a frame for which emitters are on, and their probabilities (K,).

    Emitters appear at any time and go after an exponential time of mean ``m`` frames. Of those seen in a
    frame, ``m`` in ``m + 1`` are on at its begin; the others appear within it. Longer than for a share ``s``
    are then on ``exp(-s / m) (1 - s / (m + 1))``, and at ``s = 1`` those that stay on to its end.

    Parameters
    ----------
    on_frames
        Mean time, frames; None where all are on for whole frames.
    """
    if on_frames is None:
        return np.zeros(1), np.ones(1)
    longer = np.exp(-_SHARE_EDGES / on_frames) * (1 - _SHARE_EDGES / (on_frames + 1))
    middles = 0.5 * (_SHARE_EDGES[1:] + _SHARE_EDGES[:-1])
    return np.log(np.append(middles, 1.0)), np.append(longer[:-1] - longer[1:], longer[-1])


def draw_shares(shape: tuple[int, ...], on_frames: float, generator: torch.Generator) -> torch.Tensor:
    """Draw the share of a frame for which each emitter in it is on; see `on_shares`."""
    first, begins, lasts = (torch.rand(shape, generator=generator) for _ in range(3))
    begins = torch.where(first < on_frames / (on_frames + 1), 0.0, begins)
    return torch.minimum(1 - begins, -on_frames * torch.log1p(-lasts))
