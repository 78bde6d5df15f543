"""Tables of results: the same rows as CSV with all digits, and as Markdown to be read."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Cell = str | int | float | None
Row = Mapping[str, Cell]

#: A column ``X_sd`` holds the standard deviation of column ``X``; Markdown shows both as "X ± sd".
SD = "_sd"


@dataclass(frozen=True)
class Table:
    """A table of results."""

    #: Of its file, without ending.
    name: str
    #: One line above it.
    title: str
    #: Cells by column name; columns are ordered by their first appearance.
    rows: Sequence[Row]

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def to_csv(self) -> str:
        """Return the table as CSV with a header; what is not known is empty."""
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _exact(cell) for name, cell in row.items()} for row in self.rows)
        return buffer.getvalue()

    def to_text(self) -> list[list[str]]:
        """Return the header and the rows as people read them: three significant digits, "X ± sd"."""
        shown = [name for name in self.columns if not name.endswith(SD)]
        return [shown, *([_shown(row, name) for name in shown] for row in self.rows)]

    def to_markdown(self) -> str:
        """Return the table as Markdown, three significant digits."""
        header, *rows = self.to_text()
        lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
        return "\n".join([f"### {self.title}", "", *lines])


def read_rows(path_text: str) -> list[dict[str, str]]:
    """Read the rows of a CSV text with a header."""
    return list(csv.DictReader(io.StringIO(path_text)))


def mean_rows(rows: Sequence[Row], by: Sequence[str], over: Sequence[str]) -> list[dict[str, Cell]]:
    """Average numbers over the rows that agree in some columns.

    Returns one row a group: the columns ``by``, ``n`` (rows), and mean and sample standard deviation of
    ``over``.

    Parameters
    ----------
    rows
        Rows with numbers in the columns ``over``.
    by
        Columns whose values make a group; groups keep the order of their first row.
    over
        Columns to average; a value that is not known counts for nothing.
    """
    groups: dict[tuple[Cell, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    means: list[dict[str, Cell]] = []
    for key, members in groups.items():
        mean: dict[str, Cell] = {**dict(zip(by, key, strict=True)), "n": len(members)}
        for name in over:
            cells = [member[name] for member in members]
            values = np.array([cell for cell in cells if isinstance(cell, int | float)], np.float64)
            values = values[np.isfinite(values)]
            mean[name] = float(values.mean()) if len(values) else None
            mean[name + SD] = float(values.std(ddof=1)) if len(values) > 1 else None
        means.append(mean)
    return means


def _exact(cell: Cell) -> Cell:
    return "" if _unknown(cell) else f"{cell:.8g}" if isinstance(cell, float) else cell


def _shown(row: Row, name: str) -> str:
    text, spread = number(row.get(name)), row.get(name + SD)
    return text if _unknown(spread) else f"{text} ± {number(spread)}"


def number(cell: Cell) -> str:
    """Write a cell for people: three significant digits, whole numbers from 1000 on, a dash for unknown.

    Examples
    --------
    >>> number(0.12345), number(12345.6), number(None)
    ('0.123', '12346', '-')
    """
    if _unknown(cell):
        return "-"
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 999.5 else f"{cell:.0f}"
    return str(cell)


def _unknown(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
