"""Linking: the localizations of a molecule in consecutive frames become one event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.postprocessing.neighbours import FrameNeighbours
from autods.postprocessing.precision import nena_precision

#: Two localizations of one molecule lie this many standard errors of their difference apart at most.
_REACH = 3.0
#: Radius where nothing tells the precision, and its limits, nm.
_DEFAULT_RADIUS_NM = 50.0
_RADIUS_NM = (10.0, 200.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinkedTable:
    """Events: molecules over the consecutive frames in which they were on."""

    #: One row an event: the first frame, the position weighted with the inverse squared uncertainties, the
    #: sum of the photons, the means of background and PSF width, the uncertainty of the weighted mean and the
    #: largest confidence.
    table: LocalizationTable
    #: (E,) last frame of each event.
    last_frame: NDArray[np.int64]
    #: (E,) localizations in it.
    n_localizations: NDArray[np.int64]
    #: (N,) event of each localization.
    event: NDArray[np.int64]
    #: Median radius within which localizations were linked, nm.
    radius_nm: float

    def __len__(self) -> int:
        """Count the events."""
        return len(self.table)


def link(table: LocalizationTable, *, radius_nm: float | None = None, max_gap: int = 1) -> LinkedTable:
    """Link the localizations of each molecule in consecutive frames; linear in their number.

    A localization is linked with the nearest one of a following frame if each is the other's nearest, and
    their distance is within three standard errors of their difference (laterally and in depth). Frames
    without a gap go first. Returns `LinkedTable`, ordered by first frame, y, x.

    Parameters
    ----------
    table
        Localizations ordered by frame.
    radius_nm
        Largest distance, nm; None: three standard errors of the difference, at least those that the distances
        between consecutive frames tell (`nena_precision`).
    max_gap
        Frames that a molecule may be dark in between.

    Examples
    --------
    >>> import numpy as np
    >>> from autods import LocalizationTable
    >>> x = np.array([500.0, 505.0, 2000.0])
    >>> table = LocalizationTable.build(np.array([0, 1, 1]), x, x, photons=np.full(3, 1000.0))
    >>> len(link(table, radius_nm=50.0, max_gap=1).table)
    2
    """
    n = len(table)
    reach = _reaches(table, radius_nm)
    previous = np.full(n, -1, np.int64)
    following = np.full(n, -1, np.int64)
    if n:
        neighbours = FrameNeighbours(table, min(2 * float(reach.max()), _RADIUS_NM[1]))
        for frames_apart in range(1, max_gap + 2):
            first, second, distance = neighbours.pairs(frames_apart)
            # Errors add in squares.
            allowed = distance**2 <= reach[first] ** 2 + reach[second] ** 2
            allowed &= (following[first] < 0) & (previous[second] < 0) & _same_depth(table, first, second)
            first, second = _mutual(first[allowed], second[allowed], distance[allowed], n)
            following[first], previous[second] = second, first
    event = _chains(previous)
    return _events(table, event, float(np.median(reach) * math.sqrt(2)) if n else math.nan)


def _reaches(table: LocalizationTable, radius_nm: float | None) -> Floats:
    """Return (N,) shares of the radius, nm; that of a pair is the root of the sum of their squares."""
    if radius_nm is not None:
        return np.full(len(table), radius_nm / math.sqrt(2))
    sigma = table.uncertainty_xy_nm
    known = np.isfinite(sigma) & (sigma > 0)
    typical = float(np.median(sigma[known])) if known.any() else math.nan
    measured = nena_precision(table)
    if not known.any():
        typical = measured if measured > 0 else _DEFAULT_RADIUS_NM / (_REACH * math.sqrt(2))
    pull = max(measured / typical, 1.0) if measured > 0 else 1.0
    reach = _REACH * pull * np.where(known, sigma, typical)
    return np.clip(reach, _RADIUS_NM[0] / math.sqrt(2), _RADIUS_NM[1] / math.sqrt(2))


def _same_depth(
    table: LocalizationTable, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell (P,) whether two may lie at one depth; where no error is known they may."""
    if table.z_nm is None or table.uncertainty_z_nm is None:
        return np.ones(len(first), bool)
    error = np.hypot(table.uncertainty_z_nm[first], table.uncertainty_z_nm[second])
    apart = np.abs(table.z_nm[first] - table.z_nm[second])
    return ~(apart > _REACH * error)


