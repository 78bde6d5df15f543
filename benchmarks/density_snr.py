"""Quality against density and SNR: fields of one density and one SNR each, on a grid of both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from autods.io.result_tables import Row, Table, mean_rows
from benchmarks.contenders import available, by_family, settings_for, timed_localize, zoo_cards
from benchmarks.fields import HeterogeneousConditions, SimulatedField, heterogeneous_field
from benchmarks.scores import SCORES, field_scores
from benchmarks.style import panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DensitySnr:
    """The suite ``density_snr``.

    Parameters
    ----------
    densities_per_um2, snrs
        The grid: emitters per um^2 and frame, and mean peak amplitude over the background's noise.
    structure
        Structure of the samples.
    contenders
        As of :class:`~benchmarks.movies2d.Movies2d`; empty for each single model and, of families with
        several specialists, the average rule.
    n_fields, n_frames, side_um
        Fields at each point of the grid, their frames, and their side, um.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    radius_nm
        Largest distance of a match.
    image_pixel_nm
        Pixel of the images that are compared.
    seed
        Of the simulation.
    """

    densities_per_um2: Sequence[float] = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
    snrs: Sequence[float] = (2.0, 4.0, 6.0, 8.0)
    structure: str = "filaments"
    contenders: Sequence[str] = ()
    n_fields: int = 2
    n_frames: int = 30
    side_um: float = 10.0
    zoo: Path | str | None = None
    device: str = "auto"
    radius_nm: float = 200.0
    image_pixel_nm: float = 25.0
    seed: int = 0
    name: str = "density_snr"

    def run(self) -> SuiteResult:
        """Simulate, localize and score at each point of the grid.

        Raises
        ------
        UserError
            If the zoo holds none of the models.
        """
        zoo = None if self.zoo is None else Path(self.zoo)
        fielded, notes = available(list(self.contenders) or everyone(zoo), zoo)
        rows: list[Row] = []
        for density in self.densities_per_um2:
            for snr in self.snrs:
                for index in range(self.n_fields):
                    field = self._field(density, snr, index)
                    place: Row = {"density_per_um2": density, "snr": snr}
                    for contender in fielded:
                        settings = settings_for(
                            contender, field.optics.pixel_size_nm, field.camera, zoo, self.device
                        )
                        found, _ = timed_localize(field.frames, settings)
                        scores = field_scores(field, found, self.radius_nm, self.image_pixel_nm)
                        rows.append({**place, "program": contender.name, **scores})
                logger.info("density %g per um^2, SNR %g: done", density, snr)
        means = mean_rows(rows, ("density_per_um2", "snr", "program"), SCORES)
        notes.append(
            f"{self.structure}: {self.n_fields} fields of {self.side_um:g} x {self.side_um:g} um and"
            f" {self.n_frames} frames at each point; matches within {self.radius_nm:g} nm; images:"
            f" {self.image_pixel_nm:g} nm pixels."
        )
        figures = {
            "jaccard": grid_maps(means, "jaccard", "Jaccard index"),
            "psnr": grid_maps(means, "psnr_db", "PSNR, dB"),
        }
        tables = [
            Table("results", f"Mean ± standard deviation over {self.n_fields} fields", means),
            Table("best", "The program of the highest Jaccard index at each point", best_rows(means)),
        ]
        return SuiteResult("Quality against density and SNR", tables, figures, notes)

    def _field(self, density: float, snr: float, index: int) -> SimulatedField:
        conditions = HeterogeneousConditions(
            self.structure,
            n_cells=1,
            cell_um=self.side_um,
            density_per_um2=(density, density),
            snr=(snr, snr),
            n_frames=self.n_frames,
        )
        return heterogeneous_field(conditions, torch.Generator().manual_seed(self.seed + index))


def everyone(zoo: Path | None) -> list[str]:
    """Name each single model of a zoo and, for families with several specialists, the average rule."""
    names = []
    for family, cards in by_family(zoo_cards(zoo)).items():
        names += [f"{family}/fixed:{card.name}" for card in cards]
        if sum(not card.generalist for card in cards) > 1:
            names.append(f"{family}/average")
    return names


def best_rows(means: Sequence[Row]) -> list[Row]:
    """Return, for each point of the grid, the program of the highest Jaccard index and its lead."""
    points = list(dict.fromkeys((row["density_per_um2"], row["snr"]) for row in means))
    best: list[Row] = []
    for density, snr in points:
        here = [row for row in means if (row["density_per_um2"], row["snr"]) == (density, snr)]
        ordered = sorted(here, key=lambda row: float(row["jaccard"] or 0), reverse=True)
        scores = [float(row["jaccard"] or 0) for row in ordered]
        lead = scores[0] - scores[1] if len(scores) > 1 else None
        best.append(
            {
                "density_per_um2": density,
                "snr": snr,
                "program": ordered[0]["program"],
                "jaccard": scores[0],
                "lead": lead,
            }
        )
    return best


def grid_maps(means: Sequence[Row], column: str, label: str) -> Figure:
    """Draw a score over density and SNR, a panel for each program, all on one scale."""
    densities, snrs, programs = (
        list(dict.fromkeys(row[name] for row in means)) for name in ("density_per_um2", "snr", "program")
    )
    cell = {(row["density_per_um2"], row["snr"], row["program"]): row[column] for row in means}
    values = np.array(
        [[[float(cell[d, s, p] or "nan") for s in snrs] for d in densities] for p in programs], np.float64
    )
    columns = min(len(programs), 4)
    figure, axes = panels(columns, -(-len(programs) // columns), size=(3.0, 2.9))
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    for axis, program, scores in zip(axes, programs, values, strict=False):
        shown = axis.imshow(scores, origin="lower", aspect="auto", cmap="viridis", vmin=low, vmax=high)
        for (row, place), value in np.ndenumerate(scores):
            colour = "white" if value < (low + high) / 2 else "black"
            axis.text(place, row, f"{value:.2g}", ha="center", va="center", size=6, color=colour)
        axis.set_xticks(range(len(snrs)), [f"{snr:g}" for snr in snrs])
        axis.set_yticks(range(len(densities)), [f"{density:g}" for density in densities])
        axis.set(xlabel="SNR", ylabel="density, per µm²")
        axis.set_title(str(program), size=8)
    for axis in axes[len(programs) :]:
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes, label=label, shrink=0.7)
    return figure
