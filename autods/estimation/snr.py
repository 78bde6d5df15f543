"""Signal-to-noise ratio: an emitter's peak amplitude over the standard deviation of the background noise."""

from __future__ import annotations

import numpy as np

from autods.estimation.correction import load_correction
from autods.estimation.statistics import FrameStatistics


def published_snr(statistics: FrameStatistics) -> float:
    """Mean amplitude of the candidates over the noise (the paper's SNR); NaN without candidates."""
    found = statistics.snr_published[np.isfinite(statistics.snr_published)]
    return float(found.mean()) if len(found) else float("nan")


def corrected_snr(statistics: FrameStatistics, psf_sigma_px: float) -> float:
    """SNR corrected for the selection of the bright candidates, overlap, and emitters in the noise."""
    return float(np.exp(load_correction().predict(statistics.features(psf_sigma_px))[1]))


def corrected_noise(statistics: FrameStatistics, psf_sigma_px: float) -> float:
    """Standard deviation of the background noise, frames' unit, corrected for the light of emitters."""
    ratio = float(np.exp(load_correction().predict(statistics.features(psf_sigma_px))[2]))
    return float(statistics.noise.mean()) * ratio
