"""The file ``psf.h5``: a calibrated PSF with its optics, units and provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import torch

from autods.core import OpticalSystem, UserError
from autods.io.atomic import atomic_path
from autods.io.foreign import read_by_library, require_room
from autods.optics.field import FieldVariation
from autods.optics.importers import open_foreign
from autods.optics.model_error import ModelError
from autods.optics.protocol import PSFModel
from autods.optics.pupil_psf import PupilPSF, ScalarPSF, VectorialPSF
from autods.optics.spline import SplinePSF
from autods.optics.unwrap import unwrap_phase
from autods.optics.zernike import zernike_basis

_FORMAT = "autods-psf"
_KINDS: dict[str, type[PupilPSF]] = {"scalar": ScalarPSF, "vectorial": VectorialPSF}
_ZERNIKE_MODES = 36
#: Column of the share of the light that was seen in the table of the errors.
_SHARE = 3


def zernike_table(psf: PupilPSF, modes: int = _ZERNIKE_MODES) -> np.ndarray:
    """Zernike coefficients (modes,) in waves rms of a PSF's phase, Noll 1 to `modes`.

    By least squares over the aperture after unwrapping; a phase with vortices has no good one.
    """
    pupil = psf.pupil
    basis = zernike_basis(list(range(1, modes + 1)), pupil.u, pupil.v).double().flatten(1)
    weight = pupil.aperture.double().flatten()
    phase = unwrap_phase(psf.phase.detach(), pupil.aperture > 0)
    moment = (basis * weight) @ phase.double().flatten()
    solution = torch.linalg.solve((basis * weight) @ basis.T, moment) / (2 * math.pi)
    return np.asarray(solution.numpy())


def save_psf(
    psf: PupilPSF | SplinePSF,
    path: str | Path,
    provenance: Mapping[str, str],
    variation: FieldVariation | None = None,
    error: ModelError | None = None,
) -> None:
    """Write a PSF to HDF5.

    Raises `UserError` if the file cannot be written.

    Parameters
    ----------
    psf
        A diffraction or a spline PSF.
    path
        File to write; replaced in one step.
    provenance
        Texts that say where it comes from (source file, hash, settings, version), stored as attributes.
    variation
        How a diffraction PSF changes over the field.
    error
        What its misfit does to positions, where a calibration measured it.
    """
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        file.attrs["format"], file.attrs["version"] = _FORMAT, 1
        file.attrs["conventions"] = "nm, radians; rows along y, columns along x; z from the coverslip"
        if isinstance(psf, SplinePSF):
            file.attrs["kind"] = "spline"
            table = file.create_dataset("coefficients", data=psf.coefficients.numpy(), compression="gzip")
            for name in ("pixel_size_nm", "oversampling", "z_start_nm", "z_step_nm"):
                table.attrs[name] = getattr(psf, name)
        else:
            _write_pupil(file, psf)
            if variation is not None:
                _write_variation(file, variation)
        if error is not None:
            columns = np.column_stack(
                [error.depth_nm, error.lateral_nm, error.axial_nm, error.seen, error.displacement_nm]
            )
            written = file.create_dataset("model_error", data=columns)
            written.attrs["columns"] = (
                "depth, lateral, axial, nm; share of the light that was seen; displacement by x, y, z, nm"
            )
        group = file.create_group("provenance")
        for key, text in provenance.items():
            group.attrs[key] = text


def _write_pupil(file: h5py.File, psf: PupilPSF) -> None:
    file.attrs["kind"] = next(name for name, kind in _KINDS.items() if type(psf) is kind)
    optics = file.create_group("optics")
    for item in fields(psf.optics):
        optics.attrs[item.name] = getattr(psf.optics, item.name)
    file.create_dataset("phase", data=psf.phase.detach().numpy()).attrs["unit"] = "rad"
    file.create_dataset("amplitude", data=psf.amplitude.detach().numpy()).attrs["unit"] = "1"
    zernikes = file.create_dataset("zernike", data=zernike_table(psf))
    zernikes.attrs["unit"], zernikes.attrs["order"] = "waves rms", "Noll, from 1"
    file.attrs["blur_sigma_nm"] = float(psf.blur_sigma_nm)
    file.attrs["supercritical"] = psf.supercritical


def _write_variation(file: h5py.File, variation: FieldVariation) -> None:
    waves = file.create_dataset("field", data=variation.waves)
    waves.attrs["unit"], waves.attrs["noll"] = "waves rms", variation.noll
    waves.attrs["terms"] = "1, x, y, x^2, xy, y^2; x and y from -1 to 1"
    waves.attrs["centre_nm"], waves.attrs["half_nm"] = variation.centre_nm, variation.half_nm


def load_variation(path: str | Path) -> FieldVariation | None:
    """Read how the PSF of a ``psf.h5`` changes over the field; None where it does not."""
    if not h5py.is_hdf5(path):
        return None
    with read_by_library(f"{path}: is damaged, calibrate again"), h5py.File(path, "r") as file:
        if "field" not in file or file.attrs.get("format") != _FORMAT:
            return None
        waves = file["field"]
        noll = tuple(int(index) for index in waves.attrs["noll"])
        centre, half = ((float(x), float(y)) for x, y in (waves.attrs["centre_nm"], waves.attrs["half_nm"]))
        return FieldVariation(noll, waves[:], centre, half)


def load_error(path: str | Path) -> ModelError | None:
    """Read what the misfit of the PSF of a ``psf.h5`` does to positions; None where that is not known."""
    if not h5py.is_hdf5(path):
        return None
    with read_by_library(f"{path}: is damaged, calibrate again"), h5py.File(path, "r") as file:
        if "model_error" not in file or file.attrs.get("format") != _FORMAT:
            return None
        columns = np.asarray(file["model_error"][:], np.float64)
        depth, lateral, axial = columns[:, :3].T
        # Files of before state no share of the light, and no displacement.
        seen = columns[:, 3] if columns.shape[1] > _SHARE else np.ones_like(depth)
        moved = columns[:, 4:] if columns.shape[1] > _SHARE + 1 else np.zeros((len(depth), 3))
        return ModelError(depth, lateral, axial, seen, moved)


def load_psf(path: str | Path, nfp_nm: float | None = None, pixel_size_nm: float | None = None) -> PSFModel:
    """Open a PSF: ``psf.h5``, SMAP or DECODE ``*_3dcal.mat``, uiPSF ``.h5``; the content decides.

    Raises `UserError` if the file is absent, not a PSF, or lacks something.

    Parameters
    ----------
    path
        File.
    nfp_nm
        Nominal focal plane of the experiment instead of the stored one (diffraction models only), nm.
    pixel_size_nm
        Camera pixel, needed for files that do not state it (SMAP), nm.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if not h5py.is_hdf5(path):
        return open_foreign(path, pixel_size_nm)
    with read_by_library(f"{path}: is damaged, calibrate again"), h5py.File(path, "r") as file:
        if file.attrs.get("format") == _FORMAT:
            return _read(file, nfp_nm)
    return open_foreign(path, pixel_size_nm)


def _read(file: h5py.File, nfp_nm: float | None) -> PSFModel:
    for node in file.values():
        if isinstance(node, h5py.Dataset):
            require_room(math.prod(node.shape) * node.dtype.itemsize, Path(file.filename), node.name)
    kind = str(file.attrs["kind"])
    if kind == "spline":
        table = file["coefficients"]
        attributes = {name: float(table.attrs[name]) for name in ("z_start_nm", "z_step_nm", "pixel_size_nm")}
        return SplinePSF.from_coefficients(
            torch.from_numpy(table[:]), oversampling=int(table.attrs["oversampling"]), **attributes
        )
    optics = OpticalSystem(**{name: float(value) for name, value in file["optics"].attrs.items()})
    if nfp_nm is not None:
        optics = replace(optics, nfp_nm=nfp_nm)
    return _KINDS[kind](
        optics,
        torch.from_numpy(file["phase"][:]),
        torch.from_numpy(file["amplitude"][:]),
        float(file.attrs["blur_sigma_nm"]),
        supercritical=bool(file.attrs["supercritical"]),
    )
