"""Networks for one PSF, trained for some minutes from nothing or from the weights of the shipped one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from autods.core import Camera
from autods.core.resources import models_dir
from autods.inference.finders import Finder
from autods.io.atomic import atomic_path
from autods.io.result_tables import Row
from autods.pipelines import adapt3d, measure3d, train3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import TrainingSettings
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.runs.steps import step_key
from autods.zoo import load_card

logger = logging.getLogger(__name__)

SCRATCH, ADAPTED = "specialist", "from instant weights"


def trained_finder(
    method: str,
    known: KnownPsf,
    measured: dict[str, Any],
    camera: Camera,
    minutes: float,
    folder: Path,
    device: torch.device,
    localizer_of: Callable[[Finder], VolumeLocalizer],
) -> Finder:
    """Train for a PSF, or go on with a training that was ended.

    Parameters
    ----------
    method
        `SCRATCH` or `ADAPTED`.
    known
        The PSF that is told.
    measured
        What frames hold, see `measure3d.training_conditions`.
    camera
        Of the frames.
    minutes
        Length.
    folder
        Keeps training and model.
    device
        Where to train.
    localizer_of
        Puts the fit to a network.
    """
    extent, key = Extent.of(known), step_key(method, minutes, measured)
    settings = TrainingSettings(max_minutes=minutes)
    size_px = train3d.frame_size_px(settings, extent)
    conditions = measure3d.training_conditions(measured, known, extent, size_px)
    if method == ADAPTED:
        card = load_card(train3d.UNIVERSAL)
        train3d.copy_model(models_dir() / train3d.UNIVERSAL, folder)
        density = measured["density_per_um2"]
        adapt3d.adapt(
            card,
            known,
            extent,
            conditions,
            density,
            minutes,
            folder,
            key,
            device,
            logger.info,
            camera,
            localizer_of,
        )
    else:
        train3d.train(
            known, conditions, extent, camera, settings, folder, key, device, on_step=lambda _: None
        )
    return train3d.load_finder(folder, known, extent, None, device)


def kept_rows(file: Path, compute: Callable[[], list[Row]]) -> list[Row]:
    """Return rows from a file, or compute and write them."""
    if file.exists():
        rows: list[Row] = json.loads(file.read_text(encoding="utf-8"))
        return rows
    rows = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as part:
        part.write_text(json.dumps(rows), encoding="utf-8")
    return rows
