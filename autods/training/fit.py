"""One training: its folder, logger, checkpoints, resumption and time limit."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from safetensors.torch import load_file
from torch import Tensor, nn

from autods.core import UserError
from autods.io.foreign import read_by_library
from autods.networks.precision import is_faster_in_half
from autods.runs.record import NOTICE
from autods.runs.steps import Step
from autods.training.checkpoints import AtomicCheckpoints, read_checkpoint, readable_checkpoint
from autods.training.curves import Curves
from autods.training.data import SimulatedDataModule
from autods.training.examples import ExampleFigure
from autods.training.history import HISTORY_FILE, TrainingHistory
from autods.training.module import LocalizationModule
from autods.training.outcome import Outcome

_LOG = logging.getLogger(__name__)

#: What the best checkpoint and early stopping look at; larger is better.
MONITOR = "val/jaccard"
#: Says which training a folder holds.
TRAINING_FILE = "training.json"
CHECKPOINTS, LAST, BEST = "checkpoints", "last.ckpt", "best.ckpt"
_TENSORBOARD = "tensorboard"


def is_first_process() -> bool:
    """Tell whether this is the process of a distributed training that writes its folder."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def claim_folder(out: Path, inputs: object, *, overwrite: bool = False) -> bool:
    """Make a folder the one of a training; tell whether it was that already, so that it is gone on with.

    Raises `UserError` if the folder holds another training.

    Parameters
    ----------
    out
        The folder.
    inputs
        All that changes the outcome of the training.
    overwrite
        Whether another training that the folder holds is removed.
    """
    step = Step(out / TRAINING_FILE, inputs)
    if step.is_begun:
        return True
    if (out / CHECKPOINTS).is_dir():
        if not overwrite:
            changes = step.differences() or ["made by an earlier version"]
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise UserError(
                f"{out} holds another training ({'; '.join(changes[:3])}{more}): choose another folder with"
                " out=DIR, or remove that training with overwrite=true"
            )
        if is_first_process():
            for name in (CHECKPOINTS, _TENSORBOARD):
                shutil.rmtree(out / name, ignore_errors=True)
            (out / HISTORY_FILE).unlink(missing_ok=True)
    if is_first_process():
        step.begin()
    return False


def fit(
    module: LocalizationModule,
    data: SimulatedDataModule,
    out: Path,
    *,
    max_steps: int,
    max_minutes: float | None = None,
    patience: int | None = None,
    accelerator: str = "auto",
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "auto",
    gradient_clip: float = 1.0,
    resume: bool = False,
    fast_dev_run: bool = False,
    progress_bar: bool = True,
    on_step: Callable[[int], None] | None = None,
    hyperparameters: dict[str, Any] | None = None,
) -> LocalizationModule:
    """Train until the steps, the minutes or the patience run out; return the module with its best weights.

    Raises `KeyboardInterrupt` on Ctrl-C, once Lightning has shut down; the last validated state is on disk.

    Parameters
    ----------
    module, data
        What to train, and on what.
    out
        Run folder: ``checkpoints/`` and TensorBoard's files.
    max_steps
        Optimizer steps; also the length of the learning-rate schedule.
    max_minutes
        Time limit of this call, minutes; None for none.
    patience
        Validations without a better Jaccard index before stopping; None never stops early.
    accelerator, devices, num_nodes, strategy
        As in Lightning's ``Trainer``.
    precision
        As there, of the network; ``auto`` is ``bf16-mixed`` where the device is faster with it, else
        ``32-true``. Losses and scores are computed with 32 bits in any case.
    gradient_clip
        Largest norm of the gradient.
    resume
        Continue from the last checkpoint in the folder, if there is one; see :func:`claim_folder`.
    fast_dev_run
        Run one batch of everything and write nothing.
    progress_bar
        Show Lightning's progress bar and its summary of the network.
    on_step
        Told of the optimizer steps that were done since the last call, those before a resume included.
    hyperparameters
        Shown by TensorBoard with the final scores; None shows the module's arguments.
    """
    checkpoints = out / CHECKPOINTS
    start = _start(checkpoints, max_steps) if resume else None
    best = ModelCheckpoint(checkpoints, "best", monitor=MONITOR, mode="max", enable_version_counter=False)
    history = TrainingHistory(out, on_step)
    trainer = pl.Trainer(
        default_root_dir=out,
        logger=TensorBoardLogger(out, name=None, version=_TENSORBOARD, default_hp_metric=False),
        callbacks=[
            *_callbacks(best, patience),
            history,
            Curves(hyperparameters),
            Outcome(best, hyperparameters),
        ],
        max_steps=max_steps,
        max_time=None if max_minutes is None else timedelta(minutes=max_minutes),
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        precision=_precision(accelerator) if precision == "auto" else precision,  # type: ignore[arg-type]
        gradient_clip_val=gradient_clip,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=progress_bar,
        enable_model_summary=progress_bar,
        log_every_n_steps=min(20, data.batches_per_epoch),
        # What has not been learnt cannot be scored, and volumes full of maxima take minutes to read.
        num_sanity_val_steps=0,
        plugins=[AtomicCheckpoints()],
        fast_dev_run=fast_dev_run,
    )
    _fit(trainer, module, data, start)
    # By its name: the folder may have been moved since an earlier part of the training.
    found = readable_checkpoint([checkpoints / BEST, checkpoints / LAST]) if best.best_model_path else None
    if found is not None:
        module.load_state_dict(read_checkpoint(found.path)["state_dict"])
    return module


