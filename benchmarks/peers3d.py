"""Networks for depth at equal minutes: ours and those of others, on the same frames."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from autods.core import LocalizationTable, OpticalSystem, UserError
from autods.io.result_tables import Row, Table, mean_rows
from autods.io.tables import read_table
from autods.metrics.detection import DetectionMetrics, detection_metrics
from autods.metrics.matching import match
from autods.optics import load_psf
from autods.optics.model_error import CorrectedPSF
from autods.optics.storage import load_error
from autods.pipelines.autods3d import localize3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.psf_source import PSF_FILE, KnownPsf
from autods.pipelines.settings3d import Family, PsfSettings, TrainingSettings
from benchmarks.specialists import kept_rows
from benchmarks.style import jaccard_and_error
from benchmarks.suite import SuiteResult
from benchmarks.trained_peers import TrainedPeer, trainable_peers, trained_as
from benchmarks.training_bank import SETTINGS_FILE, BankSize, write_bank
from benchmarks.trust3d import CAMERAS, Line, known_source, localize_settings, recalls, write_line
from benchmarks.trust_movies import Crowd

logger = logging.getLogger(__name__)

_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
_SCORES = ("jaccard", "precision", "recall", "rmse_lateral_nm", "rmse_axial_nm", "efficiency")
_COSTS = ("ms_per_frame", "minutes_trained")
#: Photons of the molecules whose errors are told apart, and the fewest of them.
_BRIGHT_PHOTONS, _FEWEST = 1500.0, 5
#: A table, the seconds that localizing took, and the minutes of the training.
Localized = tuple[LocalizationTable, float, float]


@dataclass(frozen=True)
class Peers3D:
    """The suite ``peers3d``.

    Lines of one PSF share their trainings: networks are trained for what the densest movie shows, and
    localize all of them.

    Parameters
    ----------
    lines
        Movies by name, see `benchmarks.trust3d.Line`.
    data
        Folder of the challenge's data.
    minutes
        Of each training.
    families
        Ours to train: ``mixture``, ``voxels``. The network that is told the PSF takes part in any case.
    peers
        Repositories of the others by their names, see `benchmarks.trained_peers`.
    python
        Interpreter of the others; None for this one.
    n_frames, size_px
        Of the movies.
    bank
        How much is simulated for the others to train on.
    folder
        Keeps runs, models and scores: what was ended goes on. None keeps nothing.
    device
        Where ours compute; the others take the CPU.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    data: Path | str | None = None
    minutes: float = 10.0
    families: Sequence[Family] = ("mixture",)
    peers: Mapping[str, str | None] = field(default_factory=dict)
    python: str | None = None
    n_frames: int = 100
    size_px: int = 64
    bank: BankSize = field(default_factory=BankSize)
    folder: Path | str | None = None
    device: str = "auto"
    seed: int = 7
    name: str = "peers3d"

    def run(self) -> SuiteResult:
        """Train, localize and compare.

        Raises `UserError` if all lines need data that are not given.
        """
        lines = {n: line for n, line in self.lines.items() if self.data or not line.psf.startswith("beads_")}
        if not lines:
            raise UserError("lines of bead stacks need suite.data=FOLDER of the challenge's data")
        peers, notes = trainable_peers(self.peers, self.python)
        rows: list[Row] = []
        with TemporaryDirectory(prefix="autods-peers3d-") as temporary:
            root = Path(temporary if self.folder is None else self.folder)
            for psf in dict.fromkeys(line.psf for line in lines.values()):
                own = {name: line for name, line in lines.items() if line.psf == psf}
                rows += _Microscope(self, root / psf, own).rows(peers)
        notes += [
            f"{self.n_frames} frames of {self.size_px} px; molecules are on for 3 frames on average; matches"
            f" within {_RADIUS_NM:g} nm laterally and {_AXIAL_RADIUS_NM:g} nm axially; constant offsets"
            " between bead and model are removed. ms: of localizing alone, on the cores the command had.",
            "Networks are trained for what the densest movie of their PSF shows as `localize3d` measures it:"
            " ours by the run itself, the others on frames that our simulator draws through the same"
            " calibrated PSF, with the measured photons, background and camera, at 0.2 to 4 times the"
            " measured density, and with blinking molecules (they see three frames at once).",
            "The others take the best of nine thresholds by the truth's Jaccard index; ours choose for"
            " themselves. bright: root mean squares of the molecules of at least"
            f" {_BRIGHT_PHOTONS:g} photons that were found.",
        ]
        tables = [
            Table("results", "Results", rows),
            Table("means", "Over all movies", mean_rows(rows, ("program",), (*_SCORES, *_COSTS))),
        ]
        drawn = [{**row, "rmse_nm": row["rmse_lateral_nm"]} for row in rows]
        figure = jaccard_and_error(drawn, "movie", (7.0, 3.8))
        return SuiteResult(
            f"Networks for depth after {self.minutes:g} minutes of training, on the same frames",
            tables,
            {"jaccard_rmse": figure},
            notes,
        )


