"""Tables for SMAP: its own ``_sml.mat``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from autods.core.table import LocalizationTable
from autods.io.atomic import atomic_path

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

    Raises
    ------
    UserError
        If the file cannot be written.
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
