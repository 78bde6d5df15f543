"""PSFs by name, each built from the microscope and a few numbers."""

from __future__ import annotations

from collections.abc import Callable

from autods.core import OpticalSystem, UserError
from autods.optics.gaussian import AstigmaticGaussianPSF, DefocusCurve, GaussianHelixPSF, GaussianPSF
from autods.optics.phase_masks import astigmatism_mask, double_helix_mask, tetrapod_mask
from autods.optics.protocol import PSFModel
from autods.optics.pupil import Pupil
from autods.optics.pupil_psf import ScalarPSF, VectorialPSF
from autods.optics.spline import SplinePSF, tabulate


def gaussian_psf(optics: OpticalSystem, sigma_nm: float | None = None) -> GaussianPSF:
    """Gaussian of one width (nm); None takes the width expected of the microscope, or 1.2 pixels."""
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
    """Elliptical Gaussian with its foci at -`focus_nm` (x) and +`focus_nm` (y); see `DefocusCurve`.

    Without numbers of its own the curve along y is that along x, mirrored.
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
    """Two Gaussian lobes that turn with depth; see `GaussianHelixPSF`."""
    return GaussianHelixPSF(optics.pixel_size_nm, sigma_nm, separation_nm, angle_deg, turn_nm)


def scalar_psf(optics: OpticalSystem, blur_sigma_nm: float = 0.0, pupil_px: int = 64) -> ScalarPSF:
    """Unaberrated scalar diffraction; see `ScalarPSF`."""
    return ScalarPSF(optics, blur_sigma_nm=blur_sigma_nm, pupil_px=pupil_px)


def vectorial_psf(optics: OpticalSystem, blur_sigma_nm: float = 0.0, pupil_px: int = 64) -> VectorialPSF:
    """Unaberrated vectorial diffraction of a freely rotating dipole; see `VectorialPSF`."""
    return VectorialPSF(optics, blur_sigma_nm=blur_sigma_nm, pupil_px=pupil_px)


def astigmatism_psf(
    optics: OpticalSystem,
    rms_waves: float = 0.15,
    angle_deg: float = 0.0,
    blur_sigma_nm: float = 60.0,
    pupil_px: int = 64,
) -> ScalarPSF:
    """Scalar diffraction through an astigmatic pupil; see `astigmatism_mask`."""
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
    """Scalar diffraction through a double-helix mask; see `double_helix_mask`."""
    mask = double_helix_mask(Pupil.sample(optics, pupil_px), vortices, spacing, angle_deg)
    return ScalarPSF(optics, mask, blur_sigma_nm=blur_sigma_nm)


def tetrapod_psf(
    optics: OpticalSystem,
    strength: float = 1.0,
    angle_deg: float = 0.0,
    blur_sigma_nm: float = 60.0,
    pupil_px: int = 64,
) -> ScalarPSF:
    """Scalar diffraction through a Tetrapod mask; see `tetrapod_mask`."""
    mask = tetrapod_mask(Pupil.sample(optics, pupil_px), strength, angle_deg)
    return ScalarPSF(optics, mask, blur_sigma_nm=blur_sigma_nm)


def tabulated_psf(
    optics: OpticalSystem, rms_waves: float = 0.15, reach_nm: float = 800.0, size_px: int = 45
) -> SplinePSF:
    """Astigmatic PSF as a table over plus and minus `reach_nm`; see `tabulate`."""
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

    Raises
    ------
    UserError
        If there is no PSF of that name.
    """
    if name not in PSF_MODELS:
        known = ", ".join(sorted(PSF_MODELS))
        raise UserError(f"psf={name}: there is no such file and no PSF of that name: use one of {known}")
    return PSF_MODELS[name]
