"""Files of drift curves: our CSV and Picasso's text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.core.grid import px_to_nm
from autods.io.atomic import atomic_path
from autods.io.csv import format_rows, read_columns, read_header

_NAMES = ("x_nm", "y_nm", "z_nm")


def write_drift(path: str | Path, curve_nm: NDArray[np.float64], first_frame: int = 0) -> None:
    """Write a drift curve as CSV: ``frame`` from 0, ``x_nm``, ``y_nm``, in 3D ``z_nm``.

    Raises `UserError` if the file cannot be written.

    Parameters
    ----------
    path
        File to write; replaced in one step.
    curve_nm
        (T, 2) or (T, 3), what is subtracted from the positions of each frame, nm.
    first_frame
        Frame of the first row.
    """
    columns = {"frame": first_frame + np.arange(len(curve_nm))}
    columns |= dict(zip(_NAMES, curve_nm.T, strict=False))
    decimals = {name: 0 if name == "frame" else 3 for name in columns}
    with atomic_path(path) as part, part.open("wb") as file:
        file.write((",".join(columns) + "\n").encode("ascii"))
        file.writelines(format_rows(columns, decimals))


def read_drift(path: str | Path, frames: range, pixel_size_nm: float) -> NDArray[np.float64]:
    """Read a drift curve: our CSV, or Picasso's text (x and y in pixels, z in nm, a row a frame from 0).

    Returns (T, 2) or (T, 3), nm, of these frames. Raises `UserError` if the file is missing, is no drift
    curve or does not cover the frames.

    Parameters
    ----------
    path
        The file.
    frames
        Frames that it must cover.
    pixel_size_nm
        Camera pixel, nm, for Picasso's text.
    """
    path = Path(path)
    header = read_header(path)
    names = tuple(name.lower() for name in header.names)
    if names[:3] == ("frame", "x_nm", "y_nm"):
        columns = read_columns(path, replace(header, names=names))
        axes = [columns[name] for name in _NAMES if name in columns]
        first = int(columns["frame"][0]) if len(columns["frame"]) else 0
        if not np.array_equal(columns["frame"], first + np.arange(len(columns["frame"]))):
            raise UserError(f"{path}: its frames do not follow one another: give one row a frame")
    else:
        axes, first = _picasso_axes(path, pixel_size_nm), 0
    curve = np.column_stack(axes)
    start, stop = frames.start - first, frames.stop - first
    if start < 0 or stop > len(curve):
        raise UserError(
            f"{path} covers frames {first} to {first + len(curve) - 1}, the movie has"
            f" {frames.start} to {frames.stop - 1}: give the drift of this movie"
        )
    if not np.isfinite(curve[start:stop]).all():
        raise UserError(f"{path} holds values that are not numbers: write it again")
    return curve[start:stop]


def _picasso_axes(path: Path, pixel_size_nm: float) -> list[NDArray[np.float64]]:
    try:
        values = np.loadtxt(path, ndmin=2, comments="#")
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is no drift curve: give CSV with frame,x_nm,y_nm or Picasso's text"
        ) from error
    if values.shape[1] not in (2, 3):
        raise UserError(f"{path} has {values.shape[1]} columns: Picasso's drift has x, y (and z)")
    axes = [px_to_nm(values[:, axis], pixel_size_nm) for axis in range(2)]
    return axes if values.shape[1] == 2 else [*axes, values[:, 2]]
