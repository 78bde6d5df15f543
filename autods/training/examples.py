"""TensorBoard pictures of validation frames with true and found emitters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from autods.core.grid import nm_to_px
from autods.training.data import SimulatedDataModule
from autods.training.module import LocalizationModule

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ExampleFigure(Callback):
    """After each validation, draw a few frames with the true (circles) and the found emitters (crosses).

    For a network that finds depths, their z over x is drawn below.
    """

    def __init__(self, n_frames: int = 4) -> None:
        self.n_frames = n_frames

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw and log the figure."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if (
            trainer.sanity_checking
            or not isinstance(trainer.logger, TensorBoardLogger)
            or not isinstance(pl_module, LocalizationModule)
            or not isinstance(data, SimulatedDataModule)
        ):
            return
        import matplotlib.pyplot as plt

        batch = data.render(data.val_dataloader().dataset[0].to(pl_module.device))
        frames = batch.frames[: self.n_frames]
        n_frames = len(frames)
        threshold = float(trainer.callback_metrics.get("val/threshold", 0.3))
        found = pl_module.representation.decode(pl_module(batch), threshold)
        pixel_size_nm = pl_module.representation.pixel_size_nm
        rows = 1 if found.z_nm is None else 2
        figure, axes = plt.subplots(rows, n_frames, figsize=(4 * n_frames, 4 * rows), squeeze=False)
        for index in range(n_frames):
            size = frames.shape[-1]
            image = frames[index, frames.shape[1] // 2].cpu().numpy()
            low, high = np.percentile(image, [1, 99.7])
            axes[0, index].imshow(image, cmap="gray", extent=(0, size, size, 0), vmin=low, vmax=high)
            truth = batch.emitters.xyz_nm[index][batch.emitters.mask[index]].cpu()
            here = found.select(found.frame == index).map(Tensor.cpu)
            x, y = nm_to_px(truth[:, :2], pixel_size_nm).unbind(1)
            _mark(axes[0, index], (x, y), (here.x_px, here.y_px))
            axes[0, index].set(xlim=(0, size), ylim=(size, 0), xticks=[], yticks=[])
            if here.z_nm is not None:
                _mark(axes[1, index], (x, truth[:, 2]), (here.x_px, here.z_nm))
                axes[1, index].set(xlim=(0, size), xlabel="x [px]", ylabel="z [nm]")
        axes[0, 0].legend(loc="upper right", framealpha=0.8)
        figure.suptitle(f"validation frames, threshold {threshold:g}")
        figure.tight_layout()
        trainer.logger.experiment.add_figure("val/examples", figure, trainer.global_step)
        plt.close(figure)


def _mark(axis: Axes, true: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor]) -> None:
    """Draw circles at true and crosses at found coordinates."""
    axis.plot(
        *(values.numpy() for values in true), "o", ms=10, mew=1.6, mfc="none", color="lime", label="true"
    )
    axis.plot(*(values.numpy() for values in found), "x", ms=6, mew=1.6, color="red", label="found")
