"""The one LightningModule: any network with any representation."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from autods.core import UserError
from autods.networks import added_channels, build_network, input_channels
from autods.representation import MixtureRepresentation, Representation, build_representation
from autods.training.data import FrameBatch
from autods.training.gradients import leave_out_nan
from autods.training.score import ThresholdScore


class LocalizationModule(pl.LightningModule):
    """Trains a network to localize the emitters of simulated frames.

    All arguments are plain values, so that a checkpoint holds no pickled objects and loads anywhere.

    Parameters
    ----------
    network, network_args
        Name and arguments for :func:`autods.networks.build_network`; the channels that context, normalization
        and predicted photons ask for are added.
    representation, representation_args
        Name and arguments for :func:`autods.representation.build_representation`.
    normalization
        Kind for :func:`autods.networks.normalize`.
    learning_rate
        Peak of AdamW's learning rate.
    weight_decay
        AdamW's weight decay.
    warmup_steps
        Steps of linear warm-up before the cosine decay to 1 % at the last step, or at the time limit.
    match_radius_nm
        Radius within which a validation detection counts as found, nm.
    axial_match_radius_nm
        In 3D, the same along z, nm; None does not look at z.
    context
        Consecutive frames that the network is shown; it must be the data module's.
    """

    def __init__(
        self,
        network: str,
        network_args: dict[str, Any],
        representation: str,
        representation_args: dict[str, Any],
        normalization: str = "noise",
        learning_rate: float = 1.5e-3,
        weight_decay: float = 1e-4,
        warmup_steps: int = 100,
        match_radius_nm: float = 200.0,
        axial_match_radius_nm: float | None = None,
        context: int = 1,
    ) -> None:
        super().__init__()
        built = build_representation(representation, **representation_args)
        network_args = {
            **network_args,
            **_inputs(input_channels(context, normalization)),
            **_outputs(built, normalization),
        }
        self.save_hyperparameters()
        # Channels last is the faster memory layout for these convolutions, on CPU and GPU alike.
        self.network = build_network(network, **network_args).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.representation = built
        self.normalization = normalization
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.score = ThresholdScore(match_radius_nm, axial_radius_nm=axial_match_radius_nm)

    def forward(self, batch: FrameBatch) -> Tensor:
        """Map a batch (B, C, Y, X) to the network's output, whose shape the representation says."""
        output: Tensor = self.network(batch.normalized(self.normalization))
        return output.float()

    def training_step(self, batch: FrameBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch, a scalar."""
        return self._loss("train", self(batch), batch)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Keep what is no number from the weights."""
        leave_out_nan(self.parameters())

    def validation_step(self, batch: FrameBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Score a batch at all thresholds."""
        output = self(batch)
        self._loss("val", output, batch)
        with _full_precision(output):
            found = self.representation.decode(output, self.score.lowest)
        field_nm = batch.frames.shape[-1] * self.representation.pixel_size_nm
        self.score.update(found, batch.emitters, self.representation.pixel_size_nm, field_nm)

    def on_validation_epoch_end(self) -> None:
        """Log the scores at the best threshold, over the frames of all processes.

        Raises `UserError` if the weights are no numbers any more.
        """
        if not all(bool(torch.isfinite(p).all()) for p in self.parameters()):
            raise UserError(
                "the network's weights are no numbers any more: train anew; with `autods train`,"
                " trainer.precision=32-true or a lower module.learning_rate may help"
            )
        best = self._gathered_score().compute()
        self.score.reset()
        self.log_dict({f"val/{name}": value for name, value in best.items()}, prog_bar=True, sync_dist=True)

    def _gathered_score(self) -> ThresholdScore:
        """Return the score of the frames that all processes of a distributed training have seen."""
        if self.trainer.world_size == 1:
            return self.score
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, self.score.collected())
        radii = (self.score.match_radius_nm, self.score.axial_radius_nm)
        together = ThresholdScore(radii[0], axial_radius_nm=radii[1])
        for part in parts:
            together.extend(*part)
        return together

    def _loss(self, stage: str, output: Tensor, batch: FrameBatch) -> Tensor:
        with _full_precision(output):
            terms = self.representation.loss(output, batch.emitters, batch.background)
        total = torch.stack(list(terms.values())).sum()
        if stage == "train" and (self.global_step + 1) % self.trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return total  # that the logger would not write; telling it takes a quarter of a small step
        size = len(batch.frames)
        how: dict[str, Any] = {"batch_size": size, "sync_dist": stage == "val"}
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, **how)
        self.log(f"{stage}/loss", total, prog_bar=True, **how)
        return total

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with linear warm-up and cosine decay over the trainer's steps or time."""
        optimizer = AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        scheduler = LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self._progress(step))))

    def _progress(self, step: int) -> float:
        """Return how much of the training is over, from 0 to 1: by its steps or its time, what ends first."""
        done = step / max(int(self.trainer.estimated_stepping_batches), 1)
        timer = next((callback for callback in self.trainer.callbacks if isinstance(callback, Timer)), None)  # type: ignore[attr-defined]
        if timer is not None:
            elapsed, left = timer.time_elapsed(), timer.time_remaining() or 0.0
            done = max(done, elapsed / max(elapsed + left, 1e-9))
        return min(done, 1.0)


def _full_precision(output: Tensor) -> torch.autocast:
    """Return a context that computes with 32 bits, whatever the trainer's precision: positions need them."""
    return torch.autocast(output.device.type, enabled=False)


def _inputs(channels: int) -> dict[str, int]:
    """Return the network's argument for its input, none for the usual single frame."""
    return {} if channels == 1 else {"in_channels": channels}


def _outputs(representation: Representation, normalization: str) -> dict[str, int]:
    """Return the network's arguments for its output where photons are predicted."""
    if not (isinstance(representation, MixtureRepresentation) and representation.tells_photons):
        return {}
    levels = added_channels(normalization)
    return {"channels": representation.channels, **({"levels": levels} if levels else {})}
