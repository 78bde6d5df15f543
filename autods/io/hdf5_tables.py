"""Localization tables in HDF5: Picasso's and DECODE's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.core.grid import index_to_nm
from autods.core.quantities import require_plausible
from autods.core.table import LocalizationTable
from autods.io.foreign import read_by_library, require_room
from autods.io.programs import plausible
from autods.io.side_files import parse_yaml, read_yaml

#: Key of the YAML file under which our writer names the columns of which nothing is known.
UNKNOWN_COLUMNS = "Unknown columns"
_Columns = dict[str, NDArray[np.float64]]


def read_hdf5_table(path: str | Path, pixel_size_nm: float | None = None) -> LocalizationTable:
    """Read a table of Picasso (dataset or group ``locs``) or DECODE (group ``data``).

    Raises `UserError` if the file holds no localizations or the pixel size is not known.

    Parameters
    ----------
    path
        The file; Picasso's .yaml file lies beside it, or its text is stored inside.
    pixel_size_nm
        Side of a camera pixel, nm; None takes it from the file.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist: check the name")
    with read_by_library(f"{path} holds no readable localizations, export it again"):
        with h5py.File(path, "r") as file:
            if "locs" in file:
                return _picasso(path, file, pixel_size_nm)
            if isinstance(file.get("data"), h5py.Group) and "frame_ix" in file["data"]:
                return _decode(path, file, pixel_size_nm)
        raise UserError(f"{path} holds no Picasso localizations (dataset 'locs') and none of DECODE")


def _picasso(path: Path, file: Any, pixel_size_nm: float | None) -> LocalizationTable:
    columns = _table(file["locs"], path)
    if not {"frame", "x", "y"} <= set(columns):
        raise UserError(f"{path} lacks one of the columns frame, x, y: export it again")
    info = _picasso_info(path, file)
    for name in info.get(UNKNOWN_COLUMNS) or ():
        columns.pop(str(name), None)
    pixel = pixel_size_nm or _number(info.get("Pixelsize"))
    if not pixel:
        raise UserError(f"{path} does not state its pixel size: give optics.pixel_size_nm")
    require_plausible("pixel_size_nm", pixel, f"the pixel size of {path}")
    found: _Columns = {
        "x_nm": np.asarray(index_to_nm(columns["x"], pixel)),
        "y_nm": np.asarray(index_to_nm(columns["y"], pixel)),
    }
    names = {"photons": "photons", "bg": "background", "bg_std": "background_std", "confidence": "confidence"}
    found |= {target: columns[name] for name, target in names.items() if name in columns}
    if "z" in columns:
        found["z_nm"] = columns["z"]
        found |= {"uncertainty_z_nm": columns["lpz"]} if "lpz" in columns else {}
    for first, last, target in (("sx", "sy", "sigma_nm"), ("lpx", "lpy", "uncertainty_xy_nm")):
        if first in columns and last in columns:
            found[target] = pixel * np.sqrt((columns[first] ** 2 + columns[last] ** 2) / 2)
    return plausible(columns["frame"], found, path)


def _decode(path: Path, file: Any, pixel_size_nm: float | None) -> LocalizationTable:
    """Read DECODE's: frames from 0, x along the rows, from the centre of the first pixel."""
    columns = _table(file["data"], path)
    unit, sides = "px", (pixel_size_nm, pixel_size_nm)
    for group in file.values():
        unit = str(group.attrs.get("xy_unit", unit))
        stated = group.attrs.get("px_size")
        if stated is not None and np.size(stated) == 2:
            sides = (float(stated[0]), float(stated[1]))
    if "xyz" not in file["data"] or columns["xyz"].shape[1:] != (3,):
        raise UserError(f"{path} lacks the positions (xyz): export it again")
    if sides[0] is None or sides[1] is None:
        raise UserError(f"{path} does not state its pixel size: give optics.pixel_size_nm")
    for side in sides:
        require_plausible("pixel_size_nm", side, f"the pixel size of {path}")
    scale = (1.0, 1.0) if unit == "nm" else (sides[0], sides[1])
    xyz = columns["xyz"]
    found: _Columns = {
        "y_nm": xyz[:, 0] * scale[0] + 0.5 * sides[0],
        "x_nm": xyz[:, 1] * scale[1] + 0.5 * sides[1],
        "z_nm": xyz[:, 2],
    }
    names = {"phot": "photons", "bg": "background", "prob": "confidence"}
    n_rows = len(columns["frame_ix"])
    found |= {
        target: columns[name] for name, target in names.items() if columns.get(name, xyz).shape == (n_rows,)
    }
    if columns.get("xyz_sig", xyz[:0]).shape == xyz.shape:
        sigma = columns["xyz_sig"]
        found["uncertainty_xy_nm"] = np.sqrt(((sigma[:, :2] * scale) ** 2).mean(1))
        found["uncertainty_z_nm"] = sigma[:, 2]
    return plausible(columns["frame_ix"], found, path)


def _table(node: Any, path: Path) -> _Columns:
    """Read a compound dataset, or a group of one dataset a column or of one compound dataset."""
    if isinstance(node, h5py.Dataset):
        _require_room(node, path)
        values = node[()]
        return {name: np.asarray(values[name], np.float64) for name in values.dtype.names or ()}
    columns = _pandas_blocks(node, path)
    if columns:
        return columns
    for name, item in node.items():
        if not isinstance(item, h5py.Dataset):
            continue
        if item.dtype.names and "frame" in item.dtype.names:
            return _table(item, path)
        if item.dtype.kind in "uif" and item.ndim:
            _require_room(item, path)
            columns[str(name)] = np.asarray(item[()], np.float64)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise UserError(f"{path} has columns of different length: export it again")
    return columns


def _pandas_blocks(node: Any, path: Path) -> _Columns:
    """Read what pandas writes by default: blocks of columns of one type, and the names of each."""
    columns: _Columns = {}
    number = 0
    while f"block{number}_items" in node and f"block{number}_values" in node:
        names, values = (node[f"block{number}_{part}"] for part in ("items", "values"))
        _require_room(values, path)
        if values.dtype.kind in "uif" and values.ndim == 2:
            for name, column in zip(names[()].tolist(), np.asarray(values[()], np.float64).T, strict=False):
                columns[name.decode("utf-8") if isinstance(name, bytes) else str(name)] = column
        number += 1
    return columns


def _require_room(dataset: Any, path: Path) -> None:
    require_room(math.prod(dataset.shape) * dataset.dtype.itemsize, path, "localizations")


def _picasso_info(path: Path, file: Any) -> dict[str, Any]:
    """Join what the file itself and the YAML file beside it state; the latter wins."""
    info: dict[str, Any] = {}
    for node in (file, file["locs"]):
        for key, value in node.attrs.items():
            _take(info, str(key), value, path)
    for key, node in file.items():
        if key != "locs" and isinstance(node, h5py.Dataset) and node.shape == ():
            _take(info, str(key), node[()], path)
    for side in (path.with_suffix(".yaml"), path.with_suffix(".yml")):
        if side.exists():
            return info | read_yaml(side)
    return info


def _take(info: dict[str, Any], key: str, value: Any, path: Path) -> None:
    """Take a value, or the values of a text in YAML (which JSON is part of)."""
    text = value.encode() if isinstance(value, str) else value
    if isinstance(text, bytes) and (b":" in text):
        info.update(parse_yaml(text, f"{path} ({key})"))
    elif isinstance(value, np.generic | int | float):
        info[key] = np.asarray(value).item()


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
