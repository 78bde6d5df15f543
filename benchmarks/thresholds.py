"""The threshold of each specialist at which the whole pipeline serves best, on movies of its own conditions.

A threshold that is best for the network alone is too high for the pipeline, which drops what does not stand
out of the noise besides; and one that is best for the Jaccard index alone lets in what spoils the image. The
best is that of the highest Jaccard index over relative error of the image.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from autods.core.resources import models_dir
from autods.io.result_tables import Row, Table
from autods.zoo import ModelCard
from autods.zoo.card import CARD_FILE, write_card
from benchmarks.contenders import Contender, settings_for, timed_localize, zoo_cards
from benchmarks.fields import HeterogeneousConditions, SimulatedField, heterogeneous_field
from benchmarks.scores import field_scores
from benchmarks.style import COLOURS, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

#: Seed of the fields: far from those of the other suites.
_SEED = 7_000


@dataclass(frozen=True)
class Thresholds:
    """The suite ``thresholds``.

    Parameters
    ----------
    factors
        The thresholds that are tried, as multiples of the card's own.
    structures
        Structures of the samples; the mean over them counts.
    n_cells, n_frames
        Size of each field: cells of 10 um along each axis, and frames.
    spread
        Density and SNR of the cells lie between these multiples of the card's.
    write
        Whether the cards get the best thresholds.
    radius_nm
        Largest distance of a match.
    image_pixel_nm
        Pixel of the images that are compared.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    """

    factors: Sequence[float] = (0.35, 0.5, 0.7, 1.0, 1.5, 2.2)
    structures: Sequence[str] = ("uniform", "filaments")
    n_cells: int = 2
    n_frames: int = 12
    spread: tuple[float, float] = (0.5, 1.5)
    write: bool = False
    radius_nm: float = 200.0
    image_pixel_nm: float = 25.0
    zoo: Path | str | None = None
    device: str = "auto"
    name: str = "thresholds"

    def run(self) -> SuiteResult:
        """Localize each specialist's fields with it at every threshold."""
        zoo = None if self.zoo is None else Path(self.zoo)
        rows: list[Row] = []
        for card in zoo_cards(zoo):
            if card.generalist:
                continue
            fields = [self._field(card, structure) for structure in self.structures]
            tried = [float(f"{factor * card.threshold:.3g}") for factor in self.factors]
            means = [self._mean_scores(fields, card, zoo, value) for value in tried]
            best = tried[int(np.argmax([mean["jaccard"] / mean["nrmse"] for mean in means]))]
            rows += [
                {"model": card.name, "threshold": value, **mean, "best": str(value == best)}
                for value, mean in zip(tried, means, strict=True)
            ]
            logger.info("%s: %g instead of %g", card.name, best, card.threshold)
            if self.write:
                changed = dataclasses.replace(card, threshold=best)
                write_card(changed, (zoo or models_dir()) / card.name / CARD_FILE)
        low, high = self.spread
        notes = [
            f"{self.n_cells} x {self.n_cells} cells of 10 um, {self.n_frames} frames; mean over"
            f" {', '.join(self.structures)}; density and SNR {low:g}-{high:g} times the card's."
        ]
        tables = [Table("results", "Results", rows)]
        return SuiteResult("Thresholds of the specialists", tables, {"results": _figure(rows)}, notes)

    def _field(self, card: ModelCard, structure: str) -> SimulatedField:
        low, high = self.spread
        conditions = HeterogeneousConditions(
            structure,
            n_cells=self.n_cells,
            density_per_um2=(low * card.density_per_um2.mean, high * card.density_per_um2.mean),
            snr=(low * card.snr.mean, high * card.snr.mean),
            n_frames=self.n_frames,
        )
        return heterogeneous_field(conditions, torch.Generator().manual_seed(_SEED))

    def _mean_scores(
        self, fields: Sequence[SimulatedField], card: ModelCard, zoo: Path | None, threshold: float
    ) -> dict[str, float]:
        contender = Contender("mixture" if card.family == "mixture" else "heatmap", f"fixed:{card.name}")
        scores = []
        for field in fields:
            settings = settings_for(contender, field.optics.pixel_size_nm, field.camera, zoo, self.device)
            found, _ = timed_localize(field.frames, dataclasses.replace(settings, threshold=threshold))
            scores.append(field_scores(field, found, self.radius_nm, self.image_pixel_nm))
        return {
            name: float(np.mean([float(score[name] or 0) for score in scores]))
            for name in ("jaccard", "psnr_db", "nrmse")
        }


def _figure(rows: Sequence[Row]) -> Figure:
    figure, (axis,) = panels(1)
    for index, model in enumerate(dict.fromkeys(str(row["model"]) for row in rows)):
        own = [row for row in rows if row["model"] == model]
        x, y = ([float(row[name] or 0) for row in own] for name in ("threshold", "jaccard"))
        axis.plot(x, y, "o-", label=model, color=COLOURS[index % len(COLOURS)], ms=4)
    axis.set(xlabel="threshold", ylabel="Jaccard index", xscale="log")
    axis.legend(frameon=False, fontsize=7)
    return figure
