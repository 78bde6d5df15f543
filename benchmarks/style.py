"""Colours and axes that all figures of the benchmarks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Readable by colour-blind eyes, in print too.
COLOURS = ("#2a6f97", "#d9822b", "#5aae61", "#c2553d", "#7b5aa6", "#9aa5b1", "#4d4d4d", "#e6b035")


def panels(
    columns: int, rows: int = 1, *, size: tuple[float, float] = (4.0, 3.2)
) -> tuple[Figure, list[Axes]]:
    """Make a figure of equal panels that belongs to no window system; ``size`` is that of a panel, inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained", dpi=130)
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.xaxis.label.set_fontsize(9)
        axis.yaxis.label.set_fontsize(9)
    return figure, axes


def grouped_bars(
    axis: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]], label: str
) -> None:
    """Draw a bar for each group and series."""
    width, place = 0.8 / max(len(series), 1), np.arange(len(groups))
    for index, (name, values) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * width
        axis.bar(place + offset, values, width, label=name, color=COLOURS[index % len(COLOURS)])
    axis.set_xticks(place, groups, rotation=35, ha="right")
    axis.set_ylabel(label)


def jaccard_and_error(
    rows: Sequence[Mapping[str, Any]], group: str, size: tuple[float, float] = (5.0, 3.6)
) -> Figure:
    """Draw ``jaccard`` and ``rmse_nm`` of each ``program`` as bars, by the values of a column.

    Parameters
    ----------
    rows
        Rows of a table of results.
    group
        Column of the groups.
    size
        Of a panel, inches.
    """
    groups, programs = (list(dict.fromkeys(str(row[name]) for row in rows)) for name in (group, "program"))
    figure, axes = panels(2, size=size)
    for axis, column, label in zip(axes, ("jaccard", "rmse_nm"), ("Jaccard index", "RMSE, nm"), strict=True):
        cell = {(row[group], row["program"]): row[column] for row in rows}
        series = {
            program: [float(cell.get((name, program)) or "nan") for name in groups] for program in programs
        }
        grouped_bars(axis, groups, series, label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def grouped_points(
    axis: Axes,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    spread: Mapping[str, Sequence[float]],
    label: str,
) -> None:
    """Draw a point with its spread for each group and series; groups go down the axis."""
    place = np.arange(len(groups))
    for index, (name, values) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * 0.2
        colour = COLOURS[index % len(COLOURS)]
        axis.errorbar(
            values, place + offset, xerr=spread[name], fmt="o", ms=4, lw=1, color=colour, label=name
        )
    axis.set_yticks(place, groups)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.grid(axis="x", color="0.9")
    axis.set_xlabel(label)


def lines(
    axis: Axes, x: Sequence[float], series: Mapping[str, Sequence[float]], labels: tuple[str, str]
) -> None:
    """Draw a line with markers for each series."""
    for index, (name, values) in enumerate(series.items()):
        axis.plot(x, values, "o-", label=name, color=COLOURS[index % len(COLOURS)], ms=4)
    axis.set(xlabel=labels[0], ylabel=labels[1])
