"""What TensorBoard shows beside scores: curves of the validation frames, gradients, time, conditions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from autods.training.module import LocalizationModule
from autods.training.score import ThresholdScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Groups of emitters of equal number by their photons, and parts of a pixel.
_PHOTON_GROUPS, _PIXEL_PARTS = 8, 10
_LEAST_MATCHES = 100


class Curves(Callback):
    """After each validation: precision over recall, error over photons, bias over the place in a pixel.

    During training the norm of the gradient before clipping. Scores are also logged against the seconds of
    this call (``seconds/...``), and what is trained for stands under Text.

    Parameters
    ----------
    hyperparameters
        Plain values for the text; None for none.
    """

    def __init__(self, hyperparameters: dict[str, Any] | None = None) -> None:
        self._hyperparameters = hyperparameters
        self._begun = time.monotonic()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write what is trained for."""
        self._begun = time.monotonic()
        if isinstance(trainer.logger, TensorBoardLogger) and self._hyperparameters is not None:
            text = yaml.safe_dump(self._hyperparameters, sort_keys=False, default_flow_style=False)
            lines = "\n".join(f"    {line}" for line in text.splitlines())
            trainer.logger.experiment.add_text("training", lines, trainer.global_step)

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        optimizer: torch.optim.Optimizer,  # noqa: ARG002
    ) -> None:
        """Log the norm of the gradient where the losses are logged."""
        if (trainer.global_step + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        norms = [weight.grad.norm() for weight in pl_module.parameters() if weight.grad is not None]
        pl_module.log("train/gradient_norm", torch.stack(norms).norm())

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the curves; the module's scores are still there, it forgets them afterwards."""
        if not isinstance(trainer.logger, TensorBoardLogger) or not isinstance(pl_module, LocalizationModule):
            return
        import matplotlib.pyplot as plt

        figure = score_figure(pl_module.score, pl_module.representation.pixel_size_nm)
        trainer.logger.experiment.add_figure("val/curves", figure, trainer.global_step)
        plt.close(figure)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the scores against time."""
        if not isinstance(trainer.logger, TensorBoardLogger):
            return
        seconds = round(time.monotonic() - self._begun)
        for name, value in trainer.callback_metrics.items():
            if name.startswith("val/"):
                trainer.logger.experiment.add_scalar(f"seconds/{name[4:]}", float(value), seconds)


def score_figure(score: ThresholdScore, pixel_size_nm: float) -> Figure:
    """Draw precision over recall, the error over photons, and the bias over the place within a pixel.

    Parameters
    ----------
    score
        With the detections of a validation.
    pixel_size_nm
        Camera pixel, nm.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    curve = score.curve()
    best = max(curve, key=lambda point: point["jaccard"])
    some = [point for point in curve if point["recall"] > 0]
    axes[0].plot([point["recall"] for point in some], [point["precision"] for point in some], ".-")
    axes[0].plot(best["recall"], best["precision"], "o", ms=9, mfc="none", color="tab:red")
    axes[0].set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes[0].set_title(f"Jaccard {best['jaccard']:.3f} at threshold {best['threshold']:g}")
    truth, error = score.errors(best["threshold"])
    if len(truth) >= _LEAST_MATCHES:
        _error_over_photons(axes[1], truth[:, 3], error[:, :2])
        _bias_in_pixel(axes[2], truth[:, :2], error[:, :2], pixel_size_nm)
    return figure


def _error_over_photons(axis: Axes, photons: np.ndarray, error: np.ndarray) -> None:
    groups = np.array_split(np.argsort(photons), _PHOTON_GROUPS)
    middle = [float(np.median(photons[group])) for group in groups]
    rmse = [float(np.sqrt((error[group] ** 2).sum(1).mean())) for group in groups]
    axis.semilogx(middle, rmse, "o-")
    axis.set(xlabel="photons", ylabel="RMSE, nm", ylim=(0, None))
    shown = middle[::3]
    axis.set_xticks(shown, [f"{value:.0f}" for value in shown])
    axis.minorticks_off()


def _bias_in_pixel(axis: Axes, position: np.ndarray, error: np.ndarray, pixel_size_nm: float) -> None:
    edges = np.linspace(0, 1, _PIXEL_PARTS + 1)
    for axial, name in enumerate("xy"):
        place = (position[:, axial] / pixel_size_nm) % 1
        part = np.digitize(place, edges[1:-1])
        count = np.maximum(np.bincount(part, minlength=_PIXEL_PARTS), 1)
        bias = np.bincount(part, error[:, axial], _PIXEL_PARTS) / count
        axis.plot(0.5 * (edges[:-1] + edges[1:]), bias, "o-", label=name)
    axis.axhline(0, color="0.7", lw=1)
    axis.set(xlabel="place within the pixel, px", ylabel="found minus true, nm")
    axis.legend(frameon=False)
