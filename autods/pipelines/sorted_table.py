"""Localizations of a run sorted by place, in a file that is mapped into memory: for looking at millions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.core.grid import px_to_nm
from autods.io.atomic import atomic_path, write_text
from autods.io.tables import read_table
from autods.runs.record import read_run

logger = logging.getLogger(__name__)

#: Which table of a run: each localization, or those of one molecule in consecutive frames as one.
Source = Literal["localizations", "linked"]
#: Beside the tables of a run.
FOLDER = ".view"
_FORMAT = 2
#: Localizations of a cell on average, and most cells along a side.
_ROWS_A_CELL, _MOST_CELLS = 1000, 512
_DEPTH_PERCENTILES = (1.0, 99.0)
#: Room at the ends of the depths, in parts of the range.
_DEPTH_MARGIN = 0.05
#: Rows from which percentiles are taken.
_SAMPLED = 200_000
#: Columns that are filtered most, and bins of their histograms.
_FILTERED, _BINS = ("photons", "uncertainty_xy_nm", "frame", "z_nm"), 60

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Histogram:
    """Counts (N,) between edges (N + 1,)."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class SortedTable:
    """Localizations by place: rows of a cell follow each other, cells go along x, then y."""

    #: (N,) float32 by the names of `LocalizationTable`, mapped from disk; positions in nm from the corner of
    #: the localized part of the field.
    columns: Mapping[str, Floats]
    #: (rows * columns of cells + 1,) first row of each cell.
    first: NDArray[np.int64]
    #: (rows, columns) of cells.
    cells: tuple[int, int]
    #: Side of a cell, nm.
    cell_nm: float
    #: ``(y, x)`` of the corner of the part in the full frame, and its ``(height, width)``, nm.
    origin_nm: tuple[float, float]
    shape_nm: tuple[float, float]
    #: Depths that most localizations lie in, nm; None in 2D.
    depth_range_nm: tuple[float, float] | None
    #: Median lateral uncertainty, nm.
    typical_nm: float
    #: Of the columns that are filtered most.
    histograms: Mapping[str, Histogram]

    def __len__(self) -> int:
        """Count the localizations."""
        return int(self.first[-1])

    @property
    def is_3d(self) -> bool:
        """Whether there are depths."""
        return "z_nm" in self.columns

    def rows_in(self, box_nm: tuple[float, float, float, float]) -> list[slice]:
        """Return the rows of all cells that a box ``(y0, x0, y1, x1)`` touches, in ascending order."""
        height, width = self.cells
        y0, x0, y1, x1 = (int(np.clip(side // self.cell_nm, -1, 1 << 20)) for side in box_nm)
        y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, height - 1), min(x1, width - 1)
        if x1 < x0 or y1 < y0:
            return []
        if (x0, x1) == (0, width - 1):
            return [slice(int(self.first[y0 * width]), int(self.first[(y1 + 1) * width]))]
        return [
            slice(int(self.first[y * width + x0]), int(self.first[y * width + x1 + 1]))
            for y in range(y0, y1 + 1)
        ]


def is_sorted(run: Path, source: Source = "localizations") -> bool:
    """Tell whether the sorted file of a run's table is there and of this table."""
    return _about(run, source).get("key") == _key(run, source)


def has_table(run: Path, source: Source) -> bool:
    """Tell whether a run has this table."""
    return table_file(run, source) is not None


def open_sorted(run: Path, source: Source = "localizations") -> SortedTable:
    """Open the sorted file of a run's table.

    Raises `UserError` if it is not there: `sort_table` makes it.
    """
    about = _about(run, source)
    if about.get("key") != _key(run, source):
        raise UserError(f"the table of {run.name} is not sorted yet: wait for it")
    try:
        data = np.load(_inside(run, f"{source}.npy"), mmap_mode="r", allow_pickle=False)
        first = np.load(_inside(run, f"{source}.cells.npy"), allow_pickle=False).astype(np.int64)
        names, cells = (
            [str(name) for name in about["columns"]],
            (int(about["cells"][0]), int(about["cells"][1])),
        )
        _check_shape(data, first, (len(names), cells[0] * cells[1]))
        depth = about["depth_range_nm"]
        return SortedTable(
            dict(zip(names, data, strict=True)),
            first,
            cells,
            float(about["cell_nm"]),
            (float(about["origin_nm"][0]), float(about["origin_nm"][1])),
            (float(about["shape_nm"][0]), float(about["shape_nm"][1])),
            None if depth is None else (float(depth[0]), float(depth[1])),
            float(about["typical_nm"]),
            {
                name: Histogram(np.array(edges), np.array(counts))
                for name, (edges, counts) in about["histograms"].items()
            },
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(f"the sorted table of {run.name} is damaged: remove {FOLDER} there") from error


def sort_table(
    run: Path, source: Source = "localizations", progress: Callable[[float], None] = lambda _: None
) -> None:
    """Write the sorted file of a run's table, unless it is there.

    Column by column: memory is needed for three of them, where the run has Parquet. Raises `UserError` if the
    run has no such table, or the folder cannot be written.

    Parameters
    ----------
    run
        The run folder.
    source
        Which table.
    progress
        Told of the share that is done.
    """
    if is_sorted(run, source):
        return
    key, path = _key(run, source), table_file(run, source)
    if path is None:
        raise UserError(f"{run.name} has no {source}: run it to its end")
    progress(0.02)
    names, length, read = _columns_of(path)
    origin, shape = _field(run, read)
    x, y = (read(name) - start for name, start in (("x_nm", origin[1]), ("y_nm", origin[0])))
    order, first, cells, cell_nm = _sorted(x, y, shape)
    progress(0.3)
    folder = _folder(run)
    folder.mkdir(exist_ok=True)
    about: dict[str, Any] = {"key": key, "columns": names, "cells": cells, "cell_nm": cell_nm}
    about |= {"origin_nm": origin, "shape_nm": shape, "depth_range_nm": None, "typical_nm": 10.0}
    about["histograms"] = {}
    with atomic_path(folder / f"{source}.npy") as part:
        data = np.lib.format.open_memmap(part, "w+", np.float32, (len(names), length))
        for number, name in enumerate(names):
            column = {"x_nm": x, "y_nm": y}[name] if name in ("x_nm", "y_nm") else read(name)
            data[number] = column[order].astype(np.float32)
            if name == "z_nm":
                about["depth_range_nm"] = _depth_range(column)
            if name == "uncertainty_xy_nm":
                about["typical_nm"] = _median(column)
            if name in _FILTERED and (found := _histogram(name, column)) is not None:
                about["histograms"][name] = [found.edges.tolist(), found.counts.tolist()]
            progress(0.3 + 0.65 * (number + 1) / len(names))
        data.flush()
        del data
    with atomic_path(folder / f"{source}.cells.npy") as part:
        np.save(part, first)
    write_text(folder / f"{source}.json", json.dumps(about))
    progress(1.0)


def sort_columns(columns: Mapping[str, NDArray[Any]], shape_nm: tuple[float, float]) -> SortedTable:
    """Sort localizations in memory: those of a run that goes on, which has no table yet.

    Parameters
    ----------
    columns
        (N,) by the names of `LocalizationTable`; x and y at least.
    shape_nm
        ``(height, width)`` of the field that they lie in, nm.
    """
    known = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    order, first, cells, cell_nm = _sorted(known["x_nm"], known["y_nm"], shape_nm)
    found = {name: _histogram(name, known[name]) for name in _FILTERED if name in known}
    return SortedTable(
        {name: values[order].astype(np.float32) for name, values in known.items()},
        first,
        cells,
        cell_nm,
        (0.0, 0.0),
        shape_nm,
        _depth_range(known["z_nm"]) if "z_nm" in known else None,
        _median(known["uncertainty_xy_nm"]) if "uncertainty_xy_nm" in known else 10.0,
        {name: histogram for name, histogram in found.items() if histogram is not None},
    )


def _check_shape(data: NDArray[Any], first: NDArray[np.int64], wanted: tuple[int, int]) -> None:
    n_columns, n_cells = wanted
    fits = data.dtype == np.float32 and data.shape == (n_columns, first[-1]) and len(first) == n_cells + 1
    if not fits or first[0] != 0 or np.any(np.diff(first) < 0):
        raise ValueError(f"{data.shape} for {n_cells} cells")


def _folder(run: Path) -> Path:
    """Return where the sorted files lie, which must not be a link to elsewhere."""
    folder = run / FOLDER
    if folder.is_symlink():
        raise UserError(f"{folder} is a link: remove it")
    return folder


def _inside(run: Path, name: str) -> Path:
    path = _folder(run) / name
    if path.is_symlink() or not path.is_file():
        raise UserError(f"{path} is no file: remove {FOLDER} in the run folder")
    return path


def _about(run: Path, source: Source) -> dict[str, Any]:
    try:
        content = json.loads(_inside(run, f"{source}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, UserError):
        return {}
    return content if isinstance(content, dict) else {}


def table_file(run: Path, source: Source) -> Path | None:
    """Return the file of a run's table; None where there is none, or only a link out of the run.

    Parquet is read the quickest.
    """
    names = ("localizations.parquet", "localizations.csv") if source == "localizations" else ("linked.csv",)
    for name in names:
        path = run / name
        if path.is_file() and path.resolve().is_relative_to(run.resolve()):
            return path
    return None


def _key(run: Path, source: Source) -> list[object]:
    """Return what tells that a table has changed."""
    path = table_file(run, source)
    if path is None:
        return []
    stat = path.stat()
    return [_FORMAT, path.name, stat.st_size, stat.st_mtime_ns]


def _columns_of(path: Path) -> tuple[list[str], int, Callable[[str], NDArray[np.float64]]]:
    """Return the names of the columns, their length, and what reads one of them."""
    known = list(LocalizationTable.empty(is_3d=True).columns())
    if path.suffix == ".parquet":
        from pyarrow import parquet

        file = parquet.ParquetFile(path)
        names = [name for name in known if name in file.schema_arrow.names]
        return names, file.metadata.num_rows, lambda name: _numbers(file.read([name])[name].to_numpy())
    table = read_table(path)
    columns = table.columns()
    return list(columns), len(table), lambda name: _numbers(columns[name])


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _field(
    run: Path, read: Callable[[str], NDArray[np.float64]]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return corner and size of the localized part, nm: of the record, else what the table covers."""
    region = _region(run)
    if region is not None and min(region[1]) > 0:
        return region
    # A table from elsewhere.
    extent = [float(np.max(read(name), initial=1.0)) for name in ("y_nm", "x_nm")]
    return (0.0, 0.0), (extent[0], extent[1])


def _region(run: Path) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return corner and size of the localized part as the record states it, nm; None where it does not."""
    region = (read_run(run) or {}).get("results", {}).get("region")
    if region is None:
        return None
    try:
        pixel_nm = float(region["pixel_size_nm"])
        y0, x0 = (px_to_nm(float(start), pixel_nm) for start in region["origin_px"])
        height, width = (px_to_nm(float(side), pixel_nm) for side in region["shape"][1:])
    except (TypeError, KeyError, ValueError) as error:
        logger.info("%s: the record's region cannot be read (%r): the table's extent is taken", run, error)
        return None
    return (y0, x0), (height, width)


def _sorted(
    x: NDArray[np.float64], y: NDArray[np.float64], shape_nm: tuple[float, float]
) -> tuple[NDArray[np.intp], NDArray[np.int64], tuple[int, int], float]:
    """Return the order of the rows by cell, the first row of each cell, and the grid."""
    side = min(max(int(np.sqrt(len(x) / _ROWS_A_CELL)), 1), _MOST_CELLS)
    cell_nm = max(shape_nm) / side
    cells = tuple(max(int(np.ceil(length / cell_nm - 1e-9)), 1) for length in shape_nm)
    row = np.clip(y // cell_nm, 0, cells[0] - 1).astype(np.int32)
    column = np.clip(x // cell_nm, 0, cells[1] - 1).astype(np.int32)
    cell = row * cells[1] + column
    counts = np.bincount(cell, minlength=cells[0] * cells[1])
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.argsort(cell, kind="stable"), first, (cells[0], cells[1]), cell_nm


def _sample(column: NDArray[np.float64]) -> NDArray[np.float64]:
    values = column[:: max(len(column) // _SAMPLED, 1)]
    return values[np.isfinite(values)]


def _histogram(name: str, column: NDArray[np.float64]) -> Histogram | None:
    """Count a column; the upper percent of photons and uncertainties is in the last bin."""
    values = column[np.isfinite(column)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if name in ("photons", "uncertainty_xy_nm"):
        high = float(np.percentile(_sample(column), 99))
    if name == "frame":
        high += 1.0
    if not high > low:
        high = low + 1.0
    n_bins = min(_BINS, round(high - low)) if name == "frame" else _BINS
    edges = np.linspace(low, high, n_bins + 1)
    return Histogram(edges, np.histogram(np.clip(values, low, high), edges)[0].astype(np.int64))


def _depth_range(z_nm: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of depths that the colours span, nm."""
    sample = _sample(z_nm)
    if not len(sample):
        return 0.0, 1.0
    low, high = np.percentile(sample, _DEPTH_PERCENTILES)
    margin = _DEPTH_MARGIN * float(high - low) + 1.0
    return float(low) - margin, float(high) + margin


def _median(uncertainty_nm: NDArray[np.float64]) -> float:
    sample = _sample(uncertainty_nm)
    return float(np.median(sample)) if len(sample) else 10.0
