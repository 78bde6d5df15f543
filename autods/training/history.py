"""The course of a training as a small table that any program can read while it grows."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from autods.io.atomic import write_text

#: File in the folder of the training.
HISTORY_FILE = "metrics.csv"
#: Seconds between two rows without a validation, and the share of the whole time that they take at least.
_ROW_S, _ROW_SHARE = 2.0, 0.02


class TrainingHistory(Callback):
    """Adds rows to ``metrics.csv``: step, then names in order.

    After each validation there is one of all metrics; in between, every few seconds and ever more seldom, one
    of the mean loss since the last row, so that a short training has a curve, too. A resumed training drops
    the rows beyond the step that it goes on from.

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
        self._begun = self._row_s = time.monotonic()
        self._loss: Tensor | float = 0.0
        self._n_losses = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Begin to count the seconds."""
        self._begun = self._row_s = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: Any,
        *args: object,  # noqa: ARG002
    ) -> None:
        """Tell of new steps, and of the loss when it is time."""
        if self._on_step is not None and trainer.global_step > self._told:
            self._on_step(trainer.global_step - self._told)
            self._told = trainer.global_step
        if isinstance(outputs, dict) and "loss" in outputs:
            # Summed where it is: reading each would wait for the GPU.
            self._loss = self._loss + outputs["loss"].detach()
            self._n_losses += 1
        now = time.monotonic()
        if self._n_losses and now - self._row_s > max(_ROW_S, _ROW_SHARE * (now - self._begun)):
            self._write(trainer, {"train/loss": float(self._loss) / self._n_losses})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Add a row of all metrics: here the module has logged its scores."""
        if not trainer.sanity_checking:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self._write(trainer, metrics)

    def _write(self, trainer: pl.Trainer, metrics: dict[str, float]) -> None:
        """Write the table anew with one row more."""
        self._loss, self._n_losses, self._row_s = 0.0, 0, time.monotonic()
        if trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        rows = [row for row in read_history(self._path) if row["step"] < trainer.global_step]
        rows.append({"step": float(trainer.global_step), **metrics})
        names = list(dict.fromkeys(["step", *sorted({name for row in rows for name in row})]))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "step": int(row["step"])} for row in rows)
        write_text(self._path, text.getvalue())


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
