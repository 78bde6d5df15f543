"""The pupil of a high-aperture objective looking into a sample of another refractive index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import OpticalSystem, UserError


def aperture_and_wavelength(optics: OpticalSystem) -> tuple[float, float]:
    """Numerical aperture and wavelength (nm), which every diffraction model needs.

    Raises `UserError` if one of them is unknown.

    Examples
    --------
    >>> from autods import OpticalSystem
    >>> aperture_and_wavelength(OpticalSystem(100.0, wavelength_nm=660.0, na=1.4))
    (1.4, 660.0)
    """
    if optics.na is None or optics.wavelength_nm is None:
        missing = "optics.na" if optics.na is None else "optics.wavelength_nm"
        raise UserError(f"{missing} is not known: a PSF model needs it, give {missing}=VALUE")
    return optics.na, optics.wavelength_nm


@dataclass(frozen=True)
class Pupil:
    """Sampled pupil: P x P samples over the square [-NA, NA] in direction-sine times index."""

    #: (P, P) normalised coordinates along x (columns) and y (rows), 1 at the aperture's rim.
    u: Tensor
    v: Tensor
    #: (P,) samples of the numerical aperture, -NA to NA, at cell centres.
    na_axis: Tensor
    #: (P, P) share of each cell inside the aperture, 0-1: a soft rim, which makes coarse grids exact enough.
    aperture: Tensor
    #: (P, P) axial wave numbers minus their values on axis, rad/nm; those of the sample are complex where
    #: light beyond the critical angle is included.
    kz_sample: Tensor
    kz_immersion: Tensor
    #: (P, P) cosines of the ray's angle in the two media (complex for the sample beyond the critical angle).
    cos_sample: Tensor
    cos_immersion: Tensor
    #: Vacuum wavelength, nm.
    wavelength_nm: float

    @classmethod
    def sample(cls, optics: OpticalSystem, pupil_px: int = 64, supercritical: bool = False) -> Pupil:
        """Sample the pupil of a microscope.

        Raises `UserError` if the aperture or the wavelength is unknown.

        Parameters
        ----------
        optics
            Needs `na` and `wavelength_nm`.
        pupil_px
            Samples a side (pixels of the pupil). The image repeats with period `pupil_px * wavelength / (2
            NA)`, which must exceed the field of view by the width of the PSF.
        supercritical
            Include rays beyond the critical angle of the sample (evanescent coupling of emitters next to the
            coverslip); otherwise they are cut off.
        """
        na, wavelength = aperture_and_wavelength(optics)
        aperture, n_sample, n_immersion = torch.tensor(
            [na, optics.n_sample, optics.n_immersion], dtype=torch.float64
        )
        tensors = sample_pupils(
            aperture,
            n_sample,
            n_immersion,
            2 * math.pi / wavelength,
            pupil_px,
            supercritical,
        )
        return cls(**tensors, wavelength_nm=wavelength)


def sample_pupils(
    na: Tensor,
    n_sample: Tensor,
    n_immersion: Tensor,
    wavenumber: Tensor | float,
    pupil_px: int,
    supercritical: bool = False,
) -> dict[str, Tensor]:
    """Sample one pupil, or many of different microscopes at once.

    Returns the fields of `Pupil`, (P, P) or (N, P, P), `na_axis` (P,) or (N, 1, P), single precision.

    Parameters
    ----------
    na, n_sample, n_immersion, wavenumber
        Aperture, refractive indices and 2 pi / vacuum wavelength (rad/nm): double, scalars or (N, 1, 1).
    pupil_px, supercritical
        See `Pupil.sample`.
    """
    axis = (torch.arange(pupil_px, dtype=torch.float64, device=na.device) + 0.5) * (2 / pupil_px) - 1
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    rho = torch.hypot(u, v)
    sine_na = rho * na
    limit = torch.ones_like(na) if supercritical else (n_sample / na).clamp(max=1.0)
    aperture = ((limit - rho) * (pupil_px / 2) + 0.5).clamp(0, 1)
    square_sample = 1 - (sine_na / n_sample) ** 2
    cos_immersion = (1 - (sine_na / n_immersion) ** 2).clamp(min=1e-6).sqrt()
    cos_sample: Tensor = square_sample.clamp(min=0).sqrt()
    if supercritical:
        cos_sample = torch.complex(cos_sample, (-square_sample).clamp(min=0).sqrt())
    real, cosine = torch.float32, torch.complex64 if supercritical else torch.float32
    return {
        "u": u.to(real),
        "v": v.to(real),
        "na_axis": (axis * na).to(real),
        "aperture": aperture.to(real),
        "kz_sample": (wavenumber * n_sample * (cos_sample - 1)).to(cosine),
        "kz_immersion": (wavenumber * n_immersion * (cos_immersion - 1)).to(real),
        "cos_sample": cos_sample.to(cosine),
        "cos_immersion": cos_immersion.to(real),
    }
