"""Detection, error over the bound, pull and photons of one movie, and what a line of the table says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.io.result_tables import Cell
from autods.metrics.matching import match
from autods.optics.crlb import crlb
from autods.optics.gaussian import GaussianPSF
from benchmarks.condition_fields import ConditionField, Conditions
from benchmarks.uniform import NORMAL_MAD

#: What must hold. Where the ideal finds less, its own precision is the measure.
MIN_PRECISION, WHERE_RECALL, MAX_LOSS, MAX_RMSE_LOSS = 0.95, 0.9, 0.05, 1.10
MAX_RMSE_OVER_BOUND, PULL = 1.1, (0.9, 1.15)
MAX_PHOTON_BIAS = 0.05
#: A localization this far from an emitter, in its standard errors, is still that emitter.
_RADIUS_ERRORS = 4.0
_CHUNK = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """What was found of the emitters that are asked for.

    Parameters
    ----------
    n_truth, n_found
        Emitters, and localizations that belong to none that is not asked for.
    over_bound
        (P,) lateral errors of the pairs over the lateral bounds.
    pulls
        (Q,) errors over stated uncertainties, x then y.
    photon_ratio
        (P,) found over true photons.
    seconds
        The whole pipeline took.
    """

    n_truth: int
    n_found: int
    over_bound: Floats
    pulls: Floats
    photon_ratio: Floats
    seconds: float

    @classmethod
    def together(cls, parts: Sequence[Score]) -> Score:
        """Pool the scores of several movies."""
        return cls(
            sum(part.n_truth for part in parts),
            sum(part.n_found for part in parts),
            np.concatenate([part.over_bound for part in parts]),
            np.concatenate([part.pulls for part in parts]),
            np.concatenate([part.photon_ratio for part in parts]),
            sum(part.seconds for part in parts),
        )

    def summary(self) -> dict[str, float]:
        """Return the numbers of a line; NaN where nothing was found."""
        n = len(self.over_bound)
        return {
            "precision": n / self.n_found if self.n_found else math.nan,
            "recall": n / self.n_truth if self.n_truth else math.nan,
            "rmse_over_bound": float(np.sqrt(np.mean(self.over_bound**2))) if n else math.nan,
            "pull": float(self.pulls.std()) if n else math.nan,
            "pull_mad": float(np.median(np.abs(self.pulls)) / NORMAL_MAD) if n else math.nan,
            "photon_bias": float(np.median(self.photon_ratio) - 1) if n else math.nan,
        }


def score_field(
    field: ConditionField, found: LocalizationTable, conditions: Conditions, radius_nm: float, seconds: float
) -> Score:
    """Score what was found in a movie.

    Parameters
    ----------
    field, conditions
        The movie.
    found
        The localizations.
    radius_nm
        Largest distance of a match, nm; of isolated emitters more where the PSF or the bound are wider.
    seconds
        The whole pipeline took.
    """
    bounds = lateral_bounds(field, conditions)
    if conditions.emitters == "isolated" and len(bounds):
        wide = _RADIUS_ERRORS * float(np.median(bounds))
        radius_nm = max(radius_nm, min(wide, 3 * conditions.sigma_nm))
    pairs = match(field.truth, found, radius_nm)
    asked = field.judged[pairs.truth_index]
    t, f = pairs.truth_index[asked], pairs.found_index[asked]
    error = np.stack([found.x_nm[f] - field.truth.x_nm[t], found.y_nm[f] - field.truth.y_nm[t]])
    stated = found.uncertainty_xy_nm[f]
    known = np.isfinite(stated) & (stated > 0)
    return Score(
        int(field.judged.sum()),
        len(found) - int((~asked).sum()),
        np.hypot(*error) / bounds[t],
        (error[:, known] / stated[known]).ravel(),
        found.photons[f] / field.truth.photons[t],
        seconds,
    )


def lateral_bounds(field: ConditionField, conditions: Conditions) -> Floats:
    """Return (N,) the Cramer-Rao bound of each emitter alone, root of the sum over x and y, nm."""
    c = conditions
    if not len(field.truth):
        return np.zeros(0)
    psf = GaussianPSF(c.pixel_size_nm, c.sigma_nm)
    within = [np.mod(axis / c.pixel_size_nm, 1) - 0.5 for axis in (field.truth.x_nm, field.truth.y_nm)]
    columns = [*(place * c.pixel_size_nm for place in within), 0 * within[0], field.photons, field.background]
    values = torch.from_numpy(np.stack(columns, 1)).float()
    size_px = 2 * math.ceil(4 * c.sigma_px) + 1
    bounds = [
        crlb(psf, part[:, :3], part[:, 3], part[:, 4], size_px, axial=False)[:, :2].norm(dim=1)
        for part in torch.split(values, _CHUNK)
    ]
    return torch.cat(bounds).double().numpy()


def misses(own: Mapping[str, float], ideal: Mapping[str, float], *, isolated: bool) -> str:
    """Name the targets that a line misses.

    Parameters
    ----------
    own, ideal
        Summaries of the line and of its ideal.
    isolated
        Whether its emitters are alone and bright enough for the bound to be asked for.
    """

    def within(name: str, low: float, high: float) -> bool:
        return low <= own[name] <= high  # False for NaN: nothing was found

    least = MIN_PRECISION if ideal["recall"] > WHERE_RECALL else ideal["precision"] - MAX_LOSS
    holds = {
        "precision": within("precision", least, 1),
        "recall": within("recall", ideal["recall"] - MAX_LOSS, 1),
        "rmse": within("rmse_over_bound", 0, MAX_RMSE_LOSS * ideal["rmse_over_bound"]),
        "bound": not isolated or within("rmse_over_bound", 0, MAX_RMSE_OVER_BOUND),
        "pull": not isolated or within("pull", *PULL),
        "photons": within("photon_bias", -MAX_PHOTON_BIAS, MAX_PHOTON_BIAS),
    }
    return ", ".join(name for name, held in holds.items() if not held)


def shown(row: Mapping[str, Cell]) -> str:
    """Return a row as a line of text."""
    cells = (
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
    )
    return ", ".join(cells)
