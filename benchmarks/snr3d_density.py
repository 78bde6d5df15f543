"""A 3D network against density and signal: one training, tests on a grid of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autods.core import Camera
from autods.inference import pick_device
from autods.io.result_tables import Row, Table
from autods.optics import PSFModel
from autods.simulation import VolumeConditions
from benchmarks.density_snr import grid_maps
from benchmarks.suite import SuiteResult
from benchmarks.volumes import Trained, VolumeComparison, VolumeTraining


@dataclass(frozen=True)
class Snr3dDensity:
    """The suite ``snr3d_density``.

    Parameters
    ----------
    psf, conditions, training
        As of :class:`~benchmarks.ds3d_compare.Ds3dCompare`; the conditions of the training span those
        of the tests.
    variants
        Names of :data:`~benchmarks.volumes.VARIANTS`.
    emitters, photons
        The grid: emitters a frame, and photons of each.
    test_frames, test_size_px
        Frames at each point and their side.
    radius_nm, axial_radius_nm
        Largest distance of a match, laterally and along z.
    folder
        Keeps checkpoints, so that a repeated call goes on; None keeps nothing.
    device
        Where to compute.
    """

    psf: PSFModel
    conditions: VolumeConditions
    training: VolumeTraining = field(default_factory=VolumeTraining)
    variants: Sequence[str] = ("AutoDS3D",)
    emitters: Sequence[int] = (1, 3, 6, 10, 15)
    photons: Sequence[float] = (1000, 2000, 4000)
    test_frames: int = 40
    test_size_px: int = 64
    radius_nm: float = 100.0
    axial_radius_nm: float = 500.0
    folder: Path | str | None = None
    device: str = "auto"
    name: str = "snr3d_density"

    def run(self) -> SuiteResult:
        """Train, then test at each point of the grid.

        Raises
        ------
        UserError
            If a variant is not known.
        """
        comparison = VolumeComparison(
            self.psf,
            self.conditions,
            self.training,
            self.radius_nm,
            self.axial_radius_nm,
            pick_device(self.device),
        )
        rows: list[Row] = []
        for name, trained in comparison.train_each(self.variants, self.folder):
            rows += [
                self._point(comparison, trained, name, n, photons)
                for n in self.emitters
                for photons in self.photons
            ]
        notes = [
            f"{self.training.steps} steps of training over the whole range; {self.test_frames} frames of"
            f" {self.test_size_px} px at each point. SNR: peak of the PSF in focus over the mean noise."
            f" Matches within {self.radius_nm:g} nm laterally and {self.axial_radius_nm:g} nm axially.",
        ]
        figures = {
            "jaccard": grid_maps(rows, "jaccard", "Jaccard index"),
            "lateral": grid_maps(rows, "rmse_lateral_nm", "lateral RMSE, nm"),
            "axial": grid_maps(rows, "rmse_axial_nm", "axial RMSE, nm"),
        }
        title = "3D: quality against density and signal"
        return SuiteResult(title, [Table("results", title, rows)], figures, notes)

    def _point(
        self, comparison: VolumeComparison, trained: Trained, name: str, n: int, photons: float
    ) -> Row:
        """Test a network at one point of the grid."""
        conditions = dataclasses.replace(self.conditions, n_emitters=(n, n), photons=(photons, photons))
        tested = comparison.test(trained, conditions, self.test_frames, self.test_size_px, Camera())
        scores = tested.score(self.radius_nm, self.axial_radius_nm)
        density = conditions.density_per_um2(self.test_size_px).centre
        return {
            "program": name,
            "emitters": n,
            "photons": photons,
            "density_per_um2": round(density, 4),
            "snr": round(conditions.snr.centre, 3),
            "jaccard": scores.jaccard,
            "rmse_lateral_nm": scores.rmse_lateral_nm,
            "rmse_axial_nm": scores.rmse_axial_nm,
        }