class _Microscope:
    """The movies of one PSF, and all that is trained for it."""

    def __init__(self, suite: Peers3D, folder: Path, lines: Mapping[str, Line]) -> None:
        self.suite, self.folder, self.lines = suite, folder, lines
        self.data = None if suite.data is None else Path(suite.data)
        #: Names of the lines, the one that is trained for first.
        self.names = sorted(lines, key=lambda name: -lines[name].density_per_um2)
        self.camera = CAMERAS[lines[self.names[0]].camera]
        self.movies = {name: self._movie(name) for name in self.names}

    def rows(self, peers: Sequence[TrainedPeer]) -> list[Row]:
        """Return the scores of all programs in all movies; what the folder holds is not repeated."""
        programs: dict[str, Callable[[str], Localized]] = {}
        for family in ("universal", *self.suite.families):
            label = "instant" if family == "universal" else family
            programs[f"autods, {label}"] = partial(self._ours, family, "mle")
            programs[f"autods, {label}, without fit"] = partial(self._ours, family, "none")
        for peer in peers:
            programs[f"{peer.name}, tuned"] = partial(self._peer, peer)
        rows: list[Row] = []
        for program, localize in programs.items():
            for name in self.names:
                file = self.folder / "scores" / f"{program} {name} {self.suite.minutes:g} min.json"
                rows += kept_rows(file, partial(self._scored, program, name, localize))
        return rows

    def _movie(self, name: str) -> tuple[Path, Path]:
        suite, folder = self.suite, self.folder / "movies" / name.replace(" ", "_")
        if (folder / "truth.csv").exists():
            return folder / "movie.tif", folder / "truth.csv"
        return write_line(self.lines[name], self.data, folder, suite.n_frames, suite.size_px, suite.seed)

    def _scored(self, program: str, name: str, localize: Callable[[str], Localized]) -> list[Row]:
        line, truth = self.lines[name], read_table(self.movies[name][1])
        table, seconds, minutes = localize(name)
        scores = _metrics(truth, table)
        logger.info("%s, %s: Jaccard %.3f", name, program, scores.jaccard)
        area_um2 = (self.suite.size_px * self.optics.pixel_size_nm * 1e-3) ** 2
        row: dict[str, str | int | float | None] = {"movie": name, "program": program}
        row |= {"per_um2": len(truth) / self.suite.n_frames / area_um2, "photons": line.photons}
        row |= {column: getattr(scores, column) for column in _SCORES}
        pairs = match(truth, table, _RADIUS_NM, _AXIAL_RADIUS_NM)
        row |= {"ms_per_frame": 1e3 * seconds / self.suite.n_frames, "minutes_trained": minutes}
        row |= _bright_errors(truth.select(pairs.truth_index), table.select(pairs.found_index))
        return [{**row, **recalls(truth, pairs.truth_index)}]

    @cached_property
    def optics(self) -> OpticalSystem:
        """The microscope."""
        return known_source(self.lines[self.names[0]], self.data)[1]

    @cached_property
    def measured(self) -> Path:
        """Run folder that holds the calibrated PSF, and what the densest movie shows."""
        source, optics = known_source(self.lines[self.names[0]], self.data)
        folder = self.folder / "measured"
        settings = localize_settings(source, optics, self.camera, until="snr", device=self.suite.device)
        localize3d(self.movies[self.names[0]][0], settings, folder)
        return folder

    @cached_property
    def known(self) -> KnownPsf:
        """The calibrated PSF."""
        low, high = _stage(self.measured, "calibrate")["z_range_nm"]
        file = self.measured / PSF_FILE
        error = load_error(file)
        assert error is not None
        return KnownPsf(CorrectedPSF(load_psf(file), error), (low, high), error=error)

    def _ours(self, family: Family, refine: Literal["mle", "none"], name: str) -> Localized:
        """Localize by the network that is told the PSF, or by one that is trained for the densest movie."""
        low, high = self.known.z_range_nm
        source, minutes = PsfSettings(file=self.measured / PSF_FILE, z_min_nm=low, z_max_nm=high), 0.0
        training = TrainingSettings(family=family, max_minutes=self.suite.minutes)
        if family != "universal":
            minutes = self._trained(source, training)
            source = PsfSettings(run=self.folder / family)
        folder = self.folder / "runs" / f"{family} {refine} {name}".replace(" ", "_")
        table = self._localize3d(name, source, folder, training=training, refine=refine)
        assert table is not None
        return table, _seconds(folder, "localize"), minutes

    def _trained(self, source: PsfSettings, training: TrainingSettings) -> float:
        """Train, unless that is done, and return the minutes."""
        folder = self.folder / training.family
        note = folder / "trained.json"
        if not note.exists():
            self._localize3d(self.names[0], source, folder, training=training, until="train")
            note.write_text(json.dumps({"minutes": _seconds(folder, "train") / 60}), encoding="utf-8")
        return float(json.loads(note.read_text(encoding="utf-8"))["minutes"])

    def _localize3d(
        self, name: str, source: PsfSettings, folder: Path, **more: Any
    ) -> LocalizationTable | None:
        settings = localize_settings(source, self.optics, self.camera, device=self.suite.device, **more)
        return localize3d(self.movies[name][0], settings, folder)

    def _peer(self, peer: TrainedPeer, name: str) -> Localized:
        """Localize by a peer that is trained for the densest movie; the best of its thresholds counts."""
        bank, folder = self.folder / "bank", self.folder / f"{peer.name} {self.suite.minutes:g} min"
        if not (bank / SETTINGS_FILE).exists():
            region_px = Extent.of(self.known).render_px
            fast = self.known.over_field(region_px)
            write_bank(
                bank, fast, self.known.z_range_nm, region_px, self._crowd(), self.camera, self.suite.bank
            )
        peer.train(bank, self.suite.minutes, folder)
        movie, truth = self.movies[name]
        found, true = peer.localize(movie, folder), read_table(truth)
        best = max(found.tables, key=lambda table: _metrics(true, table).jaccard)
        return best, found.seconds, trained_as(folder)["minutes"]

    def _crowd(self) -> Crowd:
        """Return what the densest movie shows."""
        told = _stage(self.measured, "snr")
        population = told["population"]
        if population is None:
            raise UserError("too little was found in the densest movie to tell what it holds")
        background = _stage(self.measured, "background")["photons_median"]
        return Crowd(
            population["density_per_um2"],
            population["median_photons"],
            population["log_width"],
            background,
        )


