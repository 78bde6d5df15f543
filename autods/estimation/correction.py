"""Density and SNR from frame statistics, by a regression calibrated on simulated movies.

The count of maxima saturates where emitters overlap, misses dim ones and takes noise for some. The regression
is quadratic in logarithms of the statistics; its coefficients are in ``correction.json``, which
``scripts/calibrate_density.py`` writes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.io.atomic import write_text

#: The shipped coefficients.
CORRECTION_FILE = Path(__file__).with_name("correction.json")

#: What the regression predicts: log emitters per resolution element, log SNR, log (true / measured noise).
TARGETS = ("log_density", "log_snr", "log_noise_ratio")


@dataclass(frozen=True)
class Correction:
    """Coefficients of the quadratic regression."""

    #: (F,) mean and standard deviation of the features over the calibration set.
    centre: list[float]
    scale: list[float]
    #: (F,) range of the standardised features; others are moved to its edge, so that nothing extrapolates.
    low: list[float]
    high: list[float]
    #: (P, 3) weights of 1, the F features and their F (F + 1) / 2 products, for each of TARGETS.
    coefficients: list[list[float]]
    #: (3,) range of the targets in the calibration set.
    target_low: list[float]
    target_high: list[float]

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the targets (..., 3) for features (..., F)."""
        standard = (features - np.asarray(self.centre)) / np.asarray(self.scale)
        terms = _terms(np.clip(standard, self.low, self.high))
        targets: NDArray[np.float64] = terms @ np.asarray(self.coefficients)
        return targets.clip(self.target_low, self.target_high)


def fit_correction(
    features: NDArray[np.float64], targets: NDArray[np.float64], ridge: float = 1.0
) -> Correction:
    """Fit the regression by ridge regression with a robust second pass.

    Parameters
    ----------
    features
        (N, F), from :meth:`~autods.estimation.statistics.FrameStatistics.features`.
    targets
        (N, 3), see TARGETS.
    ridge
        Penalty on the coefficients, in units of one sample.
    """
    centre, scale = features.mean(0), features.std(0) + 1e-9
    standard = (features - centre) / scale
    low, high = np.percentile(standard, [0.2, 99.8], axis=0)
    terms = _terms(np.clip(standard, low, high))
    penalty = ridge * np.eye(terms.shape[1])
    coefficients = np.linalg.solve(terms.T @ terms + penalty, terms.T @ targets)
    for column in range(targets.shape[1]):
        for _ in range(10):
            residual = np.abs(terms @ coefficients[:, column] - targets[:, column])
            # Weights of the absolute deviation, smoothed: the median error counts, not the rare large one.
            weight = 1 / np.maximum(residual / (np.median(residual) + 1e-9), 0.5)
            weighted = terms * weight[:, None]
            coefficients[:, column] = np.linalg.solve(
                weighted.T @ terms + penalty, weighted.T @ targets[:, column]
            )
    return Correction(
        centre.tolist(),
        scale.tolist(),
        low.tolist(),
        high.tolist(),
        coefficients.tolist(),
        targets.min(0).tolist(),
        targets.max(0).tolist(),
    )


def write_correction(correction: Correction, path: Path) -> None:
    """Write coefficients as JSON, six significant digits, whole or not at all."""
    values = {name: _rounded(value) for name, value in asdict(correction).items()}
    write_text(path, json.dumps(values) + "\n")


@cache
def load_correction(path: Path = CORRECTION_FILE) -> Correction:
    """Read coefficients; the shipped ones by default.

    Raises `UserError` if the file is missing or damaged.
    """
    try:
        return Correction(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged: reinstall autods") from error


def _terms(standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1, the features and their products, (..., P)."""
    i, j = np.triu_indices(standard.shape[-1])
    one = np.ones((*standard.shape[:-1], 1))
    return np.concatenate([one, standard, standard[..., i] * standard[..., j]], axis=-1)


def _rounded(value: list[float] | list[list[float]]) -> object:
    return [_rounded(item) if isinstance(item, list) else float(f"{item:.6g}") for item in value]
