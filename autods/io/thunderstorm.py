"""ThunderSTORM's CSV, which Fiji, SMAP and most programs of the field open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.core.table import LocalizationTable
from autods.io.atomic import atomic_path
from autods.io.csv import format_rows, read_columns, read_header

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

#: How other versions and programs call the same columns.
_SYNONYMS = {"uncertainty": "uncertainty_xy_nm", "sigma1": "sigma_nm", "bkgstd": "background_std"}
_FIELDS = {name.split(" [")[0]: field for name, field, _ in _COLUMNS} | _SYNONYMS
_NM = {"nm": 1.0, "um": 1e3, "µm": 1e3, "Î¼m": 1e3, "Âµm": 1e3}


def write_thunderstorm(
    table: LocalizationTable,
    path: str | Path,
    more: Mapping[str, tuple[NDArray[np.generic], int]] | None = None,
) -> None:
    """Write a table as ThunderSTORM does: quoted header, frames from 1, nm, origin at the outer corner.

    Rows are ordered by frame, y, x, so that the same localizations give the same bytes. Unknown values are
    ``NaN``.

    Parameters
    ----------
    table
        The localizations.
    path
        File to write; replaced in one step.
    more
        Further columns (N,) by their header, each with its digits after the point.

    Raises
    ------
    UserError
        If the file cannot be written.
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


def read_thunderstorm(path: str | Path) -> LocalizationTable:
    """Read a ThunderSTORM CSV, its columns in any order and any but x, y and frame missing.

    Parameters
    ----------
    path
        The file; lengths in nm or um.

    Returns
    -------
    LocalizationTable
        Frames from 0; a column that the file lacks, or gives in another unit than photons, is NaN.

    Raises
    ------
    UserError
        If positions are in pixels, a needed column is missing or the file is no table.
    """
    path = Path(path)
    names = read_header(path)
    columns = read_columns(path, names)
    found: dict[str, NDArray[np.generic]] = {}
    for name in names:
        label, unit = _split(name)
        if label == "frame":
            found["frame"] = columns[name] - 1
        elif label in _FIELDS:
            values = _in_our_unit(columns[name], _FIELDS[label], unit, path)
            if values is not None:
                found[_FIELDS[label]] = values
    missing = [name for name in ("frame", "x_nm", "y_nm") if name not in found]
    if missing:
        wanted = {"frame": '"frame"', "x_nm": '"x [nm]"', "y_nm": '"y [nm]"'}
        raise UserError(f"{path} has no column {wanted[missing[0]]}: export it again with that column")
    if "z_nm" not in found:
        found.pop("uncertainty_z_nm", None)
    return LocalizationTable.build(found.pop("frame"), found.pop("x_nm"), found.pop("y_nm"), **found)


def _split(name: str) -> tuple[str, str]:
    """Split ``"x [nm]"`` into name and unit."""
    found = re.fullmatch(r"(.*?)\s*\[(.*)\]", name)
    return (found[1].lower(), found[2]) if found else (name.lower(), "")


def _in_our_unit(
    values: NDArray[np.float64], field: str, unit: str, path: Path
) -> NDArray[np.float64] | None:
    """Convert lengths to nm; None for an amount of light that is not in photons."""
    if field.endswith("_nm"):
        if unit and unit not in _NM:
            raise UserError(f"{path} gives {field.removesuffix('_nm')} in [{unit}]: export it in nm")
        return values * _NM[unit or "nm"]
    if field != "confidence" and unit not in ("photon", "photons", ""):
        return None
    return values
