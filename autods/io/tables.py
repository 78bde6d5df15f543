"""Localization tables of any format."""

from __future__ import annotations

from pathlib import Path

from autods.core.errors import UserError
from autods.core.table import LocalizationTable
from autods.io.csv import read_header
from autods.io.parquet import MAGIC, read_parquet, write_parquet
from autods.io.picasso import read_picasso, write_picasso
from autods.io.thunderstorm import read_thunderstorm, write_thunderstorm
from autods.io.truth import TruthWriter, read_truth, write_truth

__all__ = [
    "TruthWriter",
    "read_parquet",
    "read_picasso",
    "read_table",
    "read_thunderstorm",
    "read_truth",
    "write_parquet",
    "write_picasso",
    "write_thunderstorm",
    "write_truth",
]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_table(path: str | Path, pixel_size_nm: float | None = None) -> LocalizationTable:
    """Read a localization table, its format told by the content.

    Parameters
    ----------
    path
        ThunderSTORM CSV, Picasso HDF5, Parquet, truth CSV, or a run folder holding ``localizations.csv``.
    pixel_size_nm
        Needed only for a Picasso table without its YAML file.

    Returns
    -------
    LocalizationTable
        Frames from 0, nm, corner origin.

    Raises
    ------
    UserError
        If the file is missing or of none of these kinds.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "localizations.csv"
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: check the name") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if start == _HDF5:
        return read_picasso(path, pixel_size_nm)
    if start.startswith(MAGIC):
        return read_parquet(path)
    names = {name.lower() for name in read_header(path)}
    if any(name.startswith("x [") for name in names):
        return read_thunderstorm(path)
    if "x_nm" in names:
        return read_truth(path)
    raise UserError(
        f"{path} is no localization table: give ThunderSTORM CSV, Picasso HDF5 or CSV with frame,x_nm,y_nm"
    )
