"""Localization tables as Parquet: the format for large tables, with units and provenance in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.core.table import LocalizationTable
from autods.io.atomic import atomic_path
from autods.io.foreign import read_by_library, require_room
from autods.io.programs import plausible

#: First bytes of every Parquet file.
MAGIC = b"PAR1"
#: Key of the file's metadata under which the provenance lies.
_KEY = b"autods"
#: Bytes that one stored byte can stand for.
_MAX_RATIO = 5000
_ROWS_A_GROUP = 1 << 20
_UNITS = {"photons": "photon", "background": "photon/pixel", "background_std": "photon/pixel"}


def write_parquet(
    table: LocalizationTable,
    path: str | Path,
    *,
    more: Mapping[str, NDArray[np.generic]] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> None:
    """Write a table with our column names: frames from 0, nm, origin at the outer corner of pixel (0, 0).

    Positions are in double precision, the rest in single. Each column names its unit in its metadata. Raises
    `UserError` if the file cannot be written.

    Parameters
    ----------
    table
        The localizations.
    path
        File to write; replaced in one step.
    more
        Further columns (N,) by name; names ending in ``_nm`` are lengths.
    provenance
        What the table comes from, as JSON under the key ``autods`` of the file's metadata.
    """
    import pyarrow as pa
    from pyarrow import parquet

    order = table.order()
    columns = table.columns() | dict(more or {})
    arrays, fields = [], []
    for name, values in columns.items():
        stored = np.ascontiguousarray(_stored(name, values[order]))
        # `pa.array` would import pandas.
        kind = pa.from_numpy_dtype(stored.dtype)
        array = pa.Array.from_buffers(kind, len(stored), [None, pa.py_buffer(stored)])
        arrays.append(array)
        unit = "nm" if name.endswith("_nm") else _UNITS.get(name, "frame, from 0" if name == "frame" else "")
        fields.append(pa.field(name, array.type, metadata={"unit": unit} if unit else None))
    text = json.dumps(dict(provenance or {}), default=str)
    schema = pa.schema(fields, metadata={_KEY: text.encode()})
    # A file and not its name: Arrow takes only names in UTF-8.
    with atomic_path(path) as part, part.open("wb") as file:
        parquet.write_table(
            pa.Table.from_arrays(arrays, schema=schema),
            file,
            compression="zstd",
            row_group_size=_ROWS_A_GROUP,
        )


def _stored(name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
    is_position = name.split("_")[0] in ("x", "y", "z")
    if values.dtype.kind == "f":
        return values.astype(np.float64 if is_position else np.float32)
    return values.astype(np.int32)


def read_parquet(path: str | Path) -> LocalizationTable:
    """Read a table written by `write_parquet`, or any Parquet file with columns frame, x_nm and y_nm.

    Raises `UserError` if the file is damaged or lacks one of these columns.
    """
    from pyarrow import parquet

    path = Path(path)
    known = {"frame", *LocalizationTable.empty(is_3d=True).columns()}
    with read_by_library(f"{path} is not a whole Parquet file"), path.open("rb") as file:
        stated = parquet.ParquetFile(file).metadata
        require_room(8 * stated.num_rows * stated.num_columns, path, "localizations", _MAX_RATIO)
        content = parquet.read_table(file)
        columns = {
            name: np.asarray(content[name].to_numpy(), np.float64)
            for name in content.column_names
            if name in known
        }
    missing = [name for name in ("frame", "x_nm", "y_nm") if name not in columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}: it holds {', '.join(content.column_names)}")
    if "z_nm" not in columns:
        columns.pop("uncertainty_z_nm", None)
    return plausible(columns.pop("frame"), columns, path)
