"""Fields whose density and SNR differ from place to place: which rule of choosing a model serves best.

Each field is localized whole with each model alone, by the pipeline. What a rule gives is put together from
these tables patch by patch, which is cheap; that the pipeline itself gives the same is checked on one field.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from autods.core import LocalizationTable, UserError
from autods.core.grid import nm_to_px
from autods.inference import pick_device
from autods.io.movie import ArrayMovie
from autods.io.result_tables import Cell, Row, Table, mean_rows
from autods.metrics.detection import detection_metrics
from autods.pipelines.plan import Plan, load_localizers, make_plan
from autods.pipelines.settings import Scope
from autods.zoo import SELECTION_RULES, ModelCard
from autods.zoo.selection import oracle
from benchmarks.contenders import (
    Contender,
    Family,
    by_family,
    settings_for,
    timed_localize,
    zoo_cards,
)
from benchmarks.field_figures import reconstructions, rule_points
from benchmarks.fields import HeterogeneousConditions, SimulatedField, heterogeneous_field
from benchmarks.scores import RESOLUTIONS, SCORES, field_scores, resolutions
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

#: Scores that are compared field by field.
_COMPARED = ("psnr_db", "nrmse", "ms_ssim", "jaccard")


@dataclass(frozen=True)
class Heterogeneous:
    """The suite ``heterogeneous``.

    Parameters
    ----------
    structures
        Structures of the samples.
    n_fields
        Fields of each structure.
    n_frames, n_cells
        Frames of a field; cells of 10 um along each axis.
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
    resolution_pixel_nm
        Pixel of the images whose resolution is measured (FRC, decorrelation); None leaves it out.
    seed
        Of the simulation.
    selection, scope, family, patch_um
        A rule, run by the pipeline itself, with the patches that it works on; ``fixed`` is each model alone.
        None compares all rules, put together from the models' own tables at patches of 10 um.
    """

    structures: Sequence[str] = ("filaments", "mitochondria")
    n_fields: int = 5
    n_frames: int = 20
    n_cells: int = 4
    density_per_um2: tuple[float, float] = (0.3, 2.5)
    snr: tuple[float, float] = (2.0, 9.0)
    zoo: Path | str | None = None
    device: str = "auto"
    radius_nm: float = 200.0
    image_pixel_nm: float = 25.0
    resolution_pixel_nm: float | None = None
    seed: int = 0
    selection: str | None = None
    scope: Scope = "movie"
    family: Family | None = None
    patch_um: float = 10.0
    name: str = "heterogeneous"

    def run(self) -> SuiteResult:
        """Simulate, localize with each model, choose by each rule and score.

        Raises
        ------
        UserError
            If the zoo is empty.
        """
        zoo = None if self.zoo is None else Path(self.zoo)
        if not zoo_cards(zoo):
            raise UserError(f"{zoo or 'the shipped zoo'} holds no model: build the zoo, or give zoo=DIR")
        if self.selection is not None:
            return self._one_rule(self.selection, zoo)
        rows: list[Row] = []
        choices: list[Row] = []
        sharpness: list[Row] = []
        notes: list[str] = []
        pictures = {}
        for structure in self.structures:
            for index in range(self.n_fields):
                field = self._field(structure, index)
                tables, chosen = self._candidates(field, zoo)
                place: Row = {"structure": structure, "field": index}
                limits = (self.radius_nm, self.image_pixel_nm)
                rows += [
                    {**place, "choice": name, **field_scores(field, found, *limits)}
                    for name, found in tables.items()
                ]
                sharpness += [{**place, **row} for row in self._sharpness(field, tables)]
                choices += [{**place, **row} for row in chosen]
                if not index:
                    notes += self._check(field, tables, zoo, structure)
                    pictures[f"field_{structure}"] = reconstructions(field, tables)
        means = mean_rows(rows, ("structure", "choice"), SCORES)
        tables_out = [
            Table("results", f"Mean ± standard deviation over {self.n_fields} fields", means),
            Table("paired", "Difference from the published rule on the same field", paired(rows)),
            Table("fields", "Each field", rows),
            Table("choices", "How many patches each model got", choices),
        ]
        if sharpness:
            resolved = mean_rows(sharpness, ("structure", "choice"), RESOLUTIONS)
            tables_out.append(Table("resolution", "Resolution of the images, nm", resolved))
        low, high = self.density_per_um2
        notes.append(
            f"Fields of {self.n_cells} x {self.n_cells} cells of 10 um, {self.n_frames} frames; density"
            f" {low:g}-{high:g} per um^2 and SNR {self.snr[0]:g}-{self.snr[1]:g}, drawn apart for each cell."
            f" Images: {self.image_pixel_nm:g} nm pixels. Oracle: in each patch the model of the highest"
            " Jaccard index there, given the truth."
        )
        title = "Fields that differ from place to place: rules of selection, single models, oracle"
        return SuiteResult(title, tables_out, {"rules": rule_points(means), **pictures}, notes)

    def _one_rule(self, selection: str, zoo: Path | None) -> SuiteResult:
        """Score one rule, or each model alone, as the pipeline runs it."""
        contenders = [
            Contender(family, rule)
            for family, cards in by_family(zoo_cards(zoo)).items()
            if self.family in (None, family)
            for rule in ([f"fixed:{card.name}" for card in cards] if selection == "fixed" else [selection])
        ]
        rows: list[Row] = []
        for structure in self.structures:
            for index in range(self.n_fields):
                field = self._field(structure, index)
                for contender in contenders:
                    usual = settings_for(
                        contender, field.optics.pixel_size_nm, field.camera, zoo, self.device
                    )
                    settings = dataclasses.replace(usual, scope=self.scope, patch_um=self.patch_um)
                    found, seconds = timed_localize(field.frames, settings)
                    scores = field_scores(field, found, self.radius_nm, self.image_pixel_nm)
                    choice = f"{contender.family}, {contender.selection.removeprefix('fixed:')}"
                    rows.append({"structure": structure, "field": index, "choice": choice, **scores})
                    logger.info("%s, field %d, %s: %.1f s", structure, index, choice, seconds)
        means = mean_rows(rows, ("structure", "choice"), SCORES)
        title = f"Rule {selection}, patches of {self.patch_um:g} um, a model for each {self.scope}"
        tables = [
            Table("results", f"Mean ± standard deviation over {self.n_fields} fields", means),
            Table("fields", "Each field", rows),
        ]
        return SuiteResult(title, tables, {"rules": rule_points(means)})

    def _field(self, structure: str, index: int) -> SimulatedField:
        conditions = HeterogeneousConditions(
            structure,
            n_cells=self.n_cells,
            density_per_um2=self.density_per_um2,
            snr=self.snr,
            n_frames=self.n_frames,
        )
        return heterogeneous_field(conditions, torch.Generator().manual_seed(self.seed + index))

    def _candidates(
        self, field: SimulatedField, zoo: Path | None
    ) -> tuple[dict[str, LocalizationTable], list[Row]]:
        """Return the table of each model alone, rule and oracle, and how often each model was chosen."""
        tables: dict[str, LocalizationTable] = {}
        counts: list[Row] = []
        for family, cards in by_family(zoo_cards(zoo)).items():
            alone = {card.name: self._alone(field, family, card, zoo) for card in cards}
            tables.update(alone)
            specialists = [card for card in cards if not card.generalist]
            if len(specialists) < 2:
                continue
            plan = self._plan(field, family, cards, zoo)
            # Without a generalist, "auto" is "average".
            wanted = [rule for rule in SELECTION_RULES if rule != "auto" or len(specialists) < len(cards)]
            rules = {rule: choose_patches(plan, rule) for rule in wanted}
            rules["oracle"] = choose_oracle(plan, field.truth, alone, self.radius_nm)
            for rule, models in rules.items():
                name = f"{family}, {rule}"
                tables[name] = assemble(plan, models, alone)
                counts.append({"choice": name, **{card.name: models.count(card.name) for card in cards}})
        return tables, counts

    def _alone(
        self, field: SimulatedField, family: Family, card: ModelCard, zoo: Path | None
    ) -> LocalizationTable:
        contender = Contender(family, f"fixed:{card.name}")
        settings = settings_for(contender, field.optics.pixel_size_nm, field.camera, zoo, self.device)
        table, seconds = timed_localize(field.frames, settings)
        logger.info("%s: %d localizations in %.1f s", card.name, len(table), seconds)
        return table

    def _plan(
        self, field: SimulatedField, family: Family, cards: Sequence[ModelCard], zoo: Path | None
    ) -> Plan:
        settings = settings_for(Contender(family), field.optics.pixel_size_nm, field.camera, zoo, self.device)
        localizers = load_localizers(cards, settings, pick_device("cpu"))
        return make_plan(ArrayMovie(field.frames), field.optics, settings, cards, localizers)

    def _sharpness(self, field: SimulatedField, tables: Mapping[str, LocalizationTable]) -> list[Row]:
        """Return the resolution of the true image and of each choice's; none where it is not asked for."""
        pixel_nm = self.resolution_pixel_nm
        if pixel_nm is None:
            return []
        images = {"truth": field.truth, **tables}
        return [
            {"choice": name, **resolutions(table, field.shape_nm, pixel_nm)} for name, table in images.items()
        ]

    def _check(
        self,
        field: SimulatedField,
        tables: Mapping[str, LocalizationTable],
        zoo: Path | None,
        structure: str,
    ) -> list[str]:
        """Compare what was put together with the pipeline's own run."""
        notes = []
        for family in by_family(zoo_cards(zoo)):
            name = f"{family}, average"
            if name not in tables:
                continue
            contender = Contender(family, "average")
            settings = settings_for(contender, field.optics.pixel_size_nm, field.camera, zoo, self.device)
            own, _ = timed_localize(field.frames, settings)
            notes.append(
                f"First field of {structure}: {100 * common_fraction(own, tables[name]):.2f} % of"
                f" the {len(own)} localizations of the pipeline's own run with {name} are those put together."
            )
        return notes


