"""Other programs on third-party and simulated movies, tuned on the truth; ours at defaults."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from autods.core import LocalizationTable, OpticalSystem, UserError
from autods.io.movie import open_movie
from autods.io.result_tables import Row, Table, mean_rows
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from benchmarks.contenders import Contender, settings_for, timed_localize
from benchmarks.fields import SimulatedField, UniformConditions, uniform_field
from benchmarks.movies2d import movie_specs
from benchmarks.peers import installed_peers
from benchmarks.spot_fits import SpotFits
from benchmarks.style import jaccard_and_error
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

_SCORES = ("jaccard", "rmse_nm", "precision", "recall", "efficiency", "seconds")
#: Thresholds of the wavelet fits that are tried.
_THRESHOLDS = (1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Peers2d:
    """The suite ``peers2d``.

    Parameters
    ----------
    data
        Folder of the third-party movies; those that are not there are left out.
    densities_per_um2
        Of the simulated movies; None for separate emitters.
    n_frames
        Most frames of each movie that count.
    peers
        Interpreters of other programs by their names, see :mod:`benchmarks.peers`.
    radius_nm
        Largest distance of a match.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    """

    data: Path | str
    densities_per_um2: Sequence[float | None] = (None, 0.5, 1.5)
    n_frames: int = 100
    peers: dict[str, str | None] | None = None
    radius_nm: float = 200.0
    zoo: Path | str | None = None
    device: str = "auto"
    name: str = "peers2d"

    def run(self) -> SuiteResult:
        """Localize each movie with each program and score it."""
        peers, notes = installed_peers(self.peers or {})
        programs: dict[str, Callable[[SimulatedField], LocalizationTable]] = {
            "autods, defaults": self._ours,
            "wavelet + MLE, tuned": self._wavelets,
            **{f"{peer.name}, tuned": peer.tuned for peer in peers},
        }
        rows: list[Row] = []
        for movie, field in self._fields(notes):
            for program, localize in programs.items():
                start = time.perf_counter()
                try:
                    table = localize(field)
                except UserError as error:
                    notes.append(f"{movie}: {program} is left out: {error}.")
                    continue
                seconds = time.perf_counter() - start
                scores = detection_metrics(field.truth, table, self.radius_nm)
                logger.info("%s, %s: Jaccard %.3f", movie, program, scores.jaccard)
                row: dict[str, str | int | float | None] = {"movie": movie, "program": program}
                row |= {"jaccard": scores.jaccard, "rmse_nm": scores.rmse_lateral_nm}
                row |= {"precision": scores.precision, "recall": scores.recall}
                rows.append({**row, "efficiency": scores.efficiency, "seconds": seconds})
        notes.append(
            f"At most {self.n_frames} frames of each movie, matches within {self.radius_nm:g} nm. tuned: the"
            " best threshold of several by the truth's Jaccard index, and the time of all of them; autods"
            " is run once, with its defaults."
        )
        tables = [
            Table("results", "Detection and precision", rows),
            Table("means", "Over all movies", mean_rows(rows, ("program",), _SCORES)),
        ]
        title = "Other programs on the same movies, tuned on the truth; ours at defaults"
        return SuiteResult(
            title, tables, {"jaccard_rmse": jaccard_and_error(rows, "movie", (5.5, 3.8))}, notes
        )

    def _fields(self, notes: list[str]) -> Iterator[tuple[str, SimulatedField]]:
        for density in self.densities_per_um2:
            conditions = UniformConditions(density, n_frames=self.n_frames)
            name = "separate emitters" if density is None else f"{density:g} per um^2"
            yield name, uniform_field(conditions, torch.Generator().manual_seed(0))
        for spec in movie_specs():
            path = Path(self.data) / f"{spec.name}.tif"
            if not path.is_file():
                notes.append(f"{spec.name} is left out: {path} is not there.")
                continue
            with open_movie(path) as movie:
                frames = movie.read(0, min(self.n_frames, movie.shape[0]))
            truth = read_table(path.with_suffix(".csv"))
            truth = truth.select(truth.frame < len(frames))
            yield spec.name, SimulatedField(frames, truth, OpticalSystem(spec.pixel_size_nm), spec.camera)

    def _ours(self, field: SimulatedField) -> LocalizationTable:
        zoo = None if self.zoo is None else Path(self.zoo)
        usual = Contender("mixture", "auto", "mle")
        settings = settings_for(usual, field.optics.pixel_size_nm, field.camera, zoo, self.device)
        return timed_localize(field.frames, settings)[0]

    def _wavelets(self, field: SimulatedField) -> LocalizationTable:
        tables = [
            SpotFits(threshold)([field.frames], field.camera, field.optics.pixel_size_nm)
            for threshold in _THRESHOLDS
        ]
        return max(tables, key=lambda table: detection_metrics(field.truth, table, self.radius_nm).jaccard)
