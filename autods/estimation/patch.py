"""What one patch of a movie tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class PatchProfile:
    """What was measured on a patch, over its frames.

    Parameters
    ----------
    density_per_um2
        Emitters per um^2 and frame, corrected for missed, merged and false candidates.
    density_published_per_um2
        Candidates per um^2 and frame, as published: no correction.
    snr, snr_published
        Peak amplitude of an emitter over the noise's standard deviation; NaN when nothing was found.
    noise_std
        Standard deviation of the background noise, in the movie's units.
    background
        Level under the emitters, in the movie's units, camera offset included.
    psf_sigma_px
        Standard deviation of the PSF in pixels; None when too few good fits.
    n_candidates
        Candidates (published test) in all frames.
    n_frames
        Frames measured.
    is_empty
        Whether no frame of the patch holds an emission event.
    empty_fraction
        Fraction of the frames without an emission event.
    """

    density_per_um2: float
    density_published_per_um2: float
    snr: float
    snr_published: float
    noise_std: float
    background: float
    psf_sigma_px: float | None
    n_candidates: int
    n_frames: int
    is_empty: bool
    empty_fraction: float

    def to_dict(self) -> dict[str, float | int | bool | None]:
        """Return plain values for JSON; NaN becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}
