"""What a step of a 3D run has left: its figure, its numbers, and the curves of the training."""

from __future__ import annotations

import csv
from pathlib import Path

from nicegui import ui

from autods.web.jobs import Job
from autods.web.routes import file_address
from autods.web.run_files import modified, read_json, read_text
from autods.web.steps3d import Step
from autods.web.widgets.layout import heading, text_table

_MOST_NUMBERS = 14
_HISTORY = "training/metrics.csv"


class StepResult:
    """The result of one step."""

    def __init__(self, job: Job, step: Step) -> None:
        self._folder, self._job, self._name = job.folder, job, step.name
        self._shown: tuple[float, float] | None = None
        with ui.element("div").classes("stack w-full") as self._box:
            heading(f"Result: {step.title}", 2)
            self._old = ui.label("Something before or in this step has changed since: run it again.").classes(
                "notice"
            )
            self._empty = ui.label("Its figure appears here once this step has run.").classes("soft")
            self._chart = ui.echart(_curves([])).style("height:260px;width:100%")
            self._chart.props('role="img" aria-label="Loss and Jaccard index while training"')
            self._figure = ui.element("div")
            self._numbers = ui.element("div").classes("w-full")

    def set_visibility(self, is_visible: bool) -> None:
        """Show it, or not."""
        self._box.set_visibility(is_visible)

    def refresh(self, status: str) -> None:
        """Read what is new in the folder."""
        self._old.set_visibility(status == "stale")
        self._empty.set_visibility(not any(self._shown or ()))
        table = _HISTORY if self._name == "train" else ""
        now = (
            modified(self._folder, f"stages/{self._name}.png"),
            modified(self._folder, table) if table else 0.0,
        )
        if now == self._shown:
            return
        self._shown = now
        self._empty.set_visibility(not any(now))
        rows = _read_history(self._folder) if table else []
        self._chart.set_visibility(bool(rows))
        if rows:
            self._chart.options.update(_curves(rows))
            self._chart.update()
        self._figure.clear()
        self._numbers.clear()
        if now[0]:
            with self._figure:
                address = file_address(self._job, f"stages/{self._name}.png")
                ui.element("img").classes("figure").props(
                    f'src="{address}?version={now[0]}" alt="Figure of this step"'
                )
            self._show_numbers()

    def _show_numbers(self) -> None:
        results = read_json(self._folder, f"stages/{self._name}.json").get("results", {})
        plain = {key: value for key, value in results.items() if isinstance(value, int | float | str)}
        rows = [
            (key.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
            for key, value in plain.items()
        ]
        with self._numbers:
            text_table(rows[:_MOST_NUMBERS], is_headed=True)


def _read_history(folder: Path) -> list[dict[str, float]]:
    """Read the course of a training; `autods.training` would import Lightning, which takes seconds."""
    try:
        rows = csv.DictReader(read_text(folder, _HISTORY).splitlines())
        return [{name: float(value) for name, value in row.items() if value} for row in rows]
    except (ValueError, TypeError, csv.Error):
        return []


def _curves(rows: list[dict[str, float]]) -> dict[str, object]:
    def points(name: str) -> list[list[float]]:
        return [[row["step"], row[name]] for row in rows if name in row and "step" in row]

    loss = "train/loss" if any("train/loss" in row for row in rows) else "val/loss"
    return {
        "animation": False,
        "legend": {"top": 0},
        "tooltip": {"trigger": "axis"},
        "grid": {"left": 55, "right": 55, "top": 34, "bottom": 42},
        "xAxis": {"type": "value", "name": "step", "nameLocation": "middle", "nameGap": 26},
        "yAxis": [
            {"type": "value", "name": "loss", "scale": True},
            {"type": "value", "name": "Jaccard", "min": 0, "max": 1},
        ],
        "series": [
            {"name": loss, "type": "line", "data": points(loss), "showSymbol": len(rows) < 20},
            {
                "name": "Jaccard index",
                "type": "line",
                "yAxisIndex": 1,
                "data": points("val/jaccard"),
                "showSymbol": len(rows) < 20,
            },
        ],
    }
