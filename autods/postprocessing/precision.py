"""What the table itself tells of the localization precision."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from autods.core import LocalizationTable
from autods.postprocessing.neighbours import FrameNeighbours

#: Pairs in consecutive frames that an estimate needs at least, and those that suffice.
LEAST_PAIRS, ENOUGH_PAIRS = 50, 50_000


def nena_precision(table: LocalizationTable) -> float:
    """Estimate the lateral localization precision from nearest neighbours in consecutive frames (NeNA).

    Distances d between localizations of one molecule in consecutive frames follow ``d / (2 s^2) exp(-d^2 / (4
    s^2))``; unrelated neighbours add a density that grows as d (Endesfelder et al., Histochemistry and Cell
    Biology 141, 629 (2014); their correction for neighbours near each other is left out). Both parts are
    fitted by maximum likelihood to the distances of localizations that are not linked, up to a cut-off of
    eight times the median uncertainty, or 200 nm where none is known. Returns the standard deviation per
    axis, nm; NaN when there are too few pairs.
    """
    known = table.uncertainty_xy_nm[np.isfinite(table.uncertainty_xy_nm)]
    typical = float(np.median(known)) if len(known) else math.nan
    cutoff = 8 * typical if typical > 0 else 200.0
    first, _, distance = FrameNeighbours(table, cutoff).pairs(1)
    if len(first) < LEAST_PAIRS:
        return math.nan
    nearest = np.full(len(table), np.inf)
    np.minimum.at(nearest, first, distance)
    d = nearest[np.isfinite(nearest)]
    if len(d) < LEAST_PAIRS:
        return math.nan
    d = d[:: -(-len(d) // ENOUGH_PAIRS)]
    sigma = minimize_scalar(
        lambda log_s: _cost(d, math.exp(log_s), cutoff),
        bounds=(math.log(cutoff / 200), math.log(cutoff / 2)),
        method="bounded",
    )
    return float(math.exp(sigma.x))


def _cost(d: NDArray[np.float64], sigma: float, cutoff: float) -> float:
    """Return minus the log-likelihood of distances, the share of unrelated pairs fitted by a few steps."""
    same = d / (2 * sigma**2) * np.exp(-(d**2) / (4 * sigma**2)) / -np.expm1(-(cutoff**2) / (4 * sigma**2))
    other = 2 * d / cutoff**2
    share = 0.5
    for _ in range(20):
        share = float(np.mean(share * same / (share * same + (1 - share) * other)))
    return -float(np.log(share * same + (1 - share) * other + 1e-300).sum())
