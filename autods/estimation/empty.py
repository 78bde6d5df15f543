"""Which frames of a patch hold emission events."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autods.estimation.statistics import FrameStatistics

#: False alarms allowed: the expected number of noise maxima over the limit in a patch that is judged.
FALSE_ALARMS = 0.05


def noise_peak(area_px: float, psf_sigma_px: float, false_alarms: float = FALSE_ALARMS) -> float:
    """Height that ``false_alarms`` maxima of filtered pure noise are expected to exceed, in noise units.

    White noise filtered with a Gaussian of standard deviation sigma has, beyond a high level u, about
    ``u exp(-u^2 / 2) / ((2 pi)^(3/2) 2 sigma^2)`` maxima per unit area (Adler & Hasofer, Ann. Probab. 4, 1
    (1976)).

    Parameters
    ----------
    area_px
        Pixels looked at, over all frames.
    psf_sigma_px
        Standard deviation of the filter, pixels.
    false_alarms
        Expected number of maxima beyond the height.
    """
    scale = area_px / ((2 * math.pi) ** 1.5 * 2 * psf_sigma_px**2)
    level = 3.0
    for _ in range(20):
        level = math.sqrt(2 * math.log(max(scale * level / false_alarms, math.e)))
    return level


def has_events(statistics: FrameStatistics, area_px: int, psf_sigma_px: float) -> NDArray[np.bool_]:
    """Test each frame: its highest matched-filtered pixel exceeds what noise alone reaches.

    The published test compares intensities with the mean and so drops emitters that are dim beside the
    background's noise; the matched filter gathers their light and knows the noise. Returns (T,) bool.

    Parameters
    ----------
    statistics
        Of T frames.
    area_px
        Pixels of the patch.
    psf_sigma_px
        PSF standard deviation that the statistics were taken with, pixels.
    """
    return statistics.peak > noise_peak(area_px, psf_sigma_px)


def is_empty(statistics: FrameStatistics, area_px: int, psf_sigma_px: float) -> bool:
    """Whether no frame of the patch shows an event, allowing for the number of frames looked at.

    Many frames with weak events are found by their number, a single bright event by its height.
    """
    n = len(statistics)
    expected = FALSE_ALARMS * n
    many = int(has_events(statistics, area_px, psf_sigma_px).sum()) > expected + 3 * math.sqrt(expected + 1)
    return not many and float(statistics.peak.max()) <= noise_peak(n * area_px, psf_sigma_px)
