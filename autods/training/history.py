"""The course of a training as a small table that any program can read while it grows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from autods.io.atomic import atomic_path

#: File in the folder of the training.
HISTORY_FILE = "metrics.csv"


class TrainingHistory(Callback):
    """After each validation, adds a row of all metrics to ``metrics.csv``: step, then names in order.

    A resumed training drops the rows beyond the step that it goes on from.

    Parameters
    ----------
    folder
        Of the training.
    on_step
        Told of the optimizer steps that were done since the last call.
    """

    def __init__(self, folder: Path, on_step: Callable[[int], None] | None = None) -> None:
        self._path = folder / HISTORY_FILE
        self._on_step = on_step
        self._told = 0

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:  # noqa: ARG002
        """Tell of new steps."""
        if self._on_step is not None and trainer.global_step > self._told:
            self._on_step(trainer.global_step - self._told)
            self._told = trainer.global_step

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the table anew with one row more: here the module has logged its scores."""
        if trainer.sanity_checking or trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        rows = [row for row in read_history(self._path) if row["step"] < trainer.global_step]
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rows.append({"step": float(trainer.global_step), **metrics})
        names = list(dict.fromkeys(["step", *sorted({name for row in rows for name in row})]))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "step": int(row["step"])} for row in rows)
        with atomic_path(self._path) as part:
            part.write_text(text.getvalue(), encoding="utf-8")


def read_history(path: Path) -> list[dict[str, float]]:
    """Read a table of a training; no rows where there is none.

    Parameters
    ----------
    path
        ``metrics.csv``.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
