"""The network that is told the PSF, told one plane of the measured width, beside the 2D models."""

from __future__ import annotations

import logging
import math
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera, LocalizationTable, OpticalSystem, UserError
from autods.core.resources import models_dir
from autods.estimation.profile import measure_scene
from autods.estimation.scene import NoiseModel
from autods.inference import Observation, pick_device
from autods.inference.told_psf import ToldPsfLocalizer
from autods.io.movie import ArrayMovie, open_movie
from autods.io.result_tables import Row, Table
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.networks.universal import UniversalNet
from autods.optics.gaussian import GaussianPSF
from autods.pipelines.plan import Plan, family_cards, load_localizers, make_plan
from autods.pipelines.settings import LocalizeSettings, OpticsSettings, Refine
from autods.pipelines.streaming import BlockLocalizer
from autods.representation import Detections, MixtureRepresentation, build_representation
from autods.zoo import ModelCard, load_model
from autods.zoo.card import CARD_FILE, read_card
from benchmarks.condition_fields import condition_field
from benchmarks.condition_lines import Line, all_lines
from benchmarks.condition_scores import score_field
from benchmarks.movies2d import MovieSpec, movie_specs
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

#: Smallest confidences that are tried.
THRESHOLDS = (0.05, 0.1, 0.2, 0.33, 0.5, 0.7)
MIXTURE, ONE_PLANE = "mixture", "one plane"
#: What a localizer's positions are made of, by the pipeline's setting.
_POSITIONS: dict[Refine, str] = {"none": "network", "mle": "fit"}
_RADIUS_NM = 200.0

#: Scores a table: Jaccard index, precision, recall and error.
_Scorer = Callable[[LocalizationTable], dict[str, float]]


class OnePlane:
    """Finds emitters in the movie's own pixels with the network that is told the PSF.

    All of its planes are the same Gaussian, so that the depths that it tells mean nothing.

    Parameters
    ----------
    card
        Of the family ``universal``.
    plan
        Of the movie: its tiles, and the width that was measured.
    device
        Where to compute.
    """

    def __init__(self, card: ModelCard, plan: Plan, device: torch.device | str = "cpu") -> None:
        network = load_model(card)
        arguments = card.representation.args | {"merge_z_nm": math.inf}
        representation = build_representation(card.representation.name, **arguments)
        if not isinstance(network, UniversalNet) or not isinstance(representation, MixtureRepresentation):
            raise UserError(f"{card.name}: a model of family {card.family} cannot be told a PSF")
        pixel_nm, sigma_px = plan.optics.pixel_size_nm, plan.psf_sigma_px
        psf = GaussianPSF(pixel_nm, sigma_px * pixel_nm)
        side_px = max(9, 2 * math.ceil(4 * sigma_px) + 1)
        self._tiles = plan.tiles
        self._localizer = ToldPsfLocalizer(
            network, representation, psf, (-100.0, 100.0), side_px, min(THRESHOLDS), device
        )

    def __call__(self, observation: Observation) -> Detections:
        """Find the emitters of all tiles, as `Search` does."""
        variance = observation.variance_under(torch.zeros_like(observation.light))
        parts = []
        for tile in self._tiles:
            y0, x0, y1, x1 = tile.window
            part = (slice(None), slice(y0, y1), slice(x0, x1))
            found = self._localizer.find(observation.light[part], variance[part])
            parts.append(
                replace(
                    found,
                    x_px=found.x_px.double() + x0,
                    y_px=found.y_px.double() + y0,
                    z_nm=None,
                    uncertainty_z_nm=None,
                    tile=torch.full_like(found.frame, tile.index),
                )
            )
        return Detections.concatenate(parts)


