"""A network trained on what a movie shows, beside the shipped zoo, on microscopes that neither has seen."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from autods.cli.train import run as train
from autods.configuration.compose import compose_checked, load
from autods.configuration.convert import simulation_settings
from autods.configuration.schema import SimulateConfig
from autods.io.result_tables import Row, Table
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics import PSFModel, PupilPSF
from autods.optics.storage import save_psf
from autods.pipelines.settings import LocalizeSettings
from autods.pipelines.simulate import TRUTH_FILE, SimulationSettings, simulate_to_folder
from benchmarks.contenders import Contender, settings_for, timed_localize
from benchmarks.style import jaccard_and_error
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

#: Seed of the movie that is trained on, and of the one that is scored.
_SHOWN_SEED, _SCORED_SEED = 11, 12


@dataclass(frozen=True)
class FromMovie:
    """The suite ``from_movie``.

    Parameters
    ----------
    microscopes
        By name: ``settings`` (of `autods simulate`), ``inside`` (whether the zoo was trained for such), and
        ``calibrated`` (whether the training is given the PSF as a file, as of beads); None leaves one out.
    minutes
        Time limit of each training.
    train
        Further settings of `autods train`.
    contenders
        What of the zoo takes part, see :class:`~benchmarks.contenders.Contender`.
    n_frames
        Of each movie.
    radius_nm
        Largest distance of a match.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    out
        Folder of the trainings; None keeps none.
    """

    microscopes: Mapping[str, Mapping[str, Any] | None]
    minutes: float = 10.0
    train: Sequence[str] = ()
    contenders: Sequence[str] = ("mixture", "heatmap/average")
    n_frames: int = 200
    radius_nm: float = 200.0
    zoo: Path | str | None = None
    device: str = "auto"
    out: Path | str | None = None
    name: str = "from_movie"

    def run(self) -> SuiteResult:
        """Simulate, train and score, microscope by microscope."""
        rows: list[Row] = []
        sources: list[Row] = []
        with TemporaryDirectory(prefix="autods-from-movie-") as scratch:
            for name, microscope in self.microscopes.items():
                if microscope is None:
                    continue
                home = Path(self.out or scratch) / name
                found, said = self._microscope(name, microscope, home)
                rows += found
                sources += [{"microscope": name, **row} for row in said]
        notes = [
            f"Trained by `autods train movie=MOVIE`, at most {self.minutes:g} minutes, on one movie of the"
            f" microscope; scored on another of {self.n_frames} frames. Camera and pixel size are known,"
            " the rest is measured. inside: the zoo was trained for such.",
        ]
        tables = [
            Table("results", "Trained on the movie, and the shipped zoo", rows),
            Table("conditions", "What was measured and trained for", sources),
        ]
        title = "Trained on what the movie shows"
        return SuiteResult(title, tables, {"jaccard_rmse": jaccard_and_error(rows, "microscope")}, notes)

    def _microscope(
        self, name: str, microscope: Mapping[str, Any], home: Path
    ) -> tuple[list[Row], list[Row]]:
        settings = self._simulation(microscope, _SHOWN_SEED)
        shown = simulate_to_folder(settings, home / "shown")
        movie = simulate_to_folder(self._simulation(microscope, _SCORED_SEED), home / "scored")
        camera = settings.camera
        words = [
            f"movie={shown}",
            *(f"camera.{key}={value}" for key in _CAMERA if (value := getattr(camera, key))),
            f"out={home / 'training'}",
            "overwrite=true",
            f"trainer.max_minutes={self.minutes}",
            "trainer.progress_bar=false",
            *self.train,
        ]
        if microscope.get("calibrated"):
            words.append(f"psf={_saved(settings, home)}")
        config = compose_checked("train", words)
        train(config)
        trained = settings_for(
            Contender("mixture"), settings.optics.pixel_size_nm, camera, home / "training", self.device
        )
        fielded = {"trained on the movie": trained, **self._of_the_zoo(settings)}
        row: Row = {"microscope": name, "inside": str(bool(microscope.get("inside")))}
        rows: list[Row] = [
            {**row, "program": program, **self._score(movie, used)} for program, used in fielded.items()
        ]
        for scored in rows:
            logger.info("%s, %s: Jaccard %.3f", name, scored["program"], scored["jaccard"])
        said: list[Row] = [
            {"setting": str(key), "source": str(source)} for key, source in config.sources.items()
        ]
        return rows, said

    def _of_the_zoo(self, settings: SimulationSettings) -> dict[str, LocalizeSettings]:
        zoo = None if self.zoo is None else Path(self.zoo)
        known = (settings.optics.pixel_size_nm, settings.camera, zoo, self.device)
        return {f"zoo, {text}": settings_for(Contender.parse(text), *known) for text in self.contenders}

    def _score(self, movie: Path, settings: LocalizeSettings) -> Row:
        table, seconds = timed_localize(movie, settings)
        scores = detection_metrics(read_table(movie.with_name(TRUTH_FILE)), table, self.radius_nm)
        return {
            "jaccard": scores.jaccard,
            "rmse_nm": scores.rmse_lateral_nm,
            "precision": scores.precision,
            "recall": scores.recall,
            "efficiency": scores.efficiency,
            "seconds": seconds,
        }

    def _simulation(self, microscope: Mapping[str, Any], seed: int) -> SimulationSettings:
        words = [*microscope["settings"], f"n_frames={self.n_frames}", f"seed={seed}"]
        return simulation_settings(load(SimulateConfig, words))


_CAMERA = ("offset_adu", "e_per_adu", "em_gain", "qe", "read_noise_e")


def _saved(settings: SimulationSettings, home: Path) -> Path:
    """Write the PSF of a simulation as a calibration would."""
    assert settings.psf is not None, "a calibrated microscope needs psf=NAME in its settings"
    psf: PSFModel = settings.psf(settings.optics)
    assert isinstance(psf, PupilPSF)
    path = home / "psf.h5"
    save_psf(psf, path, {"source": "simulated"})
    return path
