"""ThunderSTORM's CSV, which Fiji, SMAP and most programs of the field open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.table import LocalizationTable
from autods.io.atomic import atomic_path
from autods.io.csv import format_rows

#: Column of the file, column of the table, digits after the point; in the file's order.
_COLUMNS = (
    ("x [nm]", "x_nm", 2),
    ("y [nm]", "y_nm", 2),
    ("z [nm]", "z_nm", 2),
    ("sigma [nm]", "sigma_nm", 2),
    ("intensity [photon]", "photons", 2),
    ("offset [photon]", "background", 3),
    ("bkgstd [photon]", "background_std", 3),
    ("uncertainty_xy [nm]", "uncertainty_xy_nm", 3),
    ("uncertainty_z [nm]", "uncertainty_z_nm", 3),
    ("confidence", "confidence", 4),
)


def write_thunderstorm(
    table: LocalizationTable,
    path: str | Path,
    more: Mapping[str, tuple[NDArray[np.generic], int]] | None = None,
) -> None:
    """Write a table as ThunderSTORM does: quoted header, frames from 1, nm, origin at the outer corner.

    Rows are ordered by frame, y, x, so that the same localizations give the same bytes. Unknown values are
    ``NaN``. Raises `UserError` if the file cannot be written.

    Parameters
    ----------
    table
        The localizations.
    path
        File to write; replaced in one step.
    more
        Further columns (N,) by their header, each with its digits after the point.
    """
    order = table.order()
    ordered = table.select(order).columns()
    columns: dict[str, NDArray[np.generic]] = {
        "id": np.arange(1, len(table) + 1),
        "frame": ordered["frame"].astype(np.int64) + 1,
    }
    decimals = {"id": 0, "frame": 0}
    for name, field, digits in _COLUMNS:
        if field in ordered:
            columns[name], decimals[name] = ordered[field], digits
    for name, (values, digits) in (more or {}).items():
        columns[name], decimals[name] = values[order], digits
    with atomic_path(path) as part, part.open("wb") as file:
        file.write((",".join(f'"{name}"' for name in columns) + "\n").encode("ascii"))
        file.writelines(format_rows(columns, decimals))
