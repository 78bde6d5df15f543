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
from autods.inference.finders import Finder, TrainedFinder
from autods.inference.told_psf import ToldPsfLocalizer
from autods.pipelines.measure3d import Extent, photon_simulator
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import TrainingSettings
from autods.runs.provenance import digest_file, to_json
from autods.runs.steps import Step
from autods.simulation import VolumeConditions
from autods.training import LocalizationModule, SimulatedDataModule
from autods.training.export import export_model
from autods.training.fit import TRAINING_FILE, claim_folder, fit, warm_start
from autods.zoo.card import CARD_FILE, ModelCard, read_card
from autods.zoo.registry import WEIGHTS_FILE

logger = logging.getLogger(__name__)

MODEL_FOLDER = "model"
#: Family and name of the shipped network that is told the PSF.
UNIVERSAL = "universal"
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
    return max(settings.size_px, 8 * -(-extent.light_px // 8))


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
    compact = extent.light_px <= _COMPACT_PX
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
        Identifies the training; one of another key is set aside as ``training_1``, ``training_2``, ...
    device
        Where to train.
    on_step
        See `autods.training.history.TrainingHistory`.
    """
    out = _own_training_folder(folder, key)
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
        resume=claim_folder(out, key),
        max_steps=settings.steps,
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


def model_digest(source: Path) -> str:
    """Identify the model of a folder.

    Raises `UserError` if there is none.
    """
    return read_card(source / CARD_FILE).weights_sha256


def copy_model(source: Path, folder: Path) -> dict[str, float]:
    """Copy a model's folder into a run folder, and return its scores.

    Raises `UserError` if it holds no model.
    """
    card = read_card(source / CARD_FILE)
    if source.resolve() != (folder / MODEL_FOLDER).resolve():
        shutil.copytree(source, folder / MODEL_FOLDER, dirs_exist_ok=True)
    return dict(card.metrics)


def is_told(folder: Path) -> bool:
    """Tell whether the model of a run folder is told the PSF."""
    return read_card(folder / MODEL_FOLDER / CARD_FILE).family == UNIVERSAL


def load_finder(
    folder: Path, known: KnownPsf, extent: Extent, threshold: float | None, device: torch.device
) -> Finder:
    """Load the model of a run folder; one of the family ``universal`` is told the PSF."""
    card = read_card(folder / MODEL_FOLDER / CARD_FILE)
    if card.family == UNIVERSAL:
        return _told_finder(card, known, extent, threshold, device)
    return TrainedFinder(Localizer.from_card(card, threshold=threshold, device=device))


def shipped_finder(known: KnownPsf, extent: Extent, device: torch.device) -> Finder:
    """Load the shipped network and tell it the PSF."""
    return _told_finder(read_card(models_dir() / UNIVERSAL / CARD_FILE), known, extent, None, device)


def _told_finder(
    card: ModelCard, known: KnownPsf, extent: Extent, threshold: float | None, device: torch.device
) -> Finder:
    return ToldPsfLocalizer.from_card(
        card,
        known.over_field(extent.render_px),
        known.z_range_nm,
        extent.render_px,
        threshold=threshold,
        device=device,
        bin_px=known.told_bin_px,
    )


def start_digest(settings: TrainingSettings) -> str:
    """Identify the weights that a training starts from."""
    start = settings.warm_start or models_dir() / _TRUNK
    file = start / WEIGHTS_FILE if start.is_dir() else start
    return digest_file(file).sha256 if file.is_file() else ""


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


def _own_training_folder(folder: Path, key: str) -> Path:
    """Return the folder of a training; another one there is set aside, this one brought back if it was."""
    out = folder / TRAINING_FOLDER
    if out.is_dir() and not Step(out / TRAINING_FILE, key).is_begun:
        taken = {path.name for path in folder.glob(f"{TRAINING_FOLDER}_*")}
        free = next(n for n in range(1, len(taken) + 2) if f"{TRAINING_FOLDER}_{n}" not in taken)
        out.rename(folder / f"{TRAINING_FOLDER}_{free}")
    for earlier in sorted(folder.glob(f"{TRAINING_FOLDER}_*")):
        if not out.is_dir() and Step(earlier / TRAINING_FILE, key).is_begun:
            earlier.rename(out)
    return out


def _plain(value: TrainingSettings | VolumeConditions) -> dict[str, Any]:
    plain: dict[str, Any] = to_json(dataclasses.asdict(value))
    return plain
