"""Tables of SMAP: its own ``_sml.mat``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from autods.core.errors import UserError
from autods.core.table import LocalizationTable
from autods.io.atomic import atomic_path
from autods.io.foreign import read_by_library, require_room
from autods.io.programs import plausible

#: First bytes of every file of MATLAB.
MATLAB = b"MATLAB "

#: SMAP's field, column of the table.
_FIELDS = {
    "xnm": "x_nm",
    "ynm": "y_nm",
    "znm": "z_nm",
    "phot": "photons",
    "bg": "background",
    "PSFxnm": "sigma_nm",
    "locprecnm": "uncertainty_xy_nm",
    "locprecznm": "uncertainty_z_nm",
}


def write_smap(
    table: LocalizationTable, path: str | Path, pixel_size_nm: float, *, movie: str | Path = ""
) -> None:
    """Write a table that SMAP loads: ``saveloc.loc`` with a column a field, frames from 1, nm.

    Raises `UserError` if the file cannot be written.

    Parameters
    ----------
    table
        The localizations.
    path
        File to write, best ending in ``_sml.mat``; replaced in one step.
    pixel_size_nm
        Camera pixel, nm.
    movie
        Name of the movie.
    """
    ordered = table.sorted().columns()
    loc = {"frame": (ordered["frame"].astype(np.float64) + 1)[:, None]}
    loc |= {
        name: ordered[column].astype(np.float64)[:, None]
        for name, column in _FIELDS.items()
        if column in ordered
    }
    loc["filenumber"] = np.ones((len(table), 1))
    loc["channel"] = np.zeros((len(table), 1))
    pixel_um = pixel_size_nm / 1000
    file = {"name": str(movie), "number": 1, "info": {"cam_pixelsize_um": np.array([[pixel_um, pixel_um]])}}
    with atomic_path(path) as part:
        savemat(str(part), {"saveloc": {"loc": loc, "file": file}}, appendmat=False, do_compression=True)


def read_smap(path: str | Path) -> LocalizationTable:
    """Read ``saveloc.loc`` of a ``_sml.mat``, of MATLAB 5 or 7.3; positions are taken as they are.

    Raises `UserError` if the file is damaged or holds no localizations.
    """
    path = Path(path)
    with read_by_library(f"{path} is no readable table of SMAP, save it again"):
        columns = _fields_73(path) if h5py.is_hdf5(path) else _fields_5(path)
        missing = [name for name in ("frame", "xnm", "ynm") if name not in columns]
        if missing:
            raise UserError(f"{path} is no table of SMAP: it lacks saveloc.loc.{missing[0]}")
        found = {column: columns[name] for name, column in _FIELDS.items() if name in columns}
        if "z_nm" not in found:
            found.pop("uncertainty_z_nm", None)
        return plausible(columns["frame"] - 1, found, path)


def _fields_5(path: Path) -> dict[str, NDArray[np.float64]]:
    content: Any = loadmat(path, variable_names=["saveloc"], squeeze_me=True, simplify_cells=True)
    loc = content["saveloc"]["loc"]
    return {
        name: np.atleast_1d(np.asarray(loc[name], np.float64)) for name in ("frame", *_FIELDS) if name in loc
    }


def _fields_73(path: Path) -> dict[str, NDArray[np.float64]]:
    with h5py.File(path, "r") as file:
        loc = file["saveloc/loc"]
        columns = {}
        for name in ("frame", *_FIELDS):
            if name in loc:
                require_room(math.prod(loc[name].shape) * loc[name].dtype.itemsize, path, "localizations")
                columns[name] = np.asarray(loc[name][()], np.float64).reshape(-1)
        return columns
