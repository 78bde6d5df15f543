"""The stage "test" of a 3D run: what the network and the fit make of simulated and of real frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from autods.core import Camera
from autods.inference.observation import Observation
from autods.pipelines import doubt, figures3d, measure3d, train3d, trial3d
from autods.pipelines.limits3d import best_limits
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import Localize3DSettings
from autods.pipelines.streaming3d import Limits, VolumeLocalizer
from autods.runs.provenance import to_json
from autods.runs.record import Stage
from autods.runs.stages import Stages


@dataclass(frozen=True)
class TrialStage:
    """The stage of a run."""

    #: Of the run.
    stages: Stages
    #: Of the run.
    settings: Localize3DSettings
    #: Run folder, whose ``model/`` holds the network.
    folder: Path
    #: Of the movie.
    camera: Camera
    #: Where to compute.
    device: torch.device

    def run(
        self,
        known: KnownPsf,
        extent: Extent,
        measured: dict[str, Any] | None,
        shape: tuple[int, int, int],
        observe: Callable[[int, int], Observation],
        localizer_of: Callable[[KnownPsf], VolumeLocalizer],
        population_of: Callable[[], Population | None],
    ) -> dict[str, Any]:
        """Try the network, draw, and return the results.

        Returns ``limits``, see :func:`~autods.pipelines.limits3d.best_limits`; None where the movie shows too
        little to choose any; ``real``, ``usual`` (frames that are simulated like them) and ``simulated``, see
        :mod:`autods.pipelines.trial3d`.

        Parameters
        ----------
        known, extent
            The PSF.
        measured
            From `measure3d.measure_snr`; None with an earlier run.
        shape
            (T, Y, X) of the movie.
        observe
            Returns frames of the movie from one to before another.
        localizer_of
            Returns network and fit for a PSF, with the usual limits.
        population_of
            Measures photons and density where ``measured`` does not hold them.
        """
        settings = self.settings

        def compute(_: Stage) -> dict[str, Any]:
            population = _population(measured, population_of)
            n_frames, height, width = shape
            side_px = min(max(trial3d.REAL_PX, 2 * extent.light_px), height, width)
            per_px = 0.0 if population is None else population.per_px(known.model.pixel_size_nm)
            chosen = trial3d.chosen_frames(n_frames, side_px, per_px)
            observation = Observation.concatenate([observe(t, t + 1) for t in chosen])
            if known.variation is None:  # a part of the frames would be at another place of the field
                observation = trial3d.brightest_window(observation, side_px)
            limits = self._limits(known, extent, observation, localizer_of(known), population)

            def limited(psf: KnownPsf) -> VolumeLocalizer:
                return with_limits(localizer_of(psf), limits)

            localizer = limited(known)
            # A network that was trained for the PSF knows no other.
            others = trial3d.turned_psfs(known) if train3d.is_told(self.folder) else {}
            turned = {name: limited(replace(known, model=model)) for name, model in others.items()}
            near_px = doubt.near_px(known)
            real, real_example = trial3d.try_real(localizer, observation, chosen, turned, near_px)
            usual = None
            if population is not None:
                usual = trial3d.try_population(
                    localizer, known, extent, self.camera, population, observation, near_px
                )
            results: dict[str, Any] = {"limits": limits, "real": real, "usual": usual}
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

        depends = (settings.refine, settings.passes, settings.threshold, settings.min_significance)
        return self.stages.run("test", to_json(depends), compute)

    def _limits(
        self,
        known: KnownPsf,
        extent: Extent,
        observation: Observation,
        localizer: VolumeLocalizer,
        population: Population | None,
    ) -> dict[str, Any] | None:
        """Choose the limits that are not given."""
        settings = self.settings
        if population is None or None not in (settings.threshold, settings.min_significance):
            return None
        return best_limits(
            localizer, known, extent, self.camera, population, observation.noise_of_frames(),
            settings.threshold, settings.min_significance,
        )  # fmt: skip


def _population(
    measured: dict[str, Any] | None, population_of: Callable[[], Population | None]
) -> Population | None:
    """Return the population that was measured before the training, or measure it."""
    if measured is None:
        return population_of()
    told = measured["population"]
    return None if told is None else Population(**told)


def with_limits(localizer: VolumeLocalizer, limits: dict[str, Any] | None) -> VolumeLocalizer:
    """Return a localizer with the limits that the stage has chosen."""
    if limits is None:
        return localizer
    names = [field.name for field in fields(Limits)]
    return localizer.with_limits(Limits(**{name: limits[name] for name in names}), limits["crowding"])
