"""Other programs on third-party and simulated movies, tuned on the truth; ours at defaults."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from autods.core import LocalizationTable, OpticalSystem, UserError
from autods.io.images import write_movie_tiff
from autods.io.movie import open_movie
from autods.io.result_tables import Row, Table, mean_rows
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics.gaussian import GaussianPSF
from benchmarks.contenders import Contender, settings_for, timed_localize
from benchmarks.fields import IDEAL_CAMERA, SimulatedField, UniformConditions, uniform_field
from benchmarks.movies2d import movie_specs
from benchmarks.peers import TRAINED_ELSEWHERE, installed_peers
from benchmarks.spot_fits import SpotFits
from benchmarks.style import jaccard_and_error
from benchmarks.suite import SuiteResult
from benchmarks.trained_peers import TrainedPeer, trainable_peers
from benchmarks.training_bank import BankSize, write_bank
from benchmarks.trust_movies import Crowd

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

_SCORES = ("jaccard", "rmse_nm", "precision", "recall", "efficiency", "seconds")
#: Thresholds of the wavelet fits that are tried.
_THRESHOLDS = (1.0, 1.5, 2.0, 3.0)
#: Density and spread of the photons' logarithm, side of a drawn PSF: of what trained peers learn from.
_BANK_DENSITY, _LOG_WIDTH, _REGION_PX = 0.7, 0.3, 13


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
        Interpreters of other programs by their names, see :mod:`benchmarks.peers`; ``decode`` is the
        repository of DECODE, which is trained for the simulated movies and takes part in these.
    minutes, bank
        Of its training, and what is simulated for it.
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
    minutes: float = 10.0
    bank: BankSize = dataclass_field(default_factory=BankSize)
    radius_nm: float = 200.0
    zoo: Path | str | None = None
    device: str = "auto"
    name: str = "peers2d"

    def run(self) -> SuiteResult:
        """Localize each movie with each program and score it."""
        with TemporaryDirectory(prefix="autods-peers2d-") as scratch:
            return self._run(Path(scratch))

    def _run(self, scratch: Path) -> SuiteResult:
        given = self.peers or {}
        peers, notes = installed_peers(given)
        notes.remove(TRAINED_ELSEWHERE)
        trained, left_out = trainable_peers({"decode": given.get("decode")}, given.get("python"))
        notes += [note for note in left_out if note.startswith("decode")]
        programs: dict[str, Callable[[SimulatedField], LocalizationTable]] = {
            "autods, defaults": self._ours,
            "wavelet + MLE, tuned": self._wavelets,
            **{f"{peer.name}, tuned": peer.tuned for peer in peers},
        }
        rows: list[Row] = []
        for movie, field in self._fields(notes):
            taking_part = dict(programs)
            if field.camera is IDEAL_CAMERA:
                taking_part |= {
                    f"{peer.name}, trained {self.minutes:g} min, tuned": partial(self._trained, peer, scratch)
                    for peer in trained
                }
            for program, localize in taking_part.items():
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

    def _trained(self, peer: TrainedPeer, scratch: Path, field: SimulatedField) -> LocalizationTable:
        """Localize a simulated movie, with a training before the first; the best threshold counts."""
        bank, folder = scratch / "bank", scratch / peer.name
        if not bank.exists():
            usual = UniformConditions(_BANK_DENSITY)
            psf = GaussianPSF(usual.pixel_size_nm, usual.psf_sigma_nm)
            crowd = Crowd(_BANK_DENSITY, usual.photons, _LOG_WIDTH, usual.background)
            # The frames of the movies are independent: a network that sees their neighbours would be misled.
            write_bank(bank, psf, (0.0, 0.0), _REGION_PX, crowd, IDEAL_CAMERA, self.bank, context=1)
        peer.train(bank, self.minutes, folder)
        movie = scratch / "movie.tif"
        write_movie_tiff(field.frames, movie, field.optics.pixel_size_nm)
        tables = peer.localize(movie, folder).tables
        return max(tables, key=lambda table: detection_metrics(field.truth, table, self.radius_nm).jaccard)

    def _wavelets(self, field: SimulatedField) -> LocalizationTable:
        tables = [
            SpotFits(threshold)([field.frames], field.camera, field.optics.pixel_size_nm)
            for threshold in _THRESHOLDS
        ]
        return max(tables, key=lambda table: detection_metrics(field.truth, table, self.radius_nm).jaccard)
