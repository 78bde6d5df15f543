"""The 3D one-click on simulated movies of several PSFs, sparse and dense."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.io.result_tables import Row, Table
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS
from autods.pipelines.autods3d import localize3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings import CameraSettings, OpticsSettings
from autods.pipelines.settings3d import Localize3DSettings, PsfSettings, TrainingSettings
from autods.pipelines.simulate import MOVIE_FILE, TRUTH_FILE, SimulationSettings, simulate_to_folder
from autods.pipelines.trial3d import errors_over_bounds
from autods.simulation import PsfRenderer
from benchmarks.measure import measured
from benchmarks.style import panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)


@dataclass(frozen=True)
class OneClick3D:
    """The suite ``oneclick3d``: every movie gets a whole run of its own, training included.

    Parameters
    ----------
    reach_nm
        PSFs by name, and how far from the focus emitters lie, nm.
    densities
        Emitters per um^2 and frame, by name.
    training
        Size and length of each training.
    photons, background
        Mean photons of an emitter in a frame, and of a pixel.
    n_frames, size_px
        Size of the movies.
    radius_nm, axial_radius_nm
        Largest distance of a match.
    folder
        Keeps the runs, so that a repeated call goes on; None keeps nothing.
    device
        Where to compute.
    """

    reach_nm: Mapping[str, float] = field(default_factory=lambda: {"astigmatism": 1000.0})
    densities: Mapping[str, float] = field(default_factory=lambda: {"sparse": 0.03, "dense": 0.2})
    training: TrainingSettings = field(default_factory=TrainingSettings)
    photons: float = 4000.0
    background: float = 15.0
    n_frames: int = 100
    size_px: int = 96
    radius_nm: float = 250.0
    axial_radius_nm: float = 500.0
    folder: Path | str | None = None
    device: str = "auto"
    seed: int = 5
    name: str = "oneclick3d"

    def run(self) -> SuiteResult:
        """Simulate, run and score."""
        rows: list[Row] = []
        with TemporaryDirectory(prefix="autods-3d-") as temporary:
            root = Path(temporary) if self.folder is None else Path(self.folder)
            for psf, reach in self.reach_nm.items():
                for name, density in self.densities.items():
                    rows.append(self._one(psf, reach, name, density, root / f"{psf}_{name}"))
        notes = [
            f"{self.n_frames} frames of {self.size_px} px, molecules anywhere in the field and the depth,"
            f" {self.photons:g} photons on average, on for 2 frames on average, background"
            f" {self.background:g}; matches within {self.radius_nm:g} nm laterally and"
            f" {self.axial_radius_nm:g} nm axially; errors over the bound of each emitter by itself, root"
            " mean square.",
            f"Training: at most {self.training.max_steps} steps, {self.training.max_minutes} minutes each.",
        ]
        return SuiteResult(
            "3D one-click on simulated movies",
            [Table("results", "Results", rows)],
            {"results": _figure(rows)},
            notes,
        )

    def _one(self, psf: str, reach_nm: float, name: str, density: float, folder: Path) -> Row:
        simulation = SimulationSettings(
            OpticalSystem(pixel_size_nm=100.0, wavelength_nm=670.0, na=1.4),
            _CAMERA,
            n_frames=self.n_frames,
            size_px=self.size_px,
            structure="uniform",
            density_per_um2=density,
            photons=self.photons,
            background=self.background,
            seed=self.seed,
            psf=PSF_MODELS[psf],
            z_min_nm=-reach_nm,
            z_max_nm=reach_nm,
        )
        movie = folder / "movie" / MOVIE_FILE
        if not movie.exists():
            simulate_to_folder(simulation, movie.parent)
        with measured() as cost:
            found = localize3d(movie, self._settings(simulation, psf), folder / "run")
        assert found is not None
        truth = read_table(movie.parent / TRUTH_FILE)
        scores = detection_metrics(truth, found, self.radius_nm, self.axial_radius_nm)
        lateral, axial = self._over_bounds(simulation, truth, found)
        return {
            "psf": psf,
            "density": name,
            "per_um2": density,
            "jaccard": scores.jaccard,
            "precision": scores.precision,
            "recall": scores.recall,
            "rmse_lateral_nm": scores.rmse_lateral_nm,
            "rmse_axial_nm": scores.rmse_axial_nm,
            "lateral_over_bound": lateral,
            "axial_over_bound": axial,
            "minutes": cost.seconds / 60,
        }

    def _settings(self, simulation: SimulationSettings, psf: str) -> Localize3DSettings:
        optics = dataclasses.asdict(simulation.optics)
        known = {name: getattr(_CAMERA, name) for name in ("offset_adu", "e_per_adu", "qe", "read_noise_e")}
        return Localize3DSettings(
            PsfSettings(
                formula=PSF_MODELS[psf],
                formula_text=psf,
                z_min_nm=simulation.z_min_nm,
                z_max_nm=simulation.z_max_nm,
            ),
            OpticsSettings(**optics),
            CameraSettings(**known),
            training=self.training,
            device=self.device,
        )

    def _over_bounds(
        self, simulation: SimulationSettings, truth: LocalizationTable, found: LocalizationTable
    ) -> tuple[float, float]:
        assert simulation.psf is not None
        known = KnownPsf(simulation.psf(simulation.optics), (simulation.z_min_nm, simulation.z_max_nm))
        size_px = Extent.of(known).fit_px
        fast = PsfRenderer.fast(known.model, *known.z_range_nm, size_px=size_px).psf
        noise = math.sqrt(self.background / _CAMERA.qe + float(_CAMERA.read_noise_photons) ** 2)
        by_frame = np.full(simulation.n_frames, noise)
        return errors_over_bounds(fast, size_px, truth, found, by_frame, 1 / _CAMERA.qe)


def _figure(rows: Sequence[Row]) -> Figure:
    figure, axes = panels(1, 3, size=(3.6, 3.0))
    labels = [f"{row['psf']}\n{row['density']}" for row in rows]
    columns = (
        ("jaccard", "Jaccard index"),
        ("rmse_lateral_nm", "lateral RMSE, nm"),
        ("rmse_axial_nm", "axial RMSE, nm"),
    )
    for axis, (name, title) in zip(axes, columns, strict=True):
        axis.bar(range(len(rows)), [float(row[name] or 0) for row in rows], color="#2a6f97")
        axis.set_xticks(range(len(rows)), labels, rotation=45, size=7)
        axis.set_title(title)
    return figure
