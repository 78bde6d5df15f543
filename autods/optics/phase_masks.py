"""Phase masks whose PSF changes with depth: astigmatism, double helix, Tetrapod, and masks from files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from scipy.ndimage import map_coordinates
from torch import Tensor

from autods.core import OpticalSystem, UserError
from autods.io.foreign import read_by_library
from autods.io.readers.tiff import open_tiff
from autods.optics.pupil import Pupil, aperture_and_wavelength
from autods.optics.zernike import zernike

#: Noll coefficients (waves rms) of a Tetrapod for 3 um of depth: the sum of primary and secondary astigmatism
#: with the least mean 3D bound over that range at NA 1.45, 670 nm, 110 nm pixels, 3000 photons and a
#: background of 10, found with `autods.optics.crlb` (the idea: Shechtman et al., PRL 113, 133902 (2014)).
TETRAPOD_WAVES = {6: 0.20, 12: 0.38}


def zernike_mask(pupil: Pupil, coefficients_waves: Mapping[int, float]) -> Tensor:
    """Phase (P, P) in radians of a sum of Zernike modes.

    Parameters
    ----------
    pupil
        Sampled pupil.
    coefficients_waves
        Rms amplitude in waves by Noll index.
    """
    phase = torch.zeros_like(pupil.u)
    for index, waves in coefficients_waves.items():
        phase = phase + 2 * math.pi * waves * zernike(index, pupil.u, pupil.v)
    return phase * (pupil.aperture > 0)


def astigmatism_mask(pupil: Pupil, rms_waves: float = 0.2, angle_deg: float = 0.0) -> Tensor:
    """Astigmatic phase (P, P), radians; at angle 0 its axes lie along x and y.

    Parameters
    ----------
    pupil
        Sampled pupil.
    rms_waves
        Strength, waves rms.
    angle_deg
        Orientation, degrees.
    """
    double = math.radians(2 * angle_deg)
    return zernike_mask(pupil, {6: rms_waves * math.cos(double), 5: rms_waves * math.sin(double)})


def double_helix_mask(
    pupil: Pupil, vortices: int = 5, spacing: float = 0.5, angle_deg: float = 0.0
) -> Tensor:
    """Double-helix phase (P, P), radians: a line of optical vortices.

    The phase of ``prod_k (u + i v - x_k)`` with zeros x_k on a line through the centre (Prabhat et al.;
    Gahlmann et al., Nano Letters 13, 987 (2013)).

    Parameters
    ----------
    pupil
        Sampled pupil.
    vortices
        Number of vortices, odd.
    spacing
        Distance of neighbours in units of the pupil's radius.
    angle_deg
        Direction of the line, degrees.
    """
    angle = math.radians(angle_deg)
    along = pupil.u * math.cos(angle) + pupil.v * math.sin(angle)
    across = pupil.v * math.cos(angle) - pupil.u * math.sin(angle)
    places = [(k - (vortices - 1) / 2) * spacing for k in range(vortices)]
    phase = torch.zeros_like(pupil.u)
    for place in places:
        phase = phase + torch.atan2(across, along - place)
    return torch.remainder(phase, 2 * math.pi) * (pupil.aperture > 0)


def tetrapod_mask(pupil: Pupil, strength: float = 1.0, angle_deg: float = 0.0) -> Tensor:
    """Tetrapod phase (P, P), radians: a sum of Zernike modes (Shechtman et al., PRL 113, 133902 (2014)).

    Parameters
    ----------
    pupil
        Sampled pupil.
    strength
        Factor on the mask for about 3 um of depth; larger serves deeper ranges.
    angle_deg
        Orientation, degrees.
    """
    angle = math.radians(angle_deg)
    u = pupil.u * math.cos(angle) + pupil.v * math.sin(angle)
    v = pupil.v * math.cos(angle) - pupil.u * math.sin(angle)
    phase = torch.zeros_like(u)
    for index, waves in TETRAPOD_WAVES.items():
        phase = phase + 2 * math.pi * waves * strength * zernike(index, u, v)
    return phase * (pupil.aperture > 0)


def pupil_radius_um(optics: OpticalSystem, magnification: float, focal_length_4f_mm: float) -> float:
    """Radius in um of the pupil's image in the plane of the mask, ``f NA / sqrt(M^2 - NA^2)``.

    Examples
    --------
    >>> from autods import OpticalSystem
    >>> optics = OpticalSystem(100.0, 660.0, 1.4)
    >>> round(pupil_radius_um(optics, magnification=100.0, focal_length_4f_mm=200.0))
    2800
    """
    na, _ = aperture_and_wavelength(optics)
    return 1000 * focal_length_4f_mm * na / math.sqrt(magnification**2 - na**2)


def load_mask(
    path: Path,
    optics: OpticalSystem,
    pupil: Pupil,
    magnification: float,
    focal_length_4f_mm: float,
    mask_pixel_um: float,
) -> Tensor:
    """Read a measured or designed mask and place it on the pupil (P, P), radians.

    Raises `UserError` if the file is no 2D array of finite numbers or smaller than the pupil.

    Parameters
    ----------
    path
        ``.npy``, ``.mat`` (one 2D variable) or TIFF of radians, centred on the optical axis, rows along y.
    optics, pupil
        The microscope and its sampled pupil.
    magnification
        Of the objective and tube lens.
    focal_length_4f_mm
        Of the lenses of the 4f relay.
    mask_pixel_um
        Pixel of the array in the plane of the mask, um.
    """
    mask = _read_array(path)
    radius_px = pupil_radius_um(optics, magnification, focal_length_4f_mm) / mask_pixel_um
    if 2 * radius_px > max(mask.shape) + 1:
        raise UserError(
            f"{path}: the mask is {mask.shape[0]} x {mask.shape[1]} px, the pupil {2 * radius_px:.0f} px:"
            " check magnification, focal_length_4f_mm and mask_pixel_um"
        )
    rows = pupil.v.double().numpy() * radius_px + (mask.shape[0] - 1) / 2
    columns = pupil.u.double().numpy() * radius_px + (mask.shape[1] - 1) / 2
    # Interpolate the phasor, not the phase: a wrapped mask has jumps of 2 pi.
    real = map_coordinates(np.cos(mask), [rows, columns], order=1, mode="nearest")
    imaginary = map_coordinates(np.sin(mask), [rows, columns], order=1, mode="nearest")
    phase = torch.from_numpy(np.arctan2(imaginary, real)).to(pupil.u.dtype)
    return phase * (pupil.aperture > 0)


def _read_array(path: Path) -> np.ndarray:
    """Read a 2D array of radians from .npy, .mat or TIFF."""
    complaint = f"{path}: cannot be read as a phase mask (.npy, .mat or TIFF)"
    with read_by_library(complaint):
        if path.suffix.lower() == ".npy":
            variables = {"": np.array(np.load(path, mmap_mode="r"))}
        elif path.suffix.lower() == ".mat":
            variables = {k: v for k, v in loadmat(path).items() if not k.startswith("__") and v.ndim == 2}
        else:
            variables = {"": open_tiff(path).read(0, 2)[0]}
    if len(variables) != 1:
        raise UserError(f"{path}: a mask file holds one 2D array, this one has {sorted(variables)}")
    with read_by_library(complaint):
        array = np.asarray(next(iter(variables.values())), np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise UserError(f"{path}: a mask is a 2D array of finite radians, this one has shape {array.shape}")
    return array
