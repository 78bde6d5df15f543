"""Figures over the commits: suites append their main tables to one CSV, with commit and machine."""

from __future__ import annotations

import csv
from datetime import datetime, timezone
from pathlib import Path

from autods.core import UserError
from autods.io.atomic import atomic_path
from autods.io.result_tables import Row, Table
from benchmarks.suite import SuiteResult, commit, machine


def append_history(path: Path, suite: str, result: SuiteResult) -> None:
    """Append the rows of a suite's first table to a history, which is made when it is absent.

    Parameters
    ----------
    path
        CSV; columns ``date`` (UTC), ``commit``, ``machine``, ``suite``, then those of the tables.
    suite
        Name of the suite.
    result
        What it measured.

    Raises
    ------
    UserError
        If the file is no history, or cannot be written.
    """
    known = {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "commit": commit(),
        "machine": machine(),
        "suite": suite,
    }
    rows: list[Row] = [*read_history(path), *({**known, **row} for row in result.tables[0].rows)]
    with atomic_path(path) as part:
        part.write_text(Table("history", "History", rows).to_csv(), encoding="utf-8")


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a history, oldest first; none where there is no file.

    Raises
    ------
    UserError
        If the file is no history.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and not {"date", "commit", "machine", "suite"} <= set(rows[0]):
        raise UserError(f"history={path} is no history of benchmarks: give another file")
    return rows
