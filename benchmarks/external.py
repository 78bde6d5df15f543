"""Tables of any programs, ours among them if wanted, against the same truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autods.core import Camera, LocalizationTable, UserError
from autods.io.result_tables import Row, Table
from autods.io.tables import read_table
from autods.metrics.evaluation import evaluate
from benchmarks.contenders import available, settings_for, timed_localize
from benchmarks.style import grouped_bars, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class External:
    """The suite ``external``.

    Parameters
    ----------
    truth
        The true positions: ``truth.csv`` or any localization table.
    tables
        Localization tables by the name of their program: ThunderSTORM (also as written by SMAP, DECODE and
        others), Picasso, a run folder.
    movie
        The movie; None compares the tables alone.
    contenders
        What localizes the movie here: as of :class:`~benchmarks.movies2d.Movies2d`.
    pixel_size_nm
        Camera pixel, nm: for the movie, and for Picasso's tables without their ``.yaml``.
    camera
        Keywords of :class:`autods.core.Camera`.
    field_nm
        Height and width of the field, nm; None takes what holds all positions.
    radius_nm, axial_radius_nm
        Largest distance of a match, laterally and, in 3D, along z.
    image_pixel_nm
        Pixel of the images that are compared.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    """

    truth: Path | str
    tables: Mapping[str, Path | str] | None = None
    movie: Path | str | None = None
    contenders: Sequence[str] = ("mixture",)
    pixel_size_nm: float | None = None
    camera: Mapping[str, Any] | None = None
    field_nm: tuple[float, float] | None = None
    radius_nm: float = 200.0
    axial_radius_nm: float = 500.0
    image_pixel_nm: float = 12.5
    zoo: Path | str | None = None
    device: str = "auto"
    name: str = "external"

    def run(self) -> SuiteResult:
        """Read or make each table and score it.

        Raises
        ------
        UserError
            If there is nothing to compare, a table cannot be read, or the movie's pixel size is missing.
        """
        truth = read_table(self.truth, self.pixel_size_nm)
        found = {name: read_table(path, self.pixel_size_nm) for name, path in (self.tables or {}).items()}
        own, notes = self._own()
        found.update(own)
        if not found:
            raise UserError(
                "suite external has nothing to compare: give suite.tables={NAME: FILE}, or suite.movie=FILE"
            )
        shape = self.field_nm or _field(truth, *found.values())
        rows: list[Row] = []
        for name, table in found.items():
            report = evaluate(
                truth,
                table,
                radius_nm=self.radius_nm,
                axial_radius_nm=self.axial_radius_nm,
                shape_nm=(shape[0], shape[1]),
                image_pixel_size_nm=self.image_pixel_nm,
            )
            rows.append({"program": name, **_columns(report)})
            notes += [f"{name}: {warning}." for warning in report["warnings"]]
        notes.append(f"Matches within {self.radius_nm:g} nm; images: {self.image_pixel_nm:g} nm pixels.")
        tables = [Table("results", f"Against {Path(self.truth).name}", rows)]
        title = "Tables of several programs against one truth"
        return SuiteResult(title, tables, {"scores": _figure(rows)}, notes)

    def _own(self) -> tuple[dict[str, LocalizationTable], list[str]]:
        """Localize the movie, where there is one."""
        if self.movie is None:
            return {}, []
        if self.pixel_size_nm is None:
            raise UserError("suite external needs the movie's suite.pixel_size_nm: give it in nm")
        zoo = None if self.zoo is None else Path(self.zoo)
        fielded, notes = available(list(self.contenders), zoo)
        camera = Camera(**(self.camera or {}))
        tables = {}
        for contender in fielded:
            settings = settings_for(contender, self.pixel_size_nm, camera, zoo, self.device)
            tables[f"autods, {contender.name}"], seconds = timed_localize(Path(self.movie), settings)
            notes.append(f"autods, {contender.name}: {seconds:.1f} s.")
        return tables, notes


def _field(*tables: LocalizationTable) -> tuple[float, float]:
    """Return height and width that hold all positions, nm."""
    height, width = (
        max((float(column.max()) for column in columns if len(column)), default=0.0)
        for columns in zip(*((table.y_nm, table.x_nm) for table in tables), strict=True)
    )
    return max(height, 1.0), max(width, 1.0)


def _columns(report: dict[str, Any]) -> dict[str, Any]:
    detection, image, resolution = report["detection"], report["image"], report["resolution"]["found"]
    errors = ("rmse_lateral_nm", "rmse_axial_nm", "rmse_volume_nm")
    names = ("jaccard", "precision", "recall", *errors, "efficiency")
    return {
        **{name: detection[name] for name in names if detection[name] is not None},
        "psnr_db": image["psnr"],
        "nrmse": image["nrmse"],
        "ms_ssim": image["ms_ssim"],
        "frc_nm": resolution["frc_nm"],
        "decorrelation_nm": resolution["decorrelation_nm"],
        "localizations": detection["n_found"],
    }


def _figure(rows: Sequence[Row]) -> Figure:
    figure, axes = panels(2)
    groups = [str(row["program"]) for row in rows]
    scores = ("jaccard", "precision", "recall")
    grouped_bars(axes[0], groups, {name: [float(row[name] or 0) for row in rows] for name in scores}, "")
    errors = ("rmse_lateral_nm", "rmse_axial_nm")
    series = {name: [float(row.get(name) or "nan") for row in rows] for name in errors if name in rows[0]}
    grouped_bars(axes[1], groups, series, "RMSE, nm")
    for axis in axes:
        axis.legend(frameon=False, fontsize=7)
    return figure
