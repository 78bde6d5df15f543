"""Statistics of the matched-filtered frames from which density and SNR are estimated.

All are in units of the pixel noise and of the PSF's area, so that they depend neither on the camera's units
nor on the sampling, and all are means over frames, so that a movie can be measured in chunks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from autods.estimation.noise import candidate_background, pixel_noise
from autods.estimation.spots import detection_threshold, local_maxima, matched_filter

#: Heights in noise units above which maxima, and minima, of the filtered frames are counted.
MAXIMA_LEVELS = (3.0, 4.0, 5.0, 6.0, 8.0, 11.0)
MINIMA_LEVELS = (3.0, 4.0)
#: Quantiles taken of the filtered frames.
QUANTILES = (0.01, 0.1, 0.5, 0.9)

#: Filtered height from which a maximum counts as an emitter when the background is read.
_BACKGROUND_LEVEL = 4.0
#: Added to counts per resolution element before the logarithm: about the rarest that a patch can show.
_COUNT_FLOOR = 2e-3


@dataclass(frozen=True)
class FrameStatistics:
    """Measurements of T frames of one patch."""

    #: (T,) standard deviation of the pixel noise and level under the emitters, in the frames' unit.
    noise: NDArray[np.float64]
    background: NDArray[np.float64]
    #: (T, len(MAXIMA_LEVELS)) and (T, len(MINIMA_LEVELS)) local maxima and minima beyond the levels, per
    #: resolution element of area ``4 pi sigma^2``.
    maxima: NDArray[np.float64]
    minima: NDArray[np.float64]
    #: (T,) central moments of the filtered frames, in noise units.
    variance: NDArray[np.float64]
    third_moment: NDArray[np.float64]
    #: (T, len(QUANTILES)) of the filtered frames, in noise units.
    quantiles: NDArray[np.float64]
    #: (T,) highest filtered pixel, in noise units.
    peak: NDArray[np.float64]
    #: (T,) candidates of the published test, and their mean amplitude over the noise; NaN without them.
    n_published: NDArray[np.int64]
    snr_published: NDArray[np.float64]

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.noise)

    @classmethod
    def concatenate(cls, chunks: list[FrameStatistics]) -> FrameStatistics:
        """Join the statistics of consecutive chunks of the same patch."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names})

    def features(self, psf_sigma_px: float) -> NDArray[np.float64]:
        """Return the mean statistics as the vector (F,) that the correction takes."""
        return np.concatenate(
            [
                np.log(self.maxima.mean(0) + _COUNT_FLOOR),
                np.log(self.minima.mean(0) + _COUNT_FLOOR),
                [math.log(max(float(self.variance.mean()), 0.1))],
                [math.asinh(5 * float(self.third_moment.mean()))],
                np.arcsinh(np.array([1.0, 1.0, 5.0, 1.0]) * self.quantiles.mean(0)),
                [math.log(psf_sigma_px)],
            ]
        )


def frame_statistics(frames: NDArray[np.generic], psf_sigma_px: float) -> FrameStatistics:
    """Measure the frames of a patch.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit, at least 5 x 5 pixels; pixels that are not finite count as the frame's median.
    psf_sigma_px
        PSF standard deviation, pixels.
    """
    values = _finite(np.asarray(frames, np.float32))
    noise = pixel_noise(values)
    scale = float(noise.mean()) or 1.0
    filtered = matched_filter(values, psf_sigma_px) / np.float32(scale)
    resolution_elements = values[0].size / (4 * math.pi * psf_sigma_px**2)
    emitters = filtered * local_maxima(filtered, MAXIMA_LEVELS[0])
    dips = -filtered * local_maxima(-filtered, MINIMA_LEVELS[0])
    deviation = filtered - filtered.mean(axis=(1, 2), keepdims=True)
    squared = deviation * deviation
    n_published, snr_published = _published(values)
    return FrameStatistics(
        noise=noise,
        background=_background(values, emitters > _BACKGROUND_LEVEL),
        maxima=_exceedances(emitters, MAXIMA_LEVELS) / resolution_elements,
        minima=_exceedances(dips, MINIMA_LEVELS) / resolution_elements,
        variance=squared.mean(axis=(1, 2), dtype=np.float64),
        third_moment=(squared * deviation).mean(axis=(1, 2), dtype=np.float64),
        quantiles=_quantiles(filtered),
        peak=filtered.max(axis=(1, 2)).astype(np.float64),
        n_published=n_published,
        snr_published=snr_published,
    )


def _published(frames: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidates and SNR of each frame as published; both are blind to a constant, so no preprocessing."""
    candidates = local_maxima(frames, detection_threshold(frames))
    mean, std = candidate_background(frames, candidates)
    count = candidates.sum(axis=(1, 2))
    signal = np.where(candidates, frames, 0).sum(axis=(1, 2), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return count, np.where(count > 0, (signal / count - mean) / std, np.nan)


def _background(frames: NDArray[np.float32], emitters: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the pixels away from emitters; in frames without such pixels a low percentile."""
    mean, _ = candidate_background(frames, emitters)
    crowded = np.isnan(mean)
    if crowded.any():
        mean[crowded] = np.percentile(frames[crowded], 10, axis=(1, 2))
    return mean


def _exceedances(heights: NDArray[np.float32], levels: tuple[float, ...]) -> NDArray[np.float64]:
    return np.stack([(heights > level).sum(axis=(1, 2)) for level in levels], axis=1).astype(np.float64)


def _quantiles(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = frames.reshape(len(frames), -1)
    index = [int(q * (flat.shape[1] - 1)) for q in QUANTILES]
    return np.partition(flat, index, axis=1)[:, index].astype(np.float64)


def _finite(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    valid = np.isfinite(frames)
    if valid.all():
        return frames
    repaired = frames.copy()
    for frame, good in zip(repaired, valid, strict=True):
        frame[~good] = np.median(frame[good]) if good.any() else 0
    return repaired
