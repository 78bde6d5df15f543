"""TensorBoard's table of hyper-parameters with what came out."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger


class Outcome(Callback):
    """At the end of a training, log its hyper-parameters with the last scores and the best one.

    Parameters
    ----------
    best
        Keeps the best score.
    hyperparameters
        Plain values, nested as one likes; None for the module's arguments.
    """

    def __init__(self, best: ModelCheckpoint, hyperparameters: dict[str, Any] | None = None) -> None:
        self._best = best
        self._hyperparameters = hyperparameters

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log once; scores of the last validation are ``final/...``."""
        if not isinstance(trainer.logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        values = dict(pl_module.hparams) if self._hyperparameters is None else self._hyperparameters
        scores = {
            name.replace("val/", "final/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/")
        }
        if self._best.best_model_score is not None:
            scores["best/" + str(self._best.monitor).partition("/")[2]] = float(self._best.best_model_score)
        trainer.logger.log_hyperparams(values, scores, trainer.global_step)
        trainer.logger.save()