def _mutual(
    first: NDArray[np.int64], second: NDArray[np.int64], distance: Floats, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the pairs that are each other's nearest."""
    order = np.lexsort((second, first, distance))
    first, second = first[order], second[order]
    rank = np.arange(len(first))
    best_first, best_second = np.full(n, len(first)), np.full(n, len(first))
    # Written backwards, the nearest comes last and stays.
    best_first[first[::-1]] = rank[::-1]
    best_second[second[::-1]] = rank[::-1]
    keep = (best_first[first] == rank) & (best_second[second] == rank)
    return first[keep], second[keep]


def _chains(previous: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) the number of the chain that each row belongs to, in the order of their first rows."""
    root = np.where(previous < 0, np.arange(len(previous)), previous)
    while True:
        further = root[root]
        if np.array_equal(further, root):
            break
        root = further
    number = np.cumsum(previous < 0) - 1
    return number[root]


def _events(table: LocalizationTable, event: NDArray[np.int64], radius_nm: float) -> LinkedTable:
    n_events = int(event.max()) + 1 if len(event) else 0
    count = np.bincount(event, minlength=n_events)
    start = np.full(n_events, np.iinfo(np.int64).max)
    stop = np.full(n_events, -1, np.int64)
    np.minimum.at(start, event, table.frame)
    np.maximum.at(stop, event, table.frame)

    def total(values: Floats) -> Floats:
        summed: Floats = np.bincount(event, weights=values, minlength=n_events).astype(np.float64)
        return summed

    lateral = _weights(table.uncertainty_xy_nm)
    columns: dict[str, NDArray[np.generic] | None] = {"photons": total(table.photons)}
    for name in ("background", "background_std", "sigma_nm"):
        columns[name] = total(getattr(table, name)) / count
    columns["uncertainty_xy_nm"] = _joint_error(table.uncertainty_xy_nm, total)
    confidence = np.full(n_events, -np.inf)
    np.maximum.at(confidence, event, np.nan_to_num(table.confidence, nan=-np.inf))
    columns["confidence"] = np.where(np.isfinite(confidence), confidence, np.nan)
    if table.z_nm is not None and table.uncertainty_z_nm is not None:
        axial = _weights(table.uncertainty_z_nm)
        columns["z_nm"] = total(axial * table.z_nm) / total(axial)
        columns["uncertainty_z_nm"] = _joint_error(table.uncertainty_z_nm, total)
    x, y = (total(lateral * values) / total(lateral) for values in (table.x_nm, table.y_nm))
    linked = LocalizationTable.build(start, x, y, **columns)
    order = np.lexsort((linked.x_nm, linked.y_nm, linked.frame))
    place = np.empty(n_events, np.int64)
    place[order] = np.arange(n_events)
    return LinkedTable(linked.select(order), stop[order], count[order], place[event], radius_nm)


def _weights(sigma: Floats) -> Floats:
    """Return inverse squared errors; the median stands in where none is known."""
    known = np.isfinite(sigma) & (sigma > 0)
    typical = float(np.median(sigma[known])) if known.any() else 1.0
    return 1 / np.where(known, sigma, typical) ** 2


def _joint_error(sigma: Floats, total: Callable[[Floats], Floats]) -> Floats:
    """Return the error of the weighted means; NaN where that of a member is not known."""
    weight = np.divide(1.0, sigma**2, out=np.full(len(sigma), np.nan), where=sigma > 0)
    summed = total(weight)
    joint: Floats = np.divide(1.0, np.sqrt(summed), out=np.full(len(summed), np.nan), where=summed > 0)
    return joint
