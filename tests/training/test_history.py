"""The course of a training as a table: a short one has a curve, too."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autods.training import history
from autods.training.history import HISTORY_FILE, TrainingHistory, read_history


def trainer(step: int, **metrics: float) -> Any:
    return SimpleNamespace(
        global_step=step,
        callback_metrics={name.replace("_", "/"): torch.tensor(value) for name, value in metrics.items()},
        fast_dev_run=False,
        is_global_zero=True,
        sanity_checking=False,
    )


def test_losses_between_validations_and_scores_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr(history.time, "monotonic", lambda: seconds)
    told: list[int] = []
    table = TrainingHistory(tmp_path, told.append)
    module: Any = None
    table.on_train_start(trainer(0), module)
    for step in range(1, 11):
        seconds += 1.0
        table.on_train_batch_end(trainer(step), module, {"loss": torch.tensor(10.0 - step)})
    table.on_validation_end(trainer(10, val_jaccard=0.5, train_loss=3.0), module)
    rows = read_history(tmp_path / HISTORY_FILE)
    # Each row has the mean since the one before; two seconds are not "more than two".
    assert [(row["step"], row["train/loss"]) for row in rows] == [(3, 8.0), (6, 5.0), (9, 2.0), (10, 3.0)]
    assert [row.get("val/jaccard") for row in rows] == [None, None, None, 0.5]
    assert sum(told) == 10


def test_a_long_training_has_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr(history.time, "monotonic", lambda: seconds)
    table = TrainingHistory(tmp_path)
    module: Any = None
    table.on_train_start(trainer(0), module)
    for step in range(1, 3601):
        seconds += 10.0
        table.on_train_batch_end(trainer(step), module, {"loss": torch.tensor(1.0)})
    assert 150 < len(read_history(tmp_path / HISTORY_FILE)) < 400
