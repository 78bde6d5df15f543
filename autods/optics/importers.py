"""PSFs calibrated by other programs: SMAP and DECODE cubic splines, uiPSF."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat

from autods.core import UserError
from autods.io.foreign import read_by_library, require_room
from autods.optics.spline import SplinePSF


def open_foreign(path: Path, pixel_size_nm: float | None = None) -> SplinePSF:
    """Read a PSF of another program, by its content.

    Raises `UserError` if the file is none of these or the pixel size is unknown.

    Parameters
    ----------
    path
        ``*_3dcal.mat`` of SMAP (which DECODE reads too) or ``.h5`` of uiPSF.
    pixel_size_nm
        Camera pixel, nm; SMAP files do not always state it, uiPSF files do.
    """
    complaint = f"{path}: is no PSF file (psf.h5, *_3dcal.mat, uiPSF .h5)"
    if h5py.is_hdf5(path):
        with read_by_library(complaint), h5py.File(path, "r") as file:
            file.visititems(lambda _, node: _require_room(node, path))
            if "res" in file and "I_model" in file["res"]:
                return _uipsf(file, path)
            if "SXY" in file or "cspline" in file:
                return _smap(_hdf_to_dict(file), path, pixel_size_nm)
        raise UserError(f"{path}: is no PSF that autods knows: give psf.h5, a *_3dcal.mat or a uiPSF .h5")
    with read_by_library(complaint):
        return _smap(loadmat(path, squeeze_me=True, simplify_cells=True), path, pixel_size_nm)


def _require_room(node: Any, path: Path) -> None:
    if isinstance(node, h5py.Dataset):
        require_room(math.prod(node.shape) * node.dtype.itemsize, path, str(node.name))


def _hdf_to_dict(node: Any) -> dict[str, Any]:
    """Nested dictionary of a MATLAB 7.3 file; arrays in MATLAB's order of axes, references resolved."""
    out: dict[str, Any] = {}
    for name, item in node.items():
        if isinstance(item, h5py.Group):
            out[name] = _hdf_to_dict(item)
            continue
        value = item[()]
        if isinstance(value, np.ndarray) and value.dtype == object:
            value = item.file[value.flat[0]]
            out[name] = _hdf_to_dict(value) if isinstance(value, h5py.Group) else np.transpose(value[()])
        else:
            out[name] = np.transpose(value)
    return out


def _smap(content: dict[str, Any], path: Path, pixel_size_nm: float | None) -> SplinePSF:
    """Read the samples at the nodes of SMAP's spline: the constant terms of its polynomials.

    Its coefficients have axes (rows, columns, z, 64); Li et al., Nature Methods 15, 367 (2018).
    """
    node: Any = content.get("SXY", content)
    if isinstance(node, (list, np.ndarray)):
        node = np.asarray(node).flat[0]
    try:
        spline = node["cspline"]
        coefficients: Any = spline["coeff"]
        if isinstance(coefficients, list) or np.asarray(coefficients).dtype == object:
            coefficients = (
                np.asarray(coefficients, dtype=object).flat[0] if len(coefficients) == 1 else coefficients[0]
            )
        coefficients = np.asarray(coefficients, np.float64)
        dz, z0 = float(np.ravel(spline["dz"])[0]), float(np.ravel(spline["z0"])[0])
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{path}: holds no cubic spline (SXY.cspline.coeff, dz, z0): is it a *_3dcal.mat?"
        ) from error
    if coefficients.ndim != 4 or coefficients.shape[3] != 64:
        raise UserError(
            f"{path}: cspline.coeff has shape {coefficients.shape}, expected (rows, columns, z, 64)"
        )
    if pixel_size_nm is None:
        raise UserError(f"{path}: does not state the camera pixel: give optics.pixel_size_nm=VALUE")
    return _from_samples(coefficients[..., 0].transpose(2, 0, 1), -z0 * dz, dz, pixel_size_nm)


def _uipsf(file: h5py.File, path: Path) -> SplinePSF:
    """Read the model stack of uiPSF (Liu et al., Nature Methods 21, 1082 (2024)); its lengths are in um."""
    volume = np.asarray(file["res/I_model"][()], np.float64)
    try:
        parameters = json.loads(file.attrs["params"])
        size = parameters["pixel_size"]
        pixel_nm, step_nm = 1000 * float(size["x"]), 1000 * float(size["z"])
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: states no pixel_size in its params: export it from uiPSF again") from error
    if volume.ndim != 3:
        raise UserError(
            f"{path}: res/I_model has shape {volume.shape}: only single-channel models can be read"
        )
    return _from_samples(volume, -step_nm * (len(volume) - 1) / 2, step_nm, pixel_nm)


def _from_samples(volume: np.ndarray, z_start_nm: float, z_step_nm: float, pixel_size_nm: float) -> SplinePSF:
    """Normalise to one photon in the fullest slice."""
    return SplinePSF(volume / volume.sum((1, 2)).max(), z_start_nm, z_step_nm, pixel_size_nm)
