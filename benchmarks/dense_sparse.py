"""The paper's second experiment: a few dense frames against the picture of many sparse ones.

Dense frames of a structure are localized by each contender; their pictures are compared with that of sparse
frames of the same molecules, whose separate spots are fitted by maximum likelihood.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_filter

from autods.core import EmitterBatch, LocalizationTable, OpticalSystem
from autods.inference import pick_device
from autods.io.movie import ArrayMovie
from autods.io.result_tables import Cell, Row, Table, mean_rows, number
from autods.metrics.detection import detection_metrics
from autods.metrics.image import Image, compare_images, density_image
from autods.pipelines.plan import load_localizers, make_plan
from autods.pipelines.settings import LocalizeSettings
from benchmarks.contenders import Contender, settings_for, timed_localize, zoo_cards
from benchmarks.fields import (
    CAMERA,
    HeterogeneousConditions,
    SimulatedField,
    heterogeneous_sample,
    record,
    truth_table,
)
from benchmarks.heterogeneous import assemble, choose_patches
from benchmarks.peers import Peer, installed_peers
from benchmarks.scores import RESOLUTIONS, resolutions
from benchmarks.spot_fits import SpotFits
from benchmarks.style import panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_SCORES = ("psnr_db", "nrmse", "ms_ssim", "jaccard", "rmse_nm", *RESOLUTIONS)
_IMAGE_SCORES = ("psnr_db", "nrmse", "ms_ssim")
_CHUNK = 250
_EDGE_NM = 400.0
#: Largest distance of a match in the dense frames.
_RADIUS_NM = 200.0
PAPERS_RULE, OURS, TRUTH = "AutoDS, the paper's rule", "ours", "true positions"
_SINGLE = "Deep-STORM, "
#: Averaged shifted histograms with two shifts: histograms of twice the pixel, shifted by one, averaged.
_SHIFTS = (0.25, 0.5, 0.25)
#: PSNR (dB) and NRMSE of table 1.
_PAPER = {
    "filaments": {"single": (12.7, 1.65), "AutoDS": (16.4, 0.97)},
    "mitochondria": {"single": (15.7, 0.90), "AutoDS": (17.6, 0.73)},
}


@dataclass(frozen=True)
class DenseSparse:
    """The suite ``dense_sparse``.

    Parameters
    ----------
    structures
        Targets, ``filaments`` (tubulin-like) and ``mitochondria``, with further arguments of each; None
        leaves one out.
    n_fields, first_field
        Fields of each, and the number of the first.
    n_dense, n_sparse
        Frames.
    n_cells, cell_um
        A field has ``n_cells`` x ``n_cells`` cells, each with a density and an SNR of its own.
    density_per_um2, snr
        Lowest and highest of the cells, in the dense frames.
    sparser, brighter
        How many times fewer emitters a sparse frame has, and how many times brighter they are.
    pixel_nm, resolution_pixel_nm
        Pixel of the pictures that are compared, and of those whose resolution is measured; the latter None
        leaves it out.
    zoo
        Folder of the models; None for those shipped.
    peers
        Interpreters of other programs by their names, see :mod:`benchmarks.peers`.
    device
        Where the networks run.
    seed
        Of the simulation.
    """

    structures: Mapping[str, Mapping[str, float] | None]
    n_fields: int = 5
    first_field: int = 0
    n_dense: int = 400
    n_sparse: int = 10_000
    n_cells: int = 2
    cell_um: float = 3.5
    density_per_um2: tuple[float, float] = (0.5, 2.0)
    snr: tuple[float, float] = (2.0, 8.0)
    sparser: float = 15.0
    brighter: float = 8.0
    pixel_nm: float = 12.5
    resolution_pixel_nm: float | None = 20.0
    zoo: Path | str | None = None
    peers: dict[str, str | None] | None = None
    device: str = "auto"
    seed: int = 0
    name: str = "dense_sparse"

    def run(self) -> SuiteResult:
        """Simulate, fit the sparse frames, localize the dense ones by each contender, and compare."""
        peers, notes = installed_peers(self.peers or {})
        rows: list[Row] = []
        figures = {}
        filled: list[Row] = []
        for structure, labels in self.structures.items():
            if labels is None:
                continue
            for index in range(self.first_field, self.first_field + self.n_fields):
                field, reference = self._field(structure, labels, index)
                tables = dict(self._tables(field, peers))
                place: Row = {"structure": structure, "field": index}
                picture = self._picture(reference, field)
                filled.append({**place, "rms": float(np.sqrt(np.mean(picture**2)))})
                for choice, table in tables.items():
                    row = {**place, "choice": choice, **self._scores(field, picture, table)}
                    logger.info("%s, field %d, %s: PSNR %.2f dB", structure, index, choice, row["psnr_db"])
                    rows.append(row)
                if index == self.first_field:
                    figures[f"field_{structure}"] = self._figure(field, reference, tables)
        means = mean_rows(rows, ("structure", "choice"), _SCORES)
        tables_out = [
            Table("results", f"Mean ± standard deviation over {self.n_fields} fields", means),
            Table("margins", "Above a single Deep-STORM model", margins(means)),
            Table("fields", "Each field", rows),
        ]
        return SuiteResult(
            "Dense frames against the picture of sparse frames",
            tables_out,
            figures,
            [*notes, *self._notes(filled), *verdicts(means)],
        )

    def _notes(self, filled: Sequence[Row]) -> list[str]:
        side = self.n_cells * self.cell_um
        low, high = self.density_per_um2
        levels = ", ".join(
            f"{row['structure']} {number(row['rms'])}" for row in mean_rows(filled, ("structure",), ("rms",))
        )
        return [
            f"Fields of {side:g} x {side:g} um with {self.n_cells**2} cells; dense: {self.n_dense} frames,"
            f" density {low:g}-{high:g} per um^2, SNR {self.snr[0]:g}-{self.snr[1]:g}; reference:"
            f" {self.n_sparse} frames of the same molecules, {self.sparser:g} times sparser and"
            f" {self.brighter:g} times brighter, wavelet maxima fitted by maximum likelihood.",
            f"Pictures: averaged shifted histograms of {self.pixel_nm:g} nm pixels, without the outer"
            f" {_EDGE_NM:g} nm, clipped to the 0th-99th percentile, scaled to 0-1, blurred by 2 pixels.",
            f"Root mean square of the reference's picture: {levels}; of the paper's, by its PSNR and NRMSE:"
            " filaments 0.14-0.16, mitochondria 0.18.",
            "A single Deep-STORM model is each of the four, for all of the field; worst and best by the mean"
            " PSNR over the fields, mean over the four.",
            "Scaled down from the paper: the fields; and the heatmap zoo has the fast network of the same"
            " input, output and loss in the place of the published one.",
        ]

    def _field(
        self, structure: str, labels: Mapping[str, float], index: int
    ) -> tuple[SimulatedField, LocalizationTable]:
        """Return the dense movie, and what was fitted in the sparse one of the same molecules."""
        generator = torch.Generator().manual_seed(1000 * self.seed + index)
        dense = HeterogeneousConditions(
            structure,
            n_cells=self.n_cells,
            cell_um=self.cell_um,
            density_per_um2=self.density_per_um2,
            snr=self.snr,
            n_frames=self.n_dense,
            labels=labels,
        )
        sample, per_frame = heterogeneous_sample(dense, generator)
        frames, truth = zip(*record(sample, per_frame, dense, generator, chunk=50), strict=True)
        optics = OpticalSystem(dense.pixel_size_nm)
        field = SimulatedField(
            np.concatenate(frames), truth_table(EmitterBatch.concatenate(list(truth))), optics, CAMERA
        )
        sparse = dataclasses.replace(dense, n_frames=self.n_sparse)
        rare = per_frame / self.sparser
        pieces = record(sample, rare, sparse, generator, brighter=self.brighter, chunk=_CHUNK)
        reference = SpotFits()((adu for adu, _ in pieces), CAMERA, dense.pixel_size_nm)
        return field, reference

    def _tables(
        self, field: SimulatedField, peers: Sequence[Peer]
    ) -> Iterator[tuple[str, LocalizationTable]]:
        """Yield the table of each contender; what the rule gives is put together from its models' tables."""
        zoo = None if self.zoo is None else Path(self.zoo)
        cards = [card for card in zoo_cards(zoo) if card.family == "heatmap" and not card.generalist]
        alone = {}
        for card in cards:
            alone[card.name] = self._localized(field, Contender("heatmap", f"fixed:{card.name}"), zoo)
            yield f"{_SINGLE}{card.name}", alone[card.name]
        if len(cards) > 1:
            settings = self._settings(field, Contender("heatmap", "average"), zoo)
            localizers = load_localizers(cards, settings, pick_device("cpu"))
            plan = make_plan(ArrayMovie(field.frames), field.optics, settings, cards, localizers)
            yield PAPERS_RULE, assemble(plan, choose_patches(plan, "average"), alone)
        yield OURS, self._localized(field, Contender("mixture", "auto", "mle"), zoo)
        yield "wavelet + MLE", SpotFits()([field.frames], field.camera, field.optics.pixel_size_nm)
        for peer in peers:
            yield f"{peer.name}, tuned on the truth", peer.tuned(field)
        yield TRUTH, field.truth

    def _settings(self, field: SimulatedField, contender: Contender, zoo: Path | None) -> LocalizeSettings:
        usual = settings_for(contender, field.optics.pixel_size_nm, field.camera, zoo, self.device)
        return dataclasses.replace(usual, patch_um=self.cell_um)

    def _localized(self, field: SimulatedField, contender: Contender, zoo: Path | None) -> LocalizationTable:
        table, seconds = timed_localize(field.frames, self._settings(field, contender, zoo))
        logger.info("%s: %d localizations in %.1f s", contender.name, len(table), seconds)
        return table

    def _picture(self, table: LocalizationTable, field: SimulatedField) -> Image:
        """Draw a table, without the edge of the field, where single spots are not fitted."""
        edge = round(_EDGE_NM / self.pixel_nm)
        return published_image(density_image(table, field.shape_nm, self.pixel_nm)[edge:-edge, edge:-edge])

    def _scores(self, field: SimulatedField, reference: Image, table: LocalizationTable) -> dict[str, Cell]:
        """Compare a table's picture with the reference's, and its rows with the truth of the dense frames."""
        found = compare_images(reference, self._picture(table, field))
        detection = detection_metrics(field.truth, table, _RADIUS_NM)
        scores: dict[str, Cell] = {
            "psnr_db": found.psnr,
            "nrmse": found.nrmse,
            "ms_ssim": found.ms_ssim,
            "jaccard": detection.jaccard,
            "rmse_nm": detection.rmse_lateral_nm,
        }
        if self.resolution_pixel_nm is None:
            return {**scores, **dict.fromkeys(RESOLUTIONS)}
        return {**scores, **resolutions(table, field.shape_nm, self.resolution_pixel_nm)}

    def _figure(
        self, field: SimulatedField, reference: LocalizationTable, tables: dict[str, LocalizationTable]
    ) -> Figure:
        images: dict[str, NDArray[np.floating]] = {"mean of the dense frames": field.frames.mean(0)}
        for name, table in {"sparse frames, MLE": reference, **tables}.items():
            images[name] = self._picture(table, field)
        columns = 4
        figure, axes = panels(columns, -(-len(images) // columns), size=(3.0, 3.2))
        for axis, (name, image) in zip(axes, images.items(), strict=False):
            axis.imshow(image, cmap="gray" if name.startswith("mean") else "hot", interpolation="nearest")
            axis.set_title(name, size=9)
        for axis in axes:
            axis.set_axis_off()
        return figure


def published_image(counts: Image) -> Image:
    """Draw counts (Y, X) as published: clipped at the 99th percentile, scaled to 0-1, blurred by 2 pixels.

    Counts become averaged shifted histograms first, as ThunderSTORM draws them: of whole counts the
    percentile is a small whole number, and a picture would differ in brightness by a third or a half from
    another that has a few counts more.
    """
    for axis in (0, 1):
        counts = convolve1d(counts, _SHIFTS, axis=axis)
    low, high = np.percentile(counts, [0, 99])
    if not high > low:
        high = max(float(counts.max()), low + 1e-12)
    scaled: Image = gaussian_filter((counts.clip(low, high) - low) / (high - low), 2.0)
    return scaled


def singles(means: Sequence[Row], structure: str) -> dict[str, Row]:
    """Return the worst, the mean and the best of the single Deep-STORM models, by PSNR; none without them."""
    own = [row for row in means if row["structure"] == structure and str(row["choice"]).startswith(_SINGLE)]
    if not own:
        return {}
    ranked = sorted(own, key=lambda row: float(row["psnr_db"] or 0))
    mean = mean_rows(own, ("structure",), _IMAGE_SCORES)[0]
    return {
        f"worst ({str(ranked[0]['choice']).removeprefix(_SINGLE)})": ranked[0],
        "mean of them": mean,
        f"best ({str(ranked[-1]['choice']).removeprefix(_SINGLE)})": ranked[-1],
    }


def margins(means: Sequence[Row]) -> list[Row]:
    """Return how far ours and the paper's rule are above single models, and the paper's margins."""
    cell = {(row["structure"], row["choice"]): row for row in means}
    found: list[Row] = []
    for structure in dict.fromkeys(str(row["structure"]) for row in means):
        for single, other in singles(means, structure).items():
            for choice in (PAPERS_RULE, OURS):
                row = cell.get((structure, choice))
                if row is None:
                    continue
                gain: dict[str, Cell] = {"structure": structure, "choice": choice, "single model": single}
                gain |= {key: float(row[key] or 0) - float(other[key] or 0) for key in _IMAGE_SCORES}
                if structure in _PAPER:
                    single_paper, rule_paper = _PAPER[structure]["single"], _PAPER[structure]["AutoDS"]
                    gain["psnr_db, the paper's"] = rule_paper[0] - single_paper[0]
                    gain["nrmse, the paper's"] = rule_paper[1] - single_paper[1]
                found.append(gain)
    return found


def verdicts(means: Sequence[Row]) -> list[str]:
    """Say for each structure whether the measure decides: the true positions must be above every method."""
    lines = []
    for structure in dict.fromkeys(str(row["structure"]) for row in means):
        psnr = {
            str(row["choice"]): float(row["psnr_db"] or 0) for row in means if row["structure"] == structure
        }
        truth = psnr.pop(TRUTH)
        best = max(psnr, key=psnr.__getitem__)
        said = "the measure decides" if truth > psnr[best] else "the measure does not decide"
        lines.append(
            f"{structure}: the true positions of the dense frames have {truth:.1f} dB, the best method"
            f" ({best}) {psnr[best]:.1f} dB: {said}."
        )
    return lines
