"""Finishing a table that is there: of an earlier run, or of another program."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from autods.core import LocalizationTable, UserError
from autods.core.grid import nm_to_px
from autods.io.drift import read_drift
from autods.io.smap import write_smap
from autods.io.tables import read_table
from autods.pipelines import outputs
from autods.pipelines.finish import Finished, finish, finish_rows
from autods.pipelines.settings import FinishSettings, SettingRow
from autods.postprocessing.drift import Drift
from autods.runs.record import Progress, RunRecord, no_progress, read_run

#: Camera pixel where nobody says it, nm.
_USUAL_PIXEL_NM = 100.0


def finish_table(
    path: Path,
    settings: FinishSettings,
    out: Path,
    *,
    pixel_size_nm: float | None = None,
    render_pixel_size_nm: float = 10.0,
    progress: Progress = no_progress,
    command: str = "",
) -> Finished:
    """Filter, correct, link, draw and export a table.

    Raises `UserError` if the table cannot be read, or is that of the folder to be written.

    Parameters
    ----------
    path
        A run folder, whose drift is first put back, or a table of any format.
    settings
        What is wanted.
    out
        Where to write: the tables, picture and report of a run, and ``localizations_sml.mat`` for SMAP.
    pixel_size_nm
        Camera pixel, nm; None: what the run or the table says, else 100.
    render_pixel_size_nm
        Pixel of the picture, nm.
    progress
        Told of each stage.
    command
        The command line that repeats it.
    """
    if path.is_dir() and path.resolve() == out.resolve():
        raise UserError(f"{out} holds the table to be read: give another --out")
    with RunRecord(out, "finish", command=command, progress=progress) as record:
        with record.stage("read"):
            table, region, source = _read(path, pixel_size_nm)
        if source == "default":
            record.warn(f"the camera pixel is taken as {_USUAL_PIXEL_NM:g} nm: give optics.pixel_size_nm")
        first = int(table.frame.min(initial=0)) if len(table) else 0
        frames = range(min(first, region.first_frame), region.first_frame + region.shape[0])
        finished = finish(record, table.sorted(), frames, region.pixel_size_nm, settings)
        record.add_results(localizations=len(finished.table), frames=len(frames))
        with record.stage("write tables"):
            outputs.write_tables(finished, region, out)
            write_smap(
                finished.table, out / "localizations_sml.mat", region.pixel_size_nm, movie=region.movie
            )
        with record.stage("render"):
            image, pixel_nm = outputs.reconstruct(finished.linked.table, region, render_pixel_size_nm)
            preview = outputs.write_picture(image, pixel_nm, out)
        with record.stage("report"):
            rows = [
                SettingRow("optics.pixel_size_nm", f"{region.pixel_size_nm:g} nm", source),
                *finish_rows(settings),
            ]
            outputs.write_report(record, finished, region, preview_png=preview, patches=(), settings=rows)
    return finished


def _read(path: Path, pixel_size_nm: float | None) -> tuple[LocalizationTable, outputs.Region, str]:
    """Return the table without correction, the field that it lies in, and where its pixel is from."""
    table = read_table(path, pixel_size_nm)
    run = (read_run(path) or {}).get("results", {}).get("region") if path.is_dir() else None
    pixel = pixel_size_nm or (float(run["pixel_size_nm"]) if run else None)
    source = "given" if pixel_size_nm else "the run" if run else "default"
    pixel = pixel or _USUAL_PIXEL_NM
    if (path / "drift.csv").is_file() and len(table):
        frames = range(int(table.frame.min()), int(table.frame.max()) + 1)
        curve = read_drift(path / "drift.csv", frames, pixel)
        drift = Drift(curve, frames.start, "file", "", np.full(curve.shape[1], np.nan))
        table = drift.add(table)
    if run:
        full, shape = ((int(t), int(y), int(x)) for t, y, x in (run["full_shape"], run["shape"]))
        first = int(run.get("first_frame", 0))
        origin = (int(run["origin_px"][0]), int(run["origin_px"][1]))
        return table, outputs.Region(Path(run["movie"]), full, shape, origin, pixel, first), source
    if not len(table):
        raise UserError(f"{path} holds no localizations: there is nothing to finish")
    height, width = (
        max(math.ceil(nm_to_px(float(np.max(values)), pixel)), 1) for values in (table.y_nm, table.x_nm)
    )
    shape = (int(table.frame.max()) + 1, height, width)
    return table, outputs.Region(path, shape, shape, (0, 0), pixel), source