@dataclass(frozen=True)
class OnePlaneBeside:
    """The suite ``one_plane``.

    Parameters
    ----------
    lines
        ``group: name`` of lines of the suite ``conditions``.
    movies
        Names of movies of the suite ``movies2d``.
    data
        Folder of the movies; None leaves them out.
    n_frames
        Frames of each at most.
    model
        Folder of the model that is told the PSF; None for the shipped one.
    zoo
        Folder of the 2D models; None for those shipped.
    device
        Where the networks run.
    seed
        Of the simulation.
    """

    lines: Sequence[str] = ()
    movies: Sequence[str] = ()
    data: Path | str | None = None
    n_frames: int = 40
    model: Path | str | None = None
    zoo: Path | str | None = None
    device: str = "auto"
    seed: int = 0
    name: str = "one_plane"

    def run(self) -> SuiteResult:
        """Simulate or read, localize and score.

        Raises
        ------
        UserError
            If a line or a movie is not known or not there.
        """
        known = {f"{line.group}: {line.name}": line for line in all_lines()}
        missing = [text for text in self.lines if text not in known]
        if missing:
            raise UserError(f"suite.lines: {missing[0]!r} is no line of the suite conditions")
        rows: list[Row] = []
        for text in self.lines:
            rows += self._of_line(text, known[text])
        if self.data is not None:
            for spec in movie_specs():
                if spec.name in self.movies:
                    rows += self._of_movie(spec, Path(self.data))
        if not rows:
            raise UserError("suite.lines and suite.movies: name at least one, and suite.data for movies")
        notes = [
            "Both find emitters in the same scene, with the same measured width; what they find goes the same"
            f" way from there: amplitudes, least significance, and for `fit` the fit of positions. Matches"
            f" within {_RADIUS_NM:g} nm (of isolated emitters more where the bound is wider).",
            f"`jaccard`, `precision`, `recall` and the error are those at the confidence, of {THRESHOLDS}, at"
            " which the Jaccard index is highest, chosen with the truth at hand; `shipped_` those at the"
            " models' own. The error is over the Cramer-Rao bound of an emitter alone under simulated"
            " conditions, in nm in movies. `find_ms`: to the networks' detections; the mixture's holds the"
            " making of the scene, which one plane needs too.",
        ]
        tables = [Table("results", "Lines", rows), Table("summary", "Means", _means(rows))]
        return SuiteResult("One plane of the measured width, beside the 2D models", tables, {}, notes)

    def _of_line(self, text: str, line: Line) -> list[Row]:
        c = line.conditions
        c = replace(c, n_frames=min(self.n_frames, c.n_frames))
        seed = self.seed + zlib.crc32(text.encode())
        field = condition_field(c, torch.Generator().manual_seed(seed))

        def score(table: LocalizationTable) -> dict[str, float]:
            found = score_field(field, table, c, _RADIUS_NM, 0.0)
            values, matched = found.summary(), len(found.over_bound)
            jaccard = matched / max(found.n_truth + found.n_found - matched, 1)
            names = ("precision", "recall", "rmse_over_bound")
            return {"jaccard": jaccard, **{name: values[name] for name in names}}

        return self._rows(text, np.asarray(field.frames), c.pixel_size_nm, field.camera, score)

    def _of_movie(self, spec: MovieSpec, data: Path) -> list[Row]:
        with open_movie(data / f"{spec.name}.tif") as movie:
            frames = movie.read(0, min(self.n_frames, movie.shape[0]))
        truth = read_table(data / f"{spec.name}.csv")
        truth = truth.select(truth.frame < len(frames))

        def score(table: LocalizationTable) -> dict[str, float]:
            found = detection_metrics(truth, table, _RADIUS_NM)
            scores = {"jaccard": found.jaccard, "precision": found.precision, "recall": found.recall}
            return {**scores, "rmse_nm": found.rmse_lateral_nm}

        return self._rows(spec.name, frames, spec.pixel_size_nm, spec.camera, score)

    def _rows(
        self, what: str, frames: NDArray[np.generic], pixel_nm: float, camera: Camera, score: _Scorer
    ) -> list[Row]:
        settings = LocalizeSettings(
            optics=OpticsSettings(pixel_nm),
            threshold=min(THRESHOLDS),
            zoo=None if self.zoo is None else Path(self.zoo),
            device=self.device,
        )
        cards = family_cards(settings)
        device = pick_device(self.device)
        localizers = load_localizers(cards, settings, device)
        movie, optics = ArrayMovie(frames), OpticalSystem(pixel_nm)
        measured = measure_scene(movie, optics, NoiseModel.of_camera(camera))
        plan = make_plan(movie, optics, settings, cards, localizers, measured=measured)
        told = read_card(Path(self.model or models_dir() / "universal") / CARD_FILE)
        one_plane = OnePlane(told, plan, device)
        rows: list[Row] = []
        for refine, positions in _POSITIONS.items():
            block = BlockLocalizer(
                plan, localizers, camera, measured.scene, scope="movie", gain_known=True, refine=refine
            )
            start = time.perf_counter()
            observation, of_mixture, _ = block.find(frames, 0)
            seconds = {MIXTURE: time.perf_counter() - start}
            start = time.perf_counter()
            of_plane = one_plane(observation)
            seconds[ONE_PLANE] = time.perf_counter() - start
            own = np.array([patch.choice.card.threshold for patch in plan.patches])
            assert of_mixture.tile is not None
            shipped = {MIXTURE: own[of_mixture.tile.numpy()], ONE_PLANE: told.threshold}
            for finder, found in ((MIXTURE, of_mixture), (ONE_PLANE, of_plane)):
                row: Row = {
                    "line": what,
                    "sigma_px": plan.psf_sigma_px,
                    "rescaled": _rescaled(plan) if finder == MIXTURE else "",
                    "finder": finder,
                    "positions": positions,
                    **_best(block, observation, found, shipped[finder], score),
                    "find_ms": 1e3 * seconds[finder] / len(frames),
                }
                rows.append(row)
                logger.info("%s, %s, %s: Jaccard %.3f", what, finder, positions, row["jaccard"])
        return rows


