"""What is taken away from a look at a result: a picture with its scale, and the table that was looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.io.drift import read_drift
from autods.io.images import write_image_tiff
from autods.io.tables import read_table, write_parquet, write_thunderstorm
from autods.pipelines.shown_rows import Box, Look
from autods.pipelines.sorted_table import Source, table_file
from autods.pipelines.tiles import Painter
from autods.postprocessing.filtering import filter_rows
from autods.rendering import shaded, with_scale

#: Sides of an exported picture at most, pixels.
MOST_PX = 8192


def export_picture(painter: Painter, look: Look, box_nm: Box, side_px: int) -> NDArray[np.uint8]:
    """Draw a part of the field with scale bar and, in the colours of depth, their legend.

    Returns (Y, X, 3) uint8. Raises `UserError` if the part is empty.

    Parameters
    ----------
    painter, look
        What is drawn.
    box_nm
        Part ``(y0, x0, y1, x1)``, nm from the corner of the field.
    side_px
        Pixels of the longer side.
    """
    light, white = painter.part(look, box_nm, min(side_px, MOST_PX))
    depth = painter.table.depth_range_nm if look.colors == "depth" else None
    picture = shaded(light, white, look.colors if look.colors != "depth" else "gray")
    return with_scale(picture, _pixel_nm(box_nm, light), depth)


def export_tiff(painter: Painter, look: Look, box_nm: Box, side_px: int, path: Path) -> None:
    """Write a part of the field as float32 TIFF with its pixel size, for Fiji; depths add up without colours.

    Raises `UserError` if the part is empty, or the file cannot be written.
    """
    grey = Look(look.filter, look.drawing, "gray", look.percentile, look.is_corrected)
    light, _ = painter.part(grey, box_nm, min(side_px, MOST_PX))
    write_image_tiff(light, path, _pixel_nm(box_nm, light))


def export_table(run: Path, source: Source, text: str, is_corrected: bool, path: Path) -> None:
    """Write the localizations that pass a filter, in the precision of the run's own table.

    Raises `UserError` if there is no such table, the filter cannot be read or the file cannot be written.

    Parameters
    ----------
    run, source
        The run folder, and which of its tables.
    text
        The filter; '' takes all.
    is_corrected
        Whether the drift stays subtracted.
    path
        Parquet or, with any other ending, CSV of ThunderSTORM.
    """
    found = table_file(run, source)
    if found is None:
        raise UserError(f"{run.name} has no {source}: run it to its end")
    table = read_table(found)
    if text.strip():
        table = table.select(filter_rows(table, text))
    if not is_corrected and (curve := drift_curve(run)) is not None:
        table = _uncorrected(table, curve)
    if path.suffix == ".parquet":
        write_parquet(table, path, provenance={"run": run.name, "table": source, "filter": text})
    else:
        write_thunderstorm(table, path)


def drift_curve(run: Path) -> NDArray[np.float64] | None:
    """Return the drift (frames, 2 or 3) that was subtracted, nm, from frame 0 on; None where none was."""
    path = run / "drift.csv"
    if not path.is_file() or not path.resolve().is_relative_to(run.resolve()):
        return None
    try:
        # Of the frames before the first that was localized nothing is known: they moved as it did.
        first, last = _frames(path)
        curve = read_drift(path, range(first, last + 1), 1.0)
    except (UserError, ValueError):
        return None
    return np.concatenate([np.repeat(curve[:1], first, 0), curve]) if np.any(curve) else None


def _frames(path: Path) -> tuple[int, int]:
    """Return the first and the last frame of a drift's file."""
    frames = np.loadtxt(path, delimiter=",", skiprows=1, usecols=0, ndmin=1, max_rows=10_000_000)
    first, last = int(frames[0]), int(frames[-1])
    if not 0 <= first <= last <= first + len(frames):
        raise ValueError(path)
    return first, last


def _uncorrected(table: LocalizationTable, curve: NDArray[np.float64]) -> LocalizationTable:
    moved = curve[np.clip(table.frame, 0, len(curve) - 1)]
    columns = table.columns() | {"x_nm": table.x_nm + moved[:, 0], "y_nm": table.y_nm + moved[:, 1]}
    if table.z_nm is not None and curve.shape[1] == 3:
        columns["z_nm"] = table.z_nm + moved[:, 2]
    return LocalizationTable(**columns)  # type: ignore[arg-type]


def _pixel_nm(box_nm: Box, light: NDArray[np.float32]) -> float:
    return float(max(box_nm[2] - box_nm[0], box_nm[3] - box_nm[1]) / max(light.shape[:2]))
