"""Localization tables of any format."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from autods.core.errors import UserError, require_type
from autods.core.table import LocalizationTable
from autods.io.hdf5_tables import read_hdf5_table
from autods.io.parquet import MAGIC, read_parquet, write_parquet
from autods.io.picasso import write_picasso
from autods.io.programs import read_text_table
from autods.io.smap import MATLAB, read_smap
from autods.io.thunderstorm import write_thunderstorm
from autods.io.truth import TruthWriter, write_truth

__all__ = [
    "TruthWriter",
    "read_hdf5_table",
    "read_parquet",
    "read_table",
    "read_text_table",
    "write_parquet",
    "write_picasso",
    "write_thunderstorm",
    "write_truth",
]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_table(path: str | Path, pixel_size_nm: float | None = None) -> LocalizationTable:
    """Read a localization table, its format told by the content.

    Frames count from 0, positions are in nm from the outer corner. Raises `UserError` if the file is missing
    or of none of these kinds.

    Parameters
    ----------
    path
        A text table of `autods.io.programs`, Picasso or DECODE HDF5, SMAP's ``_sml.mat``, Parquet, or a run
        folder holding ``localizations.csv``.
    pixel_size_nm
        Needed only for positions in pixels in a table that does not state it, nm.
    """
    require_type("path", path, str, os.PathLike)
    require_type("pixel_size_nm", pixel_size_nm, float, int, np.number, type(None))
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
    if start.startswith(MATLAB):
        return read_smap(path)
    if start == _HDF5:
        return read_hdf5_table(path, pixel_size_nm)
    if start.startswith(MAGIC):
        return read_parquet(path)
    return read_text_table(path, pixel_size_nm)