def _rescaled(plan: Plan) -> str:
    """Tell how the frames are brought to the 2D models' optics."""
    scale = plan.rescalings[plan.patches[0].choice.card.name]
    if scale.is_identity:
        return ""
    return f"blurred {scale.blur_sigma_px:.2f} px" if scale.zoom == 1 else f"{scale.zoom:.2f} times"


def _best(
    block: BlockLocalizer,
    observation: Observation,
    found: Detections,
    shipped: float | NDArray[np.float64],
    score: _Scorer,
) -> dict[str, float]:
    """Score with the threshold that the truth likes best, and with the models' own."""
    confidence = found.confidence.numpy()

    def scored(threshold: float | NDArray[np.float64]) -> dict[str, float]:
        kept = torch.from_numpy(confidence >= threshold)
        return score(block.table(observation, found.select(kept)))

    tried = [{"threshold": threshold, **scored(threshold)} for threshold in THRESHOLDS]
    best = max(tried, key=lambda scores: scores["jaccard"])
    return {**best, **{f"shipped_{name}": value for name, value in scored(shipped).items()}}


def _means(rows: Sequence[Row]) -> list[Row]:
    """Average over the lines, and over the movies, by positions and finder."""
    means: list[Row] = []
    for kind in ("rmse_over_bound", "rmse_nm"):
        for positions in _POSITIONS.values():
            for finder in (MIXTURE, ONE_PLANE):
                own = [
                    row
                    for row in rows
                    if kind in row and (row["positions"], row["finder"]) == (positions, finder)
                ]
                if not own:
                    continue
                names = [
                    name
                    for name in own[0]
                    if name not in ("line", "sigma_px", "rescaled", "finder", "positions")
                ]
                values = {name: float(np.mean([float(row[name] or 0) for row in own])) for name in names}
                of = "conditions" if kind == "rmse_over_bound" else "movies"
                means.append(
                    {"of": of, "count": len(own), "positions": positions, "finder": finder, **values}
                )
    return means
