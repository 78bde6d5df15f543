"""Errors of the density and SNR estimators, published and corrected, over a grid of conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autods.io.result_tables import Table
from benchmarks.estimators import GRID_DENSITY_PER_UM2, GRID_SNR, EstimatorErrors, estimator_errors
from benchmarks.style import panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Estimation:
    """The suite ``estimation``.

    Parameters
    ----------
    repeats
        Patches per cell of the grid.
    seed
        Of the simulation; not the calibration's.
    """

    repeats: int = 6
    seed: int = 1_000_000
    name: str = "estimation"

    def run(self) -> SuiteResult:
        """Simulate patches over the grid and measure them."""
        errors = estimator_errors(self.repeats, self.seed)
        medians = Table(
            "results",
            "Median relative error over the grid",
            [{"estimator": name, "error_percent": 100 * error} for name, error in errors.medians().items()],
        )
        cells = [
            Table(name, f"{name}: median of estimate / truth; columns: SNR", _grid(ratio))
            for name, ratio in vars(errors).items()
        ]
        notes = [
            f"{self.repeats} patches of 64 x 64 px and 50-100 frames in each cell; PSF width 1.0-1.4 px,"
            " measured, not given; background, brightness spread and camera drawn anew."
        ]
        title = "Density and SNR: estimate against truth"
        return SuiteResult(title, [medians, *cells], {"errors": _figure(errors)}, notes)


def _grid(ratio: np.ndarray) -> list[dict[str, float]]:
    medians = np.nanmedian(ratio, axis=-1)
    return [
        {"density": density, **{f"{snr:g}": float(value) for snr, value in zip(GRID_SNR, row, strict=True)}}
        for density, row in zip(GRID_DENSITY_PER_UM2, medians, strict=True)
    ]


def _figure(errors: EstimatorErrors) -> Figure:
    figure, axes = panels(2, 2, size=(4.2, 3.4))
    for axis, (name, ratio) in zip(axes, vars(errors).items(), strict=True):
        medians = np.nanmedian(ratio, axis=-1)
        shown = axis.imshow(np.log2(medians), cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
        for (row, column), value in np.ndenumerate(medians):
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", size=7)
        axis.set_xticks(range(len(GRID_SNR)), [f"{snr:g}" for snr in GRID_SNR])
        axis.set_yticks(range(len(GRID_DENSITY_PER_UM2)), [f"{value:g}" for value in GRID_DENSITY_PER_UM2])
        axis.set(title=name.replace("_", ", "), xlabel="SNR", ylabel="density, per µm²")
    figure.colorbar(shown, ax=axes, label="log2(estimate / truth)", shrink=0.6)
    return figure
