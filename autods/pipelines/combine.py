"""Two targets or two channels: both tables in one frame of reference, and one picture of two colours."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.io.atomic import atomic_path, write_json
from autods.io.csv import format_rows
from autods.io.images import write_image_tiff, write_png
from autods.io.tables import read_table, write_thunderstorm
from autods.pipelines.outputs import picture_pixel_nm, spot_sigma_nm
from autods.postprocessing.fiducials import Fiducial, find_fiducials
from autods.postprocessing.linking import link
from autods.postprocessing.registration import Registration, register
from autods.rendering import render_gaussian, to_preview, two_colors
from autods.runs.record import Progress, RunRecord, no_progress, read_run

#: The transform, and what is left of it place by place.
REGISTRATION_FILE, RESIDUALS_FILE = "registration.json", "registration.csv"
#: A transform of beads needs at least so many of them.
_LEAST_BEADS = 3
#: Matched points are listed up to this distance, nm, averaged over tiles of this side, nm.
_MATCHED_NM, _TILE_NM = 60.0, 2000.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Combined:
    """Two tables in the coordinates of the first."""

    #: The tables.
    first: LocalizationTable
    second: LocalizationTable
    #: What brought the second one there.
    registration: Registration


@dataclass(frozen=True)
class _Source:
    """A table with the events, the beads and the corner of its region."""

    table: LocalizationTable
    events: LocalizationTable
    beads: list[Fiducial]
    origin_nm: Floats


def combine(
    first: Path,
    second: Path,
    out: Path,
    *,
    registration: str = "auto",
    render_pixel_size_nm: float = 10.0,
    progress: Progress = no_progress,
    command: str = "",
) -> Combined:
    """Bring two tables into one frame of reference and draw them in magenta and green.

    Writes ``first.csv`` and ``second.csv`` (ThunderSTORM), ``registration.json`` (the transform and its
    error), ``registration.csv`` (what is left of it, tile by tile), ``two_targets.tif`` (two channels) and
    ``preview.png``. Raises `UserError` if a table cannot be read, or the file of the registration is none.

    Parameters
    ----------
    first, second
        Run folders or tables of any format.
    out
        Where to write.
    registration
        ``auto``: from beads that shine in most frames of both, else from structure that both share;
        ``none``; or the ``registration.json`` of an earlier combination, of bead movies for instance.
    render_pixel_size_nm
        Pixel of the picture, nm.
    progress
        Told of each stage.
    command
        The command line that repeats it.
    """
    with RunRecord(out, "combine", command=command, progress=progress) as record:
        with record.stage("read"):
            sources = [_read(path) for path in (first, second)]
        with record.stage("register"):
            found = _register(sources[0], sources[1], registration)
        if not found.is_found:
            record.warn(f"the second table stays where it is: {found.note}")
        combined = Combined(sources[0].table, found.apply(sources[1].table), found)
        with record.stage("write"):
            write_thunderstorm(combined.first, out / "first.csv")
            write_thunderstorm(combined.second, out / "second.csv")
            names = {"first": str(first), "second": str(second)}
            write_json(out / REGISTRATION_FILE, {**names, **found.to_dict()})
            events = sources[0].events, found.apply(sources[1].events)
            _write_residuals(*events, out / RESIDUALS_FILE)
        with record.stage("render"):
            _write_picture(*events, sources[0].origin_nm, render_pixel_size_nm, out)
        record.add_results(
            localizations=[len(combined.first), len(combined.second)], registration=found.to_dict()
        )
    return combined


def _read(path: Path) -> _Source:
    """Read a table; drift that a run subtracted is kept."""
    table = read_table(path)
    frames = range(int(table.frame.min(initial=0)), int(table.frame.max(initial=0)) + 1)
    linked = link(table)
    beads = [one for one in find_fiducials(table, frames, linked) if one.is_bead]
    return _Source(table, linked.table, beads, _origin_nm(path))


def _origin_nm(path: Path) -> Floats:
    """Return the corner of the region that a run localized, nm: half of a frame, say."""
    run = read_run(path) if path.is_dir() else None
    region = (run or {}).get("results", {}).get("region")
    if not region:
        return np.zeros(2)
    y0, x0 = region["origin_px"]
    return np.array([x0, y0], np.float64) * float(region["pixel_size_nm"])


def _register(first: _Source, second: _Source, how: str) -> Registration:
    if how == "none":
        return Registration.identity("not asked for", is_found=True)
    if how != "auto":
        return _read_registration(Path(how))
    enough = min(len(first.beads), len(second.beads)) >= _LEAST_BEADS
    points = [
        np.array([bead.position_nm.mean(0)[:2] for bead in source.beads])
        if enough
        else np.column_stack([source.events.x_nm, source.events.y_nm])
        for source in (first, second)
    ]
    # Of two halves of a frame each is compared from its own corner.
    found = register(*(xy - source.origin_nm for xy, source in zip(points, (first, second), strict=True)))
    if enough and not found.is_found:
        return found
    shift = found.shift_nm + first.origin_nm - found.matrix @ second.origin_nm
    source = f"{len(first.beads)} and {len(second.beads)} beads" if enough else "structure in both"
    return Registration(
        found.matrix,
        shift,
        found.error_nm,
        found.residual_nm,
        found.n_points,
        f"{found.note}; {source}" if found.is_found else found.note,
        found.is_found,
    )


def _read_registration(path: Path) -> Registration:
    """Read the transform of an earlier combination."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        matrix, shift = (np.asarray(content[name], np.float64) for name in ("matrix", "shift_nm"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"registration={path}: give auto, none or the {REGISTRATION_FILE} of an earlier combination"
        ) from error
    if matrix.shape != (2, 2) or shift.shape != (2,) or not np.isfinite([*matrix.flat, *shift]).all():
        raise UserError(f"{path} holds no affine transform: combine the beads again")
    left = [
        math.nan if content.get(name) is None else float(content[name])
        for name in ("error_nm", "residual_nm")
    ]
    return Registration(matrix, shift, left[0], left[1], int(content.get("n_points", 0)), f"read from {path}")


