"""Where a 3D run gets its network: trained, from an earlier run, or the shipped one, told the PSF."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autods.core import Camera
from autods.core.resources import models_dir
from autods.inference.finders import Finder
from autods.pipelines import adapt3d, figures3d, measure3d, train3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import TrainingSettings
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.runs.provenance import to_json
from autods.runs.record import Stage
from autods.runs.stages import Stages
from autods.zoo import load_card

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStage:
    """The stage "train" of a run."""

    #: Of the run.
    stages: Stages
    #: Family, size and length of the training.
    settings: TrainingSettings
    #: Run folder; the network goes to ``model/``.
    folder: Path
    #: Of the movie.
    camera: Camera
    #: Where to train.
    device: torch.device
    #: Puts the fit to a network of the run.
    localizer_of: Callable[[Finder], VolumeLocalizer]

    def prepare(
        self, known: KnownPsf, extent: Extent, measured: dict[str, Any] | None, run: Path | None
    ) -> None:
        """Put the network into the run folder.

        Parameters
        ----------
        known, extent
            The PSF.
        measured
            From `measure3d.measure_snr`; None with an earlier run.
        run
            An earlier run whose network is taken.
        """
        if run is not None:
            self._take(run / train3d.MODEL_FOLDER)
        elif self.settings.family != train3d.UNIVERSAL:
            assert measured is not None
            self._train(known, extent, measured)
        elif self.settings.adapt_minutes:
            assert measured is not None
            self._adapt(known, extent, measured)
        else:
            self._take(models_dir() / train3d.UNIVERSAL)

    def save_figure(self) -> None:
        """Draw the course of a training, if there was one."""
        log = self.folder / train3d.TRAINING_FOLDER / "metrics.csv"
        if self.settings.family != train3d.UNIVERSAL:
            figures3d.save_training(log, self.stages.figure("train"))

    def _train(self, known: KnownPsf, extent: Extent, measured: dict[str, Any]) -> None:
        settings = self.settings
        size_px = train3d.frame_size_px(settings, extent)
        conditions = measure3d.training_conditions(measured, known, extent, size_px)

        def compute(stage: Stage) -> dict[str, Any]:
            key, told = self.stages.key, stage.advance
            return train3d.train(
                known, conditions, extent, self.camera, settings, self.folder, key, self.device, told
            )

        card = self.folder / train3d.MODEL_FOLDER / "card.yaml"
        limit_s = None if settings.max_minutes is None else 60 * settings.max_minutes
        depends = {
            "settings": dataclasses.replace(settings, warm_start=None),
            "conditions": conditions,
            "start": train3d.start_digest(settings),
        }
        more: dict[str, Any] = {"files": (card,), "total": settings.steps, "limit_s": limit_s}
        self.stages.run("train", to_json(depends), compute, **more)

    def _take(self, source: Path) -> None:
        def compute(_: Stage) -> dict[str, Any]:
            return {"metrics": train3d.copy_model(source, self.folder)}

        self.stages.run("train", to_json(train3d.model_digest(source)), compute)

    def _adapt(self, known: KnownPsf, extent: Extent, measured: dict[str, Any]) -> None:
        """Copy the shipped network, which goes on learning for the PSF and the movie."""
        settings, source = self.settings, models_dir() / train3d.UNIVERSAL
        size_px = train3d.frame_size_px(settings, extent)
        conditions = measure3d.training_conditions(measured, known, extent, size_px)
        card, minutes = load_card(train3d.UNIVERSAL), settings.adapt_minutes
        density = measured["density_per_um2"]

        def compute(_: Stage) -> dict[str, Any]:
            metrics = train3d.copy_model(source, self.folder)
            key, told = self.stages.key, logger.info
            adapted = adapt3d.adapt(
                card,
                known,
                extent,
                conditions,
                density,
                minutes,
                self.folder,
                key,
                self.device,
                told,
                self.camera,
                self.localizer_of,
            )
            return {"metrics": metrics, **adapted}

        depends = (minutes, conditions, density, card.weights_sha256)
        self.stages.run("train", to_json(depends), compute, limit_s=60 * minutes)
