"""PSFs by name, each built from the microscope and a few numbers; ``psf=NAME`` on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from autods.core import OpticalSystem, UserError
from autods.optics.gaussian import AstigmaticGaussianPSF, DefocusCurve, GaussianHelixPSF, GaussianPSF
from autods.optics.phase_masks import astigmatism_mask, double_helix_mask, tetrapod_mask
from autods.optics.protocol import PSFModel
from autods.optics.pupil import Pupil
from autods.optics.pupil_psf import ScalarPSF, VectorialPSF
from autods.optics.spline import SplinePSF, tabulate


def gaussian_psf(optics: OpticalSystem, sigma_nm: float | None = None) -> GaussianPSF:
    """Gaussian of one width (nm); None takes the width expected of the microscope, or 1.2 pixels.

    Examples
    --------
    >>> from autods import OpticalSystem
    >>> psf = gaussian_psf(OpticalSystem(100.0, wavelength_nm=660.0, na=1.4))
    >>> round(psf.sigma_nm, 1)
    99.0
    """
    expected = optics.airy_sigma_nm or 1.2 * optics.pixel_size_nm
    return GaussianPSF(optics.pixel_size_nm, expected if sigma_nm is None else sigma_nm)


def astigmatic_gaussian_psf(
    optics: OpticalSystem,
    sigma_nm: float = 130.0,
    focus_nm: float = 200.0,
    depth_nm: float = 300.0,
    cubic: float = 0.0,
    quartic: float = 0.0,
    sigma_y_nm: float | None = None,
    cubic_y: float | None = None,
    quartic_y: float | None = None,
) -> AstigmaticGaussianPSF:
    """Elliptical Gaussian whose width along x and along y follows a curve over depth each.

    Parameters
    ----------
    optics
        The microscope.
    sigma_nm
        Width in focus, nm.
    focus_nm
        The foci lie at minus (x) and plus (y) this depth, nm.
    depth_nm
        Focal depth, nm.
    cubic, quartic
        Coefficients of the curve, see `DefocusCurve`.
    sigma_y_nm, cubic_y, quartic_y
        Of the curve along y, nm; None: that along x, mirrored.
    """
    x = DefocusCurve(sigma_nm, -focus_nm, depth_nm, cubic, quartic)
    y = DefocusCurve(
        sigma_nm if sigma_y_nm is None else sigma_y_nm,
        focus_nm,
        depth_nm,
        -cubic if cubic_y is None else cubic_y,
        quartic if quartic_y is None else quartic_y,
    )
    return AstigmaticGaussianPSF(optics.pixel_size_nm, x, y)


def gaussian_helix_psf(
    optics: OpticalSystem,
    sigma_nm: float = 150.0,
    separation_nm: float = 700.0,
    angle_deg: float = 45.0,
    turn_nm: float = 2000.0,
) -> GaussianHelixPSF:
    """Two Gaussian lobes that turn with depth, an idealized double helix; see `GaussianHelixPSF`.

    Parameters
    ----------
    optics
        The microscope.
    sigma_nm
        Width of a lobe, nm.
    separation_nm
        Distance of the lobes, nm.
    angle_deg
        Direction of the lobes at z = 0, degrees from x towards y.
    turn_nm
        Depth of half a turn, nm; negative for the other sense.
    """
    return GaussianHelixPSF(optics.pixel_size_nm, sigma_nm, separation_nm, angle_deg, turn_nm)


def scalar_psf(optics: OpticalSystem, blur_sigma_nm: float = 0.0, pupil_px: int = 64) -> ScalarPSF:
    """Unaberrated scalar diffraction, blurred by a Gaussian (nm), of so many samples across the pupil."""
    return ScalarPSF(optics, blur_sigma_nm=blur_sigma_nm, pupil_px=pupil_px)


def vectorial_psf(optics: OpticalSystem, blur_sigma_nm: float = 0.0, pupil_px: int = 64) -> VectorialPSF:
    """Unaberrated vectorial diffraction of a freely rotating dipole; numbers as of `scalar_psf`."""
    return VectorialPSF(optics, blur_sigma_nm=blur_sigma_nm, pupil_px=pupil_px)


def astigmatism_psf(
    optics: OpticalSystem,
    rms_waves: float = 0.15,
    angle_deg: float = 0.0,
    blur_sigma_nm: float = 60.0,
    pupil_px: int = 64,
) -> ScalarPSF:
    """Scalar diffraction through an astigmatic pupil; see `astigmatism_mask`.

    Parameters
    ----------
    optics
        The microscope.
    rms_waves
        Strength, waves rms.
    angle_deg
        Orientation, degrees.
    blur_sigma_nm
        Gaussian blur of the image, nm.
    pupil_px
        Samples (pixels) across the pupil.
    """
    mask = astigmatism_mask(Pupil.sample(optics, pupil_px), rms_waves, angle_deg)
    return ScalarPSF(optics, mask, blur_sigma_nm=blur_sigma_nm)


def double_helix_psf(
    optics: OpticalSystem,
    vortices: int = 5,
    spacing: float = 0.5,
    angle_deg: float = 0.0,
    blur_sigma_nm: float = 60.0,
    pupil_px: int = 64,
) -> ScalarPSF:
    """Scalar diffraction through a line of vortices; see `double_helix_mask`.

    Parameters
    ----------
    optics
        The microscope.
    vortices
        Their number, odd.
    spacing
        Of neighbours, pupil radii.
    angle_deg, blur_sigma_nm, pupil_px
        As of `astigmatism_psf`.
    """
    mask = double_helix_mask(Pupil.sample(optics, pupil_px), vortices, spacing, angle_deg)
    return ScalarPSF(optics, mask, blur_sigma_nm=blur_sigma_nm)


def tetrapod_psf(
    optics: OpticalSystem,
    strength: float = 1.0,
    angle_deg: float = 0.0,
    blur_sigma_nm: float = 60.0,
    pupil_px: int = 64,
) -> ScalarPSF:
    """Scalar diffraction through a Tetrapod mask; see `tetrapod_mask`.

    Parameters
    ----------
    optics
        The microscope.
    strength
        Of the mask; 1 serves 3 um of depth.
    angle_deg, blur_sigma_nm, pupil_px
        As of `astigmatism_psf`.
    """
    mask = tetrapod_mask(Pupil.sample(optics, pupil_px), strength, angle_deg)
    return ScalarPSF(optics, mask, blur_sigma_nm=blur_sigma_nm)


def tabulated_psf(
    optics: OpticalSystem, rms_waves: float = 0.15, reach_nm: float = 800.0, size_px: int = 45
) -> SplinePSF:
    """Astigmatic PSF as a table of a side (px) over plus and minus a reach (nm); see `tabulate`."""
    exact = astigmatism_psf(optics, rms_waves)
    return tabulate(exact, -reach_nm, reach_nm, 25.0, size_px, exact.oversampling)


#: Builders by the name that the configuration uses; each takes the microscope and has defaults for the rest.
PSF_MODELS: dict[str, Callable[[OpticalSystem], PSFModel]] = {
    "gaussian": gaussian_psf,
    "astigmatic_gaussian": astigmatic_gaussian_psf,
    "gaussian_helix": gaussian_helix_psf,
    "scalar": scalar_psf,
    "vectorial": vectorial_psf,
    "astigmatism": astigmatism_psf,
    "double_helix": double_helix_psf,
    "tetrapod": tetrapod_psf,
    "tabulated": tabulated_psf,
}


def psf_by_name(name: str) -> Callable[[OpticalSystem], PSFModel]:
    """Return what makes the PSF of a microscope.

    Raises `UserError` if there is no PSF of that name.

    Examples
    --------
    >>> from autods import OpticalSystem
    >>> psf = psf_by_name("astigmatism")(OpticalSystem(100.0, wavelength_nm=660.0, na=1.4))
    >>> psf.pixel_size_nm
    100.0
    >>> psf_by_name("astigmatic")
    Traceback (most recent call last):
    autods.core.errors.UserError: psf=astigmatic: there is no such file ...
    """
    if name not in PSF_MODELS:
        known = ", ".join(sorted(PSF_MODELS))
        raise UserError(f"psf={name}: there is no such file and no PSF of that name: use one of {known}")
    return PSF_MODELS[name]


def psf_configuration(name: str) -> dict[str, Any]:
    """Return a PSF of `PSF_MODELS` as a configuration to instantiate: its builder and the defaults.

    The microscope (``optics``) is left out: the program fills it in.
    """
    builder = PSF_MODELS[name]
    numbers = list(inspect.signature(builder).parameters.values())[1:]
    return {
        "_target_": f"{builder.__module__}.{builder.__qualname__}",
        **{number.name: number.default for number in numbers},
    }
