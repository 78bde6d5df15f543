"""TensorBoard pictures of validation frames with true and found emitters."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from autods.core.grid import nm_to_px
from autods.training.data import SimulatedDataModule
from autods.training.module import LocalizationModule


class ExampleFigure(Callback):
    """After each validation, draw a few frames with the true (circles) and the found emitters (crosses).

    Parameters
    ----------
    n_frames
        Number of frames drawn.
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
        threshold = float(trainer.callback_metrics.get("val/threshold", 0.3))
        found = pl_module.representation.decode(pl_module(frames), threshold)
        pixel_size_nm = pl_module.representation.pixel_size_nm
        figure, axes = plt.subplots(1, self.n_frames, figsize=(4 * self.n_frames, 4), squeeze=False)
        for index, axis in enumerate(axes[0]):
            size = frames.shape[-1]
            axis.imshow(frames[index, 0].cpu(), cmap="gray", extent=(0, size, size, 0))
            truth = nm_to_px(batch.emitters.xyz_nm[index][batch.emitters.mask[index]], pixel_size_nm).cpu()
            axis.plot(truth[:, 0], truth[:, 1], "o", mfc="none", color="tab:green", label="true")
            here = found.frame == index
            axis.plot(found.x_px[here].cpu(), found.y_px[here].cpu(), "x", color="tab:red", label="found")
            axis.set(xlim=(0, size), ylim=(size, 0), xticks=[], yticks=[])
        axes[0, 0].legend(loc="upper right")
        figure.tight_layout()
        trainer.logger.experiment.add_figure("val/examples", figure, trainer.global_step)
        plt.close(figure)
