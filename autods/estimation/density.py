"""Emitters per um^2 and frame: as published, and corrected."""

from __future__ import annotations

import math

import numpy as np

from autods.estimation.correction import load_correction
from autods.estimation.statistics import FrameStatistics


def published_density(n_candidates: int, n_frames: int, area_um2: float) -> float:
    """Candidates per um^2 and frame (the paper's density).

    Examples
    --------
    >>> published_density(n_candidates=1500, n_frames=10, area_um2=100.0)
    1.5
    """
    return n_candidates / (n_frames * area_um2)


def corrected_density(statistics: FrameStatistics, psf_sigma_px: float, pixel_size_nm: float) -> float:
    """Emitters per um^2 and frame, corrected for overlap, missed emitters and noise maxima.

    It stays within the range of the calibration (about 0.03 to 8 per um^2 at 100 nm pixels and 1.2 px PSF).

    Parameters
    ----------
    statistics
        Of the patch.
    psf_sigma_px
        PSF standard deviation that the statistics were taken with, pixels.
    pixel_size_nm
        Camera pixel, nm.
    """
    log_density = load_correction().predict(statistics.features(psf_sigma_px))[0]
    resolution_element_um2 = 4 * math.pi * (psf_sigma_px * pixel_size_nm * 1e-3) ** 2
    return float(np.exp(log_density)) / resolution_element_um2
