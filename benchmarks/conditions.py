"""Whole-pipeline quality under the conditions of real movies, beside ideal ones of the same local noise."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from autods.core import Camera, UserError
from autods.io.result_tables import Cell, Row, Table
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings
from benchmarks import condition_scores as scores
from benchmarks.condition_fields import (
    ConditionField,
    Conditions,
    condition_field,
    flat_counterparts,
)
from benchmarks.condition_lines import Line, all_lines
from benchmarks.condition_scores import Score
from benchmarks.contenders import timed_localize
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

#: False localizations per frame and 1000 um^2 of an empty movie must be fewer.
MAX_FALSE = 0.5
#: Dimmer isolated emitters are not asked to reach the bound.
ASKED_PHOTONS = 150.0


@dataclass(frozen=True)
class MovieConditions:
    """The suite ``conditions``.

    Parameters
    ----------
    only
        Texts of which a line's ``group: name`` must hold one; empty for all lines.
    max_frames
        Frames of a movie at most; None for all.
    selection
        As of :class:`~autods.pipelines.settings.LocalizeSettings`; all other settings are the defaults.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    radius_nm
        Largest distance of a match; of isolated emitters more where the PSF or the bound are wider.
    seed
        Of the simulation.
    """

    only: Sequence[str] = ()
    max_frames: int | None = None
    selection: str = "auto"
    zoo: Path | str | None = None
    device: str = "auto"
    radius_nm: float = 200.0
    seed: int = 0
    name: str = "conditions"

    def run(self) -> SuiteResult:
        """Simulate, localize and score, line by line.

        Raises
        ------
        UserError
            If no line is wanted.
        """
        lines = [self._shortened(line) for line in all_lines() if self._wanted(line)]
        if not lines:
            raise UserError(f"suite.only={list(self.only)}: no line holds one of these texts")
        ideals: dict[Conditions, Score] = {}
        rows: list[Row] = []
        for line in lines:
            rows.append(self._row(line, ideals))
            logger.info("%s", scores.shown(rows[-1]))
        held = sum(not row["misses"] for row in rows)
        notes = [
            f"{held} of {len(rows)} lines hold all targets: precision at least {scores.MIN_PRECISION} where"
            f" the ideal's recall is above {scores.WHERE_RECALL}, else within {scores.MAX_LOSS} of the"
            f" ideal's; recall within {scores.MAX_LOSS} and"
            f" RMSE within {scores.MAX_RMSE_LOSS - 1:.0%} of the ideal; of isolated emitters from"
            f" {ASKED_PHOTONS:g} photons on RMSE within {scores.MAX_RMSE_OVER_BOUND} of the bound and pull"
            f" {scores.PULL[0]}-{scores.PULL[1]}; photons within {scores.MAX_PHOTON_BIAS:.0%}; on empty"
            f" movies under {MAX_FALSE} false localizations per frame and 1000 um^2.",
            "The ideal is a flat movie of a photon counter with the same local noise (three levels where it"
            " varies); for the widths it is sigma 1.1 px at the same peak over noise.",
            "RMSE: root mean square of error over the Cramer-Rao bound of each emitter alone, at its own"
            " background. Pull: standard deviation of error over stated uncertainty; `pull_mad` its robust"
            " counterpart. Photon bias: median. Emitters in or near invalid pixels are not asked for.",
        ]
        return SuiteResult("Conditions of real movies", [Table("results", "Lines", rows)], {}, notes)

    def _wanted(self, line: Line) -> bool:
        return not self.only or any(text in f"{line.group}: {line.name}" for text in self.only)

    def _shortened(self, line: Line) -> Line:
        n_frames = min(line.conditions.n_frames, self.max_frames or line.conditions.n_frames)
        ideal = None if line.ideal is None else replace(line.ideal, n_frames=n_frames)
        return replace(line, conditions=replace(line.conditions, n_frames=n_frames), ideal=ideal)

    def _row(self, line: Line, ideals: dict[Conditions, Score]) -> dict[str, Cell]:
        c = line.conditions
        # Of its own, whatever other lines are wanted.
        seed = self.seed + zlib.crc32(f"{line.group}: {line.name}".encode())
        field = condition_field(c, torch.Generator().manual_seed(seed))
        score = self._score(field, c, line.camera)
        row: dict[str, Cell] = {"group": line.group, "line": line.name}
        if c.emitters == "none":
            area_um2 = (c.size_px * c.pixel_size_nm * 1e-3) ** 2
            false = 1000 * score.n_found / (c.n_frames * area_um2)
            row["misses"] = "" if false < MAX_FALSE else "false"
            return {**row, "false_per_1000um2": false, "seconds": score.seconds}
        wanted = [line.ideal] if line.ideal is not None else flat_counterparts(c, field)
        for one in wanted:
            if one not in ideals:
                flat = condition_field(one, torch.Generator().manual_seed(self.seed))
                ideals[one] = self._score(flat, one, "maps")
        own, ideal = score.summary(), Score.together([ideals[one] for one in wanted]).summary()
        asked = c.emitters == "isolated" and c.photons >= ASKED_PHOTONS
        row["misses"] = scores.misses(own, ideal, isolated=asked)
        row |= own
        row |= {f"ideal_{name}": ideal[name] for name in ("precision", "recall", "rmse_over_bound", "pull")}
        return {**row, "seconds": score.seconds}

    def _score(self, field: ConditionField, c: Conditions, told: str) -> Score:
        settings = LocalizeSettings(
            optics=OpticsSettings(c.pixel_size_nm),
            camera=_camera_settings(field.camera, told),
            selection=self.selection,
            zoo=None if self.zoo is None else Path(self.zoo),
            device=self.device,
        )
        found, seconds = timed_localize(field.frames, settings)
        return scores.score_field(field, found, c, self.radius_nm, seconds)


def _camera_settings(camera: Camera, told: str) -> CameraSettings:
    """Return what the program is told of a camera: see :class:`~benchmarks.condition_lines.Line`."""
    if told == "nothing":
        return CameraSettings()
    offset, read = np.asarray(camera.offset_adu), np.asarray(camera.read_noise_e)
    given = told == "maps"
    return CameraSettings(
        offset.astype(np.float32) if given and offset.ndim else float(np.median(offset)),
        camera.e_per_adu,
        camera.em_gain,
        camera.qe,
        read.astype(np.float32) if given and read.ndim else float(np.median(read)),
    )