def _metrics(truth: LocalizationTable, found: LocalizationTable) -> DetectionMetrics:
    return detection_metrics(
        truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM, remove_axial_offset=True, remove_lateral_offset=True
    )


def _bright_errors(true: LocalizationTable, seen: LocalizationTable) -> dict[str, float]:
    """Return the errors of bright molecules, which all programs find; true and found rows are pairs."""
    assert true.z_nm is not None
    assert seen.z_nm is not None
    error = np.stack([seen.x_nm - true.x_nm, seen.y_nm - true.y_nm, seen.z_nm - true.z_nm])
    error = error[:, true.photons >= _BRIGHT_PHOTONS]
    if error.shape[1] < _FEWEST:
        return {"bright_lateral_nm": float("nan"), "bright_axial_nm": float("nan")}
    x, y, z = np.square(error - np.median(error, 1, keepdims=True)).mean(1)
    return {"bright_lateral_nm": float(np.sqrt(x + y)), "bright_axial_nm": float(np.sqrt(z))}


def _stage(folder: Path, name: str) -> dict[str, Any]:
    file = folder / "stages" / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["results"]
    return found


def _seconds(folder: Path, stage: str) -> float:
    """Return how long a stage of a run took."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return float(sum(row["seconds"] for row in record["stages"] if row["name"] == stage))