def _write_residuals(first: LocalizationTable, second: LocalizationTable, path: Path) -> None:
    """Write the mean distance of matched events of both tables for each tile of the field."""
    from scipy.spatial import cKDTree

    columns: dict[str, NDArray[Any]] = {name: np.zeros(0) for name in ("x_nm", "y_nm", "dx_nm", "dy_nm", "n")}
    if len(first) and len(second):
        places = [np.column_stack([table.x_nm, table.y_nm]) for table in (first, second)]
        distance, nearest = cKDTree(places[0]).query(places[1])
        near = np.asarray(distance) < _MATCHED_NM
        apart = places[1][near] - places[0][np.asarray(nearest)[near]]
        tiles, tile = np.unique((places[1][near] // _TILE_NM).astype(np.int64), axis=0, return_inverse=True)
        tile = tile.ravel()
        count = np.bincount(tile, minlength=len(tiles))
        means = [np.bincount(tile, axis, len(tiles)) / np.maximum(count, 1) for axis in apart.T]
        centre = (tiles + 0.5) * _TILE_NM
        columns = {
            "x_nm": centre[:, 0],
            "y_nm": centre[:, 1],
            "dx_nm": means[0],
            "dy_nm": means[1],
            "n": count,
        }
    decimals = {"x_nm": 0, "y_nm": 0, "dx_nm": 2, "dy_nm": 2, "n": 0}
    with atomic_path(path) as part, part.open("wb") as file:
        file.write((",".join(columns) + "\n").encode("ascii"))
        file.writelines(format_rows(columns, decimals))


def _write_picture(
    first: LocalizationTable, second: LocalizationTable, corner_nm: Floats, pixel_size_nm: float, out: Path
) -> None:
    """Write ``two_targets.tif`` and ``preview.png`` of the field that both tables cover."""
    x, y = (np.concatenate([a, b]) for a, b in ((first.x_nm, second.x_nm), (first.y_nm, second.y_nm)))
    x0, y0 = corner_nm
    width, height = (max(float(np.max(v, initial=s)) - s, 1000.0) for v, s in ((x, x0), (y, y0)))
    pixel_nm = picture_pixel_nm((height, width), pixel_size_nm)
    images = [
        render_gaussian(
            table.x_nm - x0, table.y_nm - y0, spot_sigma_nm(table, pixel_nm), (height, width), pixel_nm
        )
        for table in (first, second)
    ]
    write_image_tiff(np.stack(images), out / "two_targets.tif", pixel_nm, axes="CYX")
    write_png(to_preview(two_colors(images[0], images[1]), pixel_nm), out / "preview.png")
