"""The stage "test" of a 3D run: what the network and the fit make of simulated and of real frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from autods.core import Camera
from autods.inference.observation import Observation
from autods.pipelines import figures3d, measure3d, train3d, trial3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import Localize3DSettings
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.runs.provenance import to_json
from autods.runs.record import Stage
from autods.runs.stages import Stages


@dataclass(frozen=True)
class TrialStage:
    """The stage of a run.

    Parameters
    ----------
    stages
        Of the run.
    settings
        Of the run.
    folder
        Run folder, whose ``model/`` holds the network.
    camera
        Of the movie.
    device
        Where to compute.
    """

    stages: Stages
    settings: Localize3DSettings
    folder: Path
    camera: Camera
    device: torch.device

    def run(
        self,
        known: KnownPsf,
        extent: Extent,
        measured: dict[str, Any] | None,
        n_frames: int,
        observe: Callable[[int, int], Observation],
        localizer_of: Callable[[KnownPsf], VolumeLocalizer],
    ) -> dict[str, Any]:
        """Try the network, draw, and return the results.

        Parameters
        ----------
        known, extent
            The PSF.
        measured
            From `measure3d.measure_snr`; None with an earlier run.
        n_frames
            Of the movie.
        observe
            Returns frames of the movie from one to before another.
        localizer_of
            Returns network and fit for a PSF.
        """
        settings = self.settings

        def compute(_: Stage) -> dict[str, Any]:
            localizer = localizer_of(known)
            # A network that was trained for the PSF knows no other.
            others = trial3d.turned_psfs(known) if train3d.is_told(self.folder) else {}
            turned = {name: localizer_of(replace(known, model=model)) for name, model in others.items()}
            chosen = trial3d.chosen_frames(n_frames)
            observation = Observation.concatenate([observe(t, t + 1) for t in chosen])
            real, real_example = trial3d.try_real(localizer, observation, chosen, turned)
            results: dict[str, Any] = {"real": real}
            simulated_example = None
            if measured is not None:
                size_px = train3d.frame_size_px(settings.training, extent)
                conditions = measure3d.training_conditions(measured, known, extent, size_px)
                results["simulated"], simulated_example = trial3d.try_simulated(
                    localizer, known, conditions, extent, self.camera, self.device
                )
            pixel_nm = known.model.pixel_size_nm
            figures3d.save_test(simulated_example, real_example, pixel_nm, self.stages.figure("test"))
            return results

        depends = (settings.refine, settings.threshold, settings.significance)
        return self.stages.run("test", to_json(depends), compute)
