"""The microscope, as far as the shape and the sampling of the PSF depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from autods.core.errors import UserError

#: Standard deviation of the Gaussian closest to the in-focus Airy pattern, in units of wavelength / NA
#: (Zhang, Zerubia & Olivo-Marin, Applied Optics 46, 1819 (2007): 0.21 for the 2D wide-field model).
AIRY_SIGMA = 0.21


@dataclass(frozen=True)
class OpticalSystem:
    """Sampling and optics of a microscope.

    Parameters
    ----------
    pixel_size_nm
        Side of a camera pixel in the sample, nm.
    wavelength_nm
        Emission wavelength in vacuum, nm; None when unknown (then the measured PSF width is used).
    na
        Numerical aperture of the objective; None when unknown.
    n_immersion, n_sample
        Refractive indices of the immersion medium and of the sample.
    nfp_nm
        Nominal focal plane: how far the objective was moved towards the sample from the coverslip, nm.

    Raises
    ------
    UserError
        If a length is not positive or the aperture exceeds the immersion index.

    Examples
    --------
    >>> from autods import OpticalSystem
    >>> microscope = OpticalSystem(pixel_size_nm=100, wavelength_nm=660, na=1.4)
    >>> round(microscope.airy_sigma_nm, 1), round(microscope.airy_sigma_px, 2)
    (99.0, 0.99)
    >>> OpticalSystem(pixel_size_nm=100).airy_sigma_nm is None
    True
    """

    pixel_size_nm: float
    wavelength_nm: float | None = None
    na: float | None = None
    n_immersion: float = 1.518
    n_sample: float = 1.33
    nfp_nm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pixel_size_nm", "wavelength_nm", "na", "n_immersion", "n_sample"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"optics.{name} is {value}: it must be greater than 0")
        if self.na is not None and self.na >= self.n_immersion:
            raise UserError(
                f"optics.na={self.na} is not below optics.n_immersion={self.n_immersion}: correct one of them"
            )

    @property
    def airy_sigma_nm(self) -> float | None:
        """Expected in-focus PSF standard deviation, nm; None without wavelength and aperture."""
        if self.wavelength_nm is None or self.na is None:
            return None
        return AIRY_SIGMA * self.wavelength_nm / self.na

    @property
    def airy_sigma_px(self) -> float | None:
        """Expected in-focus PSF standard deviation in camera pixels (the paper's eq. 2 with c = 0.21)."""
        sigma_nm = self.airy_sigma_nm
        return None if sigma_nm is None else sigma_nm / self.pixel_size_nm
