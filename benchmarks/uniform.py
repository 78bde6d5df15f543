"""Uniform emitters of known brightness: detection, precision and uncertainties against density."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.io.result_tables import Cell, Row, Table
from autods.metrics.detection import detection_metrics
from autods.metrics.matching import match
from autods.optics.crlb import crlb
from autods.optics.gaussian import GaussianPSF
from benchmarks.contenders import Contender, available, settings_for, timed_localize
from benchmarks.fields import SimulatedField, UniformConditions, uniform_field
from benchmarks.picasso import best_picasso
from benchmarks.style import lines, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

ISOLATED = "isolated"
#: Median absolute deviation of the standard normal variable.
NORMAL_MAD = 0.6745


@dataclass(frozen=True)
class Uniform:
    """The suite ``uniform``.

    Parameters
    ----------
    densities_per_um2
        Emitters per um^2 and frame, beside isolated ones.
    contenders
        As of :class:`~benchmarks.movies2d.Movies2d`.
    n_frames, size_px
        Frames of each movie and their side.
    photons, background
        Photons of an emitter, and per pixel of the background.
    psf_sigma_nm, pixel_size_nm
        Standard deviation of the Gaussian PSF and camera pixel, nm.
    picasso_python
        A Python that has ``picassosr``; None leaves Picasso out.
    picasso_gradients
        Least net gradients tried; the one of the highest Jaccard index at each density is reported.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    radius_nm
        Largest distance of a match.
    seed
        Of the simulation.
    """

    densities_per_um2: Sequence[float] = (0.5, 1.0, 1.5, 2.0)
    contenders: Sequence[str] = ("heatmap", "mixture", "mixture+mle")
    n_frames: int = 200
    size_px: int = 64
    photons: float = 1000.0
    background: float = 15.0
    psf_sigma_nm: float = 100.0
    pixel_size_nm: float = 100.0
    picasso_python: str | None = None
    picasso_gradients: Sequence[float] = (100, 200, 400, 800)
    zoo: Path | str | None = None
    device: str = "auto"
    radius_nm: float = 200.0
    seed: int = 0
    name: str = "uniform"

    def run(self) -> SuiteResult:
        """Simulate, localize and score.

        Raises
        ------
        UserError
            If the zoo holds none of the models, or Picasso does not run.
        """
        zoo = None if self.zoo is None else Path(self.zoo)
        fielded, notes = available(list(self.contenders), zoo)
        bound_nm = self._bound_nm()
        rows: list[Row] = []
        for index, density in enumerate((None, *self.densities_per_um2)):
            field = self._field(density, index)
            for contender in fielded:
                found, seconds = self._localize(field, contender, zoo)
                rows.append(
                    self._score(density, contender.name, field, found, bound_nm) | {"seconds": seconds}
                )
            if self.picasso_python is not None:
                peer = best_picasso(field, self.picasso_python, self.picasso_gradients, self.radius_nm)
                rows.append(self._score(density, peer.name, field, peer.table, bound_nm))
        notes += [
            f"CRLB: lateral bound of an isolated emitter, {bound_nm:.2f} nm (x and y together), PSF width"
            " known; `rmse_over_crlb` compares all densities with it. Matches within"
            f" {self.radius_nm:g} nm.",
            "`pull_std` is the standard deviation of error / predicted uncertainty per axis over all matches,"
            " `pull_mad` its robust counterpart (1.48 times the median absolute deviation), which single"
            " mismatches in crowds do not widen.",
        ]
        if self.picasso_python is not None:
            notes.append("Picasso: least net gradient chosen at each density with the truth at hand.")
        title = (
            f"Uniform emitters: {self.photons:g} photons, background {self.background:g},"
            f" {self.pixel_size_nm:g} nm pixels, PSF sigma {self.psf_sigma_nm:g} nm"
        )
        tables = [Table("results", "Against density", rows)]
        return SuiteResult(title, tables, {"against_density": _figure(rows)}, notes)

    def _field(self, density: float | None, index: int) -> SimulatedField:
        conditions = UniformConditions(
            density,
            self.n_frames,
            self.size_px,
            self.photons,
            self.background,
            self.psf_sigma_nm,
            self.pixel_size_nm,
        )
        return uniform_field(conditions, torch.Generator().manual_seed(self.seed + index))

    def _localize(
        self, field: SimulatedField, contender: Contender, zoo: Path | None
    ) -> tuple[LocalizationTable, float]:
        settings = settings_for(contender, self.pixel_size_nm, field.camera, zoo, self.device)
        return timed_localize(field.frames, settings)

    def _bound_nm(self) -> float:
        """Return the lateral CRLB, root mean square over places within the pixel, nm."""
        generator = torch.Generator().manual_seed(0)
        n = 64
        xyz = torch.zeros(n, 3)
        xyz[:, :2] = (torch.rand((n, 2), generator=generator) - 0.5) * self.pixel_size_nm
        psf = GaussianPSF(self.pixel_size_nm, self.psf_sigma_nm)
        photons, background = torch.full((n,), self.photons), torch.full((n,), self.background)
        size_px = 2 * math.ceil(4 * self.psf_sigma_nm / self.pixel_size_nm) + 1
        bound = crlb(psf, xyz, photons, background, size_px, axial=False)[:, :2]
        return float((bound**2).sum(1).mean().sqrt())

    def _score(
        self,
        density: float | None,
        program: str,
        field: SimulatedField,
        found: LocalizationTable,
        bound_nm: float,
    ) -> dict[str, Cell]:
        detection = detection_metrics(field.truth, found, self.radius_nm)
        pulls = pull(field.truth, found, self.radius_nm)
        logger.info("%s at %s: Jaccard %.3f", program, density or ISOLATED, detection.jaccard)
        return {
            "density_per_um2": density or ISOLATED,
            "program": program,
            "jaccard": detection.jaccard,
            "precision": detection.precision,
            "recall": detection.recall,
            "rmse_nm": detection.rmse_lateral_nm,
            "rmse_over_crlb": detection.rmse_lateral_nm / bound_nm,
            "pull_std": float(pulls.std()) if len(pulls) else None,
            "pull_mad": float(np.median(np.abs(pulls)) / NORMAL_MAD) if len(pulls) else None,
        }


def pull(truth: LocalizationTable, found: LocalizationTable, radius_nm: float) -> NDArray[np.float64]:
    """Return error over predicted uncertainty of all matches with a finite one, x then y: flat."""
    pairs = match(truth, found, radius_nm)
    found, truth = found.select(pairs.found_index), truth.select(pairs.truth_index)
    known = np.isfinite(found.uncertainty_xy_nm) & (found.uncertainty_xy_nm > 0)
    errors = (found.x_nm - truth.x_nm, found.y_nm - truth.y_nm)
    return np.concatenate([error[known] / found.uncertainty_xy_nm[known] for error in errors])


def _figure(rows: Sequence[Row]) -> Figure:
    crowded = [row for row in rows if row["density_per_um2"] != ISOLATED]
    densities = list(dict.fromkeys(float(row["density_per_um2"] or 0) for row in crowded))
    programs = list(dict.fromkeys(str(row["program"]) for row in crowded))
    figure, axes = panels(3)
    shown = {
        "jaccard": "Jaccard index",
        "rmse_over_crlb": "RMSE / CRLB (isolated)",
        "pull_mad": "pull, robust",
    }
    for axis, (column, label) in zip(axes, shown.items(), strict=True):
        series = {
            program: [float(row[column] or "nan") for row in crowded if row["program"] == program]
            for program in programs
        }
        lines(axis, densities, series, ("emitters per µm² and frame", label))
    axes[2].axhline(1, color="0.6", lw=1)
    axes[0].legend(frameon=False, fontsize=8)
    return figure