def _precision(accelerator: str) -> str:
    """Return the precision that is fastest on one of Lightning's accelerators."""
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    name = {"gpu": "cuda"}.get(accelerator, accelerator)
    is_half = name in ("cpu", "cuda") and is_faster_in_half(torch.device(name))
    return "bf16-mixed" if is_half else "32-true"


def _start(checkpoints: Path, max_steps: int) -> str | None:
    """Return the checkpoint that a training goes on from, and say so; None where there is none."""
    found = readable_checkpoint([checkpoints / LAST, checkpoints / BEST])
    if found is None:
        return None
    if is_first_process():
        how = (
            "goes on at step %d of %d" if found.step < max_steps else "was finished before, at step %d of %d"
        )
        _LOG.log(NOTICE, f"%s: the training {how}", checkpoints.parent, found.step, max_steps)
    return str(found.path)


def _fit(
    trainer: pl.Trainer, module: LocalizationModule, data: SimulatedDataModule, checkpoint: str | None
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stop:
        if not trainer.interrupted:
            raise
        # Lightning answers Ctrl-C by leaving the program, and deafens it to further ones.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop


def _callbacks(best: ModelCheckpoint, patience: int | None) -> list[Callback]:
    # Its own callback: `save_last` of the other would follow the best score only.
    last = ModelCheckpoint(best.dirpath, "last", enable_version_counter=False)
    callbacks: list[Callback] = [best, last, LearningRateMonitor("epoch"), ExampleFigure()]
    if patience is not None:
        callbacks.append(EarlyStopping(MONITOR, patience=patience, mode="max"))
    return callbacks


def warm_start(network: nn.Module, path: Path, middle: int = 0) -> int:
    """Copy the weights that fit from an earlier training of a similar network.

    A first layer of a single image fits one of several, too: it looks at the middle one, and the network
    starts as the earlier one was. Returns the number of tensors copied. Raises `UserError` if the file is
    missing or nothing in it fits.

    Parameters
    ----------
    network
        Receives the weights in place.
    path
        ``weights.safetensors`` of a model, its folder, or a checkpoint of a training.
    middle
        Which of the network's input images the single one was.
    """
    file = path / "weights.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: there are no weights to start from: give a model's folder or a checkpoint")
    source = _read_state(file)
    own = network.state_dict()
    spread = {k: _at_input(v, own[k], middle) for k, v in source.items() if k in own}
    fitting = {k: v for k, v in spread.items() if own[k].shape == v.shape}
    if not fitting:
        raise UserError(f"{file}: none of its weights fit this network: choose another warm start")
    network.load_state_dict({**own, **fitting})
    _LOG.info("warm start: %d of %d tensors from %s", len(fitting), len(own), file)
    return len(fitting)


def _at_input(weight: Tensor, like: Tensor, middle: int) -> Tensor:
    """Return a convolution of one image as one of several that looks at the middle one alone."""
    if weight.ndim != 4 or weight.shape[1] != 1 or like.ndim != 4 or like.shape[1] == 1:
        return weight
    spread = weight.new_zeros(weight.shape[0], like.shape[1], *weight.shape[2:])
    spread[:, middle] = weight[:, 0]
    return spread


def _read_state(file: Path) -> dict[str, Any]:
    with read_by_library(f"{file} cannot be read as weights, give a model's folder or a checkpoint"):
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        state = read_checkpoint(file)["state_dict"].items()
        return {k.removeprefix("network."): v for k, v in state if isinstance(v, Tensor)}
