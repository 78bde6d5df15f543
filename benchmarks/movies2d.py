"""Third-party 2D movies with truth, one default setting for all, beside a peer's numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autods.core import Camera, UserError
from autods.io.movie import open_movie
from autods.io.result_tables import Row, Table, read_rows
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.metrics.image import image_metrics
from benchmarks.contenders import Contender, available, settings_for, timed_localize
from benchmarks.style import jaccard_and_error
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class MovieSpec:
    """A movie of the collection and what its makers say of the camera."""

    name: str
    pixel_size_nm: float
    camera: Camera


@dataclass(frozen=True)
class Movies2d:
    """The suite ``movies2d``.

    Parameters
    ----------
    data
        Folder of the movies, each ``NAME.tif`` with its truth ``NAME.csv``.
    contenders
        Families of models, with another rule or refined positions: ``mixture``, ``heatmap/density``,
        ``mixture+mle``.
    movies
        Names of the movies; empty for all.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    radius_nm
        Largest distance of a match.
    image_pixel_nm
        Pixel of the images that are compared.
    """

    data: Path | str
    contenders: Sequence[str] = ("heatmap", "mixture")
    movies: Sequence[str] = ()
    zoo: Path | str | None = None
    device: str = "auto"
    radius_nm: float = 200.0
    image_pixel_nm: float = 12.5
    name: str = "movies2d"

    def run(self) -> SuiteResult:
        """Localize and score each movie with each contender.

        Raises
        ------
        UserError
            If the data hold none of the movies, or the zoo none of the models.
        """
        zoo = None if self.zoo is None else Path(self.zoo)
        fielded, notes = available(list(self.contenders), zoo)
        wanted = [spec for spec in movie_specs() if not self.movies or spec.name in self.movies]
        present = [spec for spec in wanted if self._path(spec, ".tif").exists()]
        if not present:
            raise UserError(
                f"{Path(self.data).resolve()} holds none of the movies"
                f" ({', '.join(spec.name for spec in wanted)}): give their folder with suite.data=DIR"
            )
        notes += [f"{spec.name} is left out: not in {self.data}." for spec in wanted if spec not in present]
        rows: list[Row] = []
        for spec in present:
            rows += [self._score(spec, contender, zoo) for contender in fielded]
            rows += [peer for peer in peer_rows() if peer["movie"] == spec.name]
        notes.append(
            "autods: one default setting for all movies, thresholds of the models' cards; matches within"
            f" {self.radius_nm:g} nm. Peers: figures measured elsewhere, their threshold chosen per movie"
            " with the truth at hand."
        )
        title = "Third-party 2D movies, one default setting for all"
        figures = {"jaccard_rmse": jaccard_and_error(rows, "movie")}
        return SuiteResult(title, [Table("results", "Detection and precision", rows)], figures, notes)

    def _path(self, spec: MovieSpec, ending: str) -> Path:
        return Path(self.data) / f"{spec.name}{ending}"

    def _score(self, spec: MovieSpec, contender: Contender, zoo: Path | None) -> Row:
        path = self._path(spec, ".tif")
        truth = read_table(self._path(spec, ".csv"))
        settings = settings_for(contender, spec.pixel_size_nm, spec.camera, zoo, self.device)
        found, seconds = timed_localize(path, settings)
        with open_movie(path) as movie:
            n_frames, height, width = movie.shape
        detection = detection_metrics(truth, found, self.radius_nm)
        shape_nm = (height * spec.pixel_size_nm, width * spec.pixel_size_nm)
        image = image_metrics(truth, found, shape_nm, pixel_size_nm=self.image_pixel_nm)
        logger.info("%s %s: Jaccard %.3f", spec.name, contender.name, detection.jaccard)
        return {
            "movie": spec.name,
            "program": contender.name,
            "jaccard": detection.jaccard,
            "rmse_nm": detection.rmse_lateral_nm,
            "precision": detection.precision,
            "recall": detection.recall,
            "psnr_db": image.psnr,
            "ms_ssim": image.ms_ssim,
            "seconds": seconds,
            "frames": n_frames,
        }


def movie_specs() -> list[MovieSpec]:
    """Return the movies of the collection."""
    rows = read_rows((_DATA / "movies2d.csv").read_text(encoding="utf-8"))
    return [
        MovieSpec(
            row["movie"],
            float(row["pixel_size_nm"]),
            Camera(offset_adu=float(row["offset_adu"]), e_per_adu=float(row["e_per_adu"])),
        )
        for row in rows
    ]


def peer_rows() -> list[Row]:
    """Return what other programs reached on these movies, with thresholds tuned on the truth."""
    rows = read_rows((_DATA / "peers2d.csv").read_text(encoding="utf-8"))
    return [{**row, "jaccard": float(row["jaccard"]), "rmse_nm": float(row["rmse_nm"])} for row in rows]