def paired(rows: Sequence[Row]) -> list[dict[str, Cell]]:
    """Average what each choice has over the published way on the same field (fields differ more).

    That is the rule ``average`` of the first family that has specialists.

    Parameters
    ----------
    rows
        Scores of each structure, field and choice.

    Returns
    -------
    list of dict
        By structure and choice: mean and standard deviation of the differences; none without that rule.
    """
    name = next((row["choice"] for row in rows if str(row["choice"]).endswith(", average")), None)
    usual = {(row["structure"], row["field"]): row for row in rows if row["choice"] == name}
    differences: list[Row] = []
    for row in rows:
        reference = usual.get((row["structure"], row["field"]))
        if reference is not None and row is not reference:
            gains = {name: _difference(row[name], reference[name]) for name in _COMPARED}
            differences.append({"structure": row["structure"], "choice": row["choice"], **gains})
    return mean_rows(differences, ("structure", "choice"), _COMPARED)


def _difference(cell: Cell, reference: Cell) -> float:
    return float(cell or 0) - float(reference or 0)


def choose_patches(plan: Plan, rule: str) -> list[str]:
    """Return the name of the model that a rule gives to each patch of a plan."""
    ruled = dataclasses.replace(plan, rule=SELECTION_RULES[rule])
    return [ruled.choose(patch.profile).card.name for patch in plan.patches]


