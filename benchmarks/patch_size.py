"""Quality against the side of the patches that get a model each, on fields that differ by place."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from autods.io.result_tables import Row, Table, mean_rows
from benchmarks.contenders import available, settings_for, timed_localize
from benchmarks.fields import HeterogeneousConditions, heterogeneous_field
from benchmarks.scores import SCORES, field_scores
from benchmarks.style import lines, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PatchSize:
    """The suite ``patch_size``.

    Parameters
    ----------
    sides_um
        Sides of the patches, um; at least 2.5.
    contenders
        Families with a rule that chooses among several models, such as ``heatmap/average``.
    structure
        Structure of the samples.
    n_fields, n_frames, n_cells, cell_um
        Fields, frames of each, cells of one density and SNR along each axis, and the side of a cell, um.
    density_per_um2, snr
        Lowest and highest of a field's cells.
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

    sides_um: Sequence[float] = (2.5, 5.0, 6.5, 10.0, 14.9, 20.0)
    contenders: Sequence[str] = ("heatmap/average", "heatmap/nearest", "mixture/average")
    structure: str = "filaments"
    n_fields: int = 3
    n_frames: int = 20
    n_cells: int = 3
    cell_um: float = 10.0
    density_per_um2: tuple[float, float] = (0.3, 2.5)
    snr: tuple[float, float] = (2.0, 9.0)
    zoo: Path | str | None = None
    device: str = "auto"
    radius_nm: float = 200.0
    image_pixel_nm: float = 25.0
    seed: int = 0
    name: str = "patch_size"

    def run(self) -> SuiteResult:
        """Simulate the fields and localize each with patches of each size.

        Raises
        ------
        UserError
            If the zoo holds none of the models, or a side is too small.
        """
        zoo = None if self.zoo is None else Path(self.zoo)
        fielded, notes = available(list(self.contenders), zoo)
        conditions = HeterogeneousConditions(
            self.structure,
            self.n_cells,
            self.cell_um,
            self.density_per_um2,
            self.snr,
            self.n_frames,
        )
        rows: list[Row] = []
        for index in range(self.n_fields):
            field = heterogeneous_field(conditions, torch.Generator().manual_seed(self.seed + index))
            for contender in fielded:
                known = settings_for(contender, field.optics.pixel_size_nm, field.camera, zoo, self.device)
                for side in self.sides_um:
                    settings = dataclasses.replace(known, patch_um=side)
                    found, seconds = timed_localize(field.frames, settings)
                    scores = field_scores(field, found, self.radius_nm, self.image_pixel_nm)
                    rows.append({"patch_um": side, "program": contender.name, **scores, "seconds": seconds})
                    logger.info("%s, %g um: %.1f s", contender.name, side, seconds)
        means = mean_rows(rows, ("patch_um", "program"), (*SCORES, "seconds"))
        notes.append(
            f"{self.n_fields} fields of {self.n_cells} x {self.n_cells} cells of {self.cell_um:g} um"
            f" ({self.structure}), {self.n_frames} frames each. The field is split evenly, into patches as"
            " near to the side as that allows."
        )
        tables = [Table("results", f"Mean ± standard deviation over {self.n_fields} fields", means)]
        title = "Side of the patches that get a model each"
        return SuiteResult(title, tables, {"against_side": _figure(means)}, notes)


def _figure(means: Sequence[Row]) -> Figure:
    sides = list(dict.fromkeys(float(row["patch_um"] or 0) for row in means))
    programs = list(dict.fromkeys(str(row["program"]) for row in means))
    figure, axes = panels(3)
    labels = {"psnr_db": "PSNR, dB", "jaccard": "Jaccard index", "seconds": "time, s"}
    for axis, (column, label) in zip(axes, labels.items(), strict=True):
        series = {
            program: [float(row[column] or "nan") for row in means if row["program"] == program]
            for program in programs
        }
        lines(axis, sides, series, ("side of a patch, µm", label))
    axes[0].legend(frameon=False, fontsize=8)
    return figure
