"""What one patch of a movie tells."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from autods.estimation.density import corrected_density, published_density
from autods.estimation.empty import has_events, is_empty
from autods.estimation.psf_width import measure_psf_width
from autods.estimation.snr import corrected_noise, corrected_snr, published_snr
from autods.estimation.statistics import FrameStatistics, frame_statistics

#: PSF standard deviation to filter with when it is neither given nor measurable, pixels.
TYPICAL_PSF_SIGMA_PX = 1.3


@dataclass(frozen=True)
class PatchProfile:
    """What was measured on a patch, over its frames."""

    #: Emitters per um^2 and frame, corrected for missed, merged and false candidates.
    density_per_um2: float
    #: Candidates per um^2 and frame, as published: no correction.
    density_published_per_um2: float
    #: Peak amplitude of an emitter over the noise's standard deviation; NaN when nothing was found.
    snr: float
    snr_published: float
    #: Standard deviation of the background noise, in the movie's units.
    noise_std: float
    #: Level under the emitters, in the movie's units, camera offset included.
    background: float
    #: Standard deviation of the PSF in pixels; None when too few good fits.
    psf_sigma_px: float | None
    #: Candidates (published test) in all frames.
    n_candidates: int
    #: Frames measured.
    n_frames: int
    #: Whether no frame of the patch holds an emission event.
    is_empty: bool
    #: Fraction of the frames without an emission event.
    empty_fraction: float
    #: Mean density that an emitter meets over the patch's mean density, 1 where they are evenly spread; None
    #: when unknown: maxima cannot tell, see :mod:`autods.pipelines.crowding`.
    crowding: float | None = None
    #: Peak amplitude of the brightest emitter of a frame over the noise, the median over the frames; unlike
    #: ``snr`` it does not end where the correction was calibrated. NaN when nothing was found.
    brightest_snr: float = math.nan

    @property
    def met_density_per_um2(self) -> float | None:
        """Emitters per um^2 and frame where the emitters are; None when unknown."""
        return None if self.crowding is None else self.density_per_um2 * self.crowding

    def to_dict(self) -> dict[str, float | int | bool | None]:
        """Return plain values for JSON; NaN becomes None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def measure_patch(
    frames: NDArray[np.generic], pixel_size_nm: float, psf_sigma_px: float | None = None
) -> PatchProfile:
    """Measure density, SNR, noise and PSF width of a patch.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit, at least 5 x 5 pixels; one frame will do.
    pixel_size_nm
        Camera pixel, nm.
    psf_sigma_px
        PSF standard deviation, pixels; None measures it.
    """
    if psf_sigma_px is None:
        measured = measure_psf_width(frames, TYPICAL_PSF_SIGMA_PX)
        psf_sigma_px = None if measured is None else measured.sigma_px
    sigma = psf_sigma_px or TYPICAL_PSF_SIGMA_PX
    statistics = frame_statistics(frames, sigma)
    return summarize(statistics, frames.shape[1] * frames.shape[2], pixel_size_nm, psf_sigma_px)


def summarize(
    statistics: FrameStatistics,
    area_px: int,
    pixel_size_nm: float,
    psf_sigma_px: float | None,
    crowding: float | None = None,
) -> PatchProfile:
    """Turn the statistics of a patch's frames into its profile.

    Parameters
    ----------
    statistics
        Of T frames.
    area_px
        Pixels of the patch.
    pixel_size_nm
        Camera pixel, nm.
    psf_sigma_px
        PSF standard deviation, pixels; None when unknown (then the statistics were taken with
        TYPICAL_PSF_SIGMA_PX).
    crowding
        See :class:`PatchProfile`.
    """
    sigma = psf_sigma_px or TYPICAL_PSF_SIGMA_PX
    n_candidates = int(statistics.n_published.sum())
    area_um2 = area_px * (pixel_size_nm * 1e-3) ** 2
    events = has_events(statistics, area_px, sigma)
    empty = is_empty(statistics, area_px, sigma)
    return PatchProfile(
        density_per_um2=0.0 if empty else corrected_density(statistics, sigma, pixel_size_nm),
        density_published_per_um2=published_density(n_candidates, len(statistics), area_um2),
        snr=math.nan if empty else corrected_snr(statistics, sigma),
        snr_published=published_snr(statistics),
        noise_std=corrected_noise(statistics, sigma),
        background=float(statistics.background.mean()),
        psf_sigma_px=psf_sigma_px,
        n_candidates=n_candidates,
        n_frames=len(statistics),
        is_empty=empty,
        empty_fraction=float(1 - events.mean()),
        crowding=crowding,
        # A matched filter of unit energy raises a Gaussian's peak over the noise by the root of pi sigma^2.
        brightest_snr=math.nan if empty else float(np.median(statistics.peak)) / (math.sqrt(math.pi) * sigma),
    )
