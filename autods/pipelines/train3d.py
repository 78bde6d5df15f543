"""The fourth stage of the 3D pipeline: a network trained for the PSF and the movie's noise."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from autods.core import Camera
from autods.core.resources import models_dir
from autods.inference import Localizer
from autods.pipelines.measure3d import Extent, photon_simulator
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import TrainingSettings
from autods.simulation import VolumeConditions
from autods.training import LocalizationModule, SimulatedDataModule
from autods.training.export import export_model
from autods.training.fit import fit, warm_start
from autods.zoo.card import CARD_FILE, read_card

logger = logging.getLogger(__name__)

MODEL_FOLDER = "model"
TRAINING_FOLDER = "training"
#: PSFs of at most this side go through the compact network, wider ones through dilated convolutions.
_COMPACT_PX = 35
#: The 2D model whose trunk a compact network starts from.
_TRUNK = "mixture_general"
#: Smaller batches are too uneven for batch norm.
_MIN_BATCH = 4
_MATCH_NM, _AXIAL_MATCH_NM = 250.0, 500.0


def frame_size_px(settings: TrainingSettings, extent: Extent) -> int:
    """Return the side of the training frames: the wanted one, or what shows a whole PSF."""
    return max(settings.size_px, 8 * -(-extent.fit_px // 8))


def batch_size(settings: TrainingSettings, size_px: int) -> int:
    """Return the frames of a batch: fewer where the PSF asks for larger frames, for steps of one length."""
    return max(_MIN_BATCH, round(settings.batch_size * (settings.size_px / size_px) ** 2))


def network_arguments(
    settings: TrainingSettings, conditions: VolumeConditions, extent: Extent
) -> dict[str, Any]:
    """Return network and representation, with their arguments, for `LocalizationModule`."""
    axis = {
        "pixel_size_nm": conditions.pixel_size_nm,
        "z_min_nm": conditions.z_min_nm,
        "z_max_nm": conditions.z_max_nm,
    }
    if settings.family == "voxels":
        return {
            "network": "ds3d",
            "network_args": {"n_slices": settings.n_slices, "upsampling": 1, "width": settings.width},
            "representation": "voxels",
            "representation_args": {
                **axis,
                "n_slices": settings.n_slices,
                "photons_at_amplitude": conditions.photons[1],
            },
        }
    compact = extent.fit_px <= _COMPACT_PX
    shape = {"pairs": 3} if compact else {}
    return {
        "network": "pixel" if compact else "dilated",
        "network_args": {"width": settings.width, "channels": 7, **shape},
        "representation": "mixture3d",
        "representation_args": axis,
    }


def train(
    known: KnownPsf,
    conditions: VolumeConditions,
    extent: Extent,
    camera: Camera,
    settings: TrainingSettings,
    folder: Path,
    key: str,
    device: torch.device,
    on_step: Callable[[int], None],
) -> dict[str, Any]:
    """Train, write the model to ``model/``, and return its scores; goes on with an interrupted training.

    Parameters
    ----------
    known, conditions, extent, camera
        What is simulated.
    settings
        Size and length.
    folder
        Run folder: ``training/`` holds checkpoints, TensorBoard and ``metrics.csv``.
    key
        Identifies the training; a training of another key is removed.
    device
        Where to train.
    on_step
        Told of the optimizer steps that were done since the last call.
    """
    out = folder / TRAINING_FOLDER
    _keep_only(out, key)
    size_px = frame_size_px(settings, extent)
    data = SimulatedDataModule(
        conditions,
        photon_simulator(known, extent, camera, device),
        size_px,
        batch_size(settings, size_px),
        settings.batches_per_epoch,
        settings.validation_batches,
        settings.seed,
    )
    module = _module(settings, conditions, extent)
    fit(
        module,
        data,
        out,
        max_steps=settings.max_steps,
        max_minutes=settings.max_minutes,
        patience=settings.patience,
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=f"{device.index or 0}," if device.type == "cuda" else 1,
        progress_bar=False,
        on_step=on_step,
    )
    card = export_model(
        module,
        data,
        conditions,
        folder.resolve().name,
        folder / MODEL_FOLDER,
        description="Trained for the PSF and the noise of one experiment.",
        training={"settings": _plain(settings), "conditions": _plain(conditions), "size_px": size_px},
    )
    return {"threshold": card.threshold, "metrics": card.metrics, "network": card.network.name}


def copy_model(run: Path, folder: Path) -> dict[str, float]:
    """Copy the model of another run folder, and return its scores.

    Raises
    ------
    UserError
        If there is none.
    """
    card = read_card(run / MODEL_FOLDER / CARD_FILE)
    if run.resolve() != folder.resolve():
        shutil.copytree(run / MODEL_FOLDER, folder / MODEL_FOLDER, dirs_exist_ok=True)
    return dict(card.metrics)


def load_localizer(folder: Path, threshold: float | None, device: torch.device) -> Localizer:
    """Load the model of a run folder."""
    return Localizer.from_card(
        read_card(folder / MODEL_FOLDER / CARD_FILE), threshold=threshold, device=device
    )


def _module(settings: TrainingSettings, conditions: VolumeConditions, extent: Extent) -> LocalizationModule:
    # The weights' random numbers are the caller's settings, not the process's state.
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        module = LocalizationModule(
            **network_arguments(settings, conditions, extent),
            learning_rate=settings.learning_rate,
            match_radius_nm=_MATCH_NM,
            axial_match_radius_nm=_AXIAL_MATCH_NM,
        )
    start = settings.warm_start
    trunk = models_dir() / _TRUNK
    if start is None and module.hparams["network"] == "pixel" and trunk.is_dir():
        start = trunk
    if start is not None:
        try:
            warm_start(module.network, start)
        except Exception:
            if settings.warm_start is not None:
                raise
            logger.info("%s does not fit this network: training starts from nothing", trunk)
    return module


def _keep_only(out: Path, key: str) -> None:
    """Remove a training of another key; mark the folder with this one."""
    mark = out / "key.txt"
    if out.is_dir() and not (mark.is_file() and mark.read_text(encoding="utf-8") == key):
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(key, encoding="utf-8")


def _plain(value: TrainingSettings | VolumeConditions) -> dict[str, Any]:
    from autods.runs.provenance import to_json

    plain: dict[str, Any] = to_json(dataclasses.asdict(value))
    return plain