def choose_oracle(
    plan: Plan, truth: LocalizationTable, alone: Mapping[str, LocalizationTable], radius_nm: float
) -> list[str]:
    """Return the name of the model of the highest Jaccard index in each patch, given the truth."""
    true_patch = patch_of(plan, truth)
    patches = {card.name: patch_of(plan, alone[card.name]) for card in plan.cards}

    def best(index: int) -> str:
        here = truth.select(true_patch == index)

        def jaccard(card: ModelCard) -> float:
            found = alone[card.name].select(patches[card.name] == index)
            return detection_metrics(here, found, radius_nm).jaccard

        return oracle(plan.cards, jaccard).card.name

    return [best(index) for index in range(len(plan.patches))]


def assemble(plan: Plan, models: Sequence[str], alone: Mapping[str, LocalizationTable]) -> LocalizationTable:
    """Take from each model's table the patches that it was chosen for."""
    parts = []
    for name in sorted(set(models)):
        chosen = np.array([model == name for model in models])
        parts.append(alone[name].select(chosen[patch_of(plan, alone[name])]))
    return LocalizationTable.concatenate(parts).sorted()


def patch_of(plan: Plan, table: LocalizationTable) -> np.ndarray:
    """Return the index of the patch whose core holds each row of a table (N,)."""
    x, y = (nm_to_px(position, plan.optics.pixel_size_nm) for position in (table.x_nm, table.y_nm))
    index = np.zeros(len(table), np.int64)
    for patch in plan.patches:
        y0, x0, y1, x1 = patch.tile.core
        index[(y >= y0) & (y < y1) & (x >= x0) & (x < x1)] = patch.tile.index
    return index


def common_fraction(table: LocalizationTable, other: LocalizationTable) -> float:
    """Return the fraction of a table's rows that another holds too, to a hundredth of a nm."""

    def keys(rows: LocalizationTable) -> set[tuple[int, int, int]]:
        columns = (rows.frame, np.rint(rows.x_nm * 100), np.rint(rows.y_nm * 100))
        return {(int(t), int(x), int(y)) for t, x, y in zip(*columns, strict=True)}

    own = keys(table)
    return len(own & keys(other)) / len(own) if own else float(not len(other))
