"""Pairs of localizations of two frames that lie near each other, found in linear time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable

#: Positions along x are compared in this many steps of the search radius.
_STEPS = 1 << 10


class FrameNeighbours:
    """Finds pairs of localizations that are some frames apart and near each other.

    Localizations are sorted once, by frame, by rows as high as the radius, and by x; the neighbours of one
    then lie in a short piece of three rows.

    Parameters
    ----------
    table
        The localizations.
    radius_nm
        Largest lateral distance, nm.
    """

    def __init__(self, table: LocalizationTable, radius_nm: float) -> None:
        self._radius = radius_nm
        self._x, self._y, self._frame = table.x_nm, table.y_nm, table.frame
        n = len(table)
        finite = np.isfinite(self._x) & np.isfinite(self._y)
        x = np.where(finite, self._x, 0.0)
        y = np.where(finite, self._y, 0.0)
        self._along = ((x - x.min(initial=0)) * (_STEPS / radius_nm)).astype(np.int64) + _STEPS + 1
        self._row = ((y - y.min(initial=0)) / radius_nm).astype(np.int64) + 1
        self._width = int(self._along.max(initial=0)) + _STEPS + 2
        self._rows = int(self._row.max(initial=0)) + 2
        self._key = self._keys(self._frame - (self._frame.min() if n else 0), self._row, self._along)
        self._order = np.argsort(self._key, kind="stable")
        self._sorted = self._key[self._order]

    def _keys(
        self, frame: NDArray[np.int64], row: NDArray[np.int64], along: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        return (frame * self._rows + row) * self._width + along

    def pairs(self, frames_apart: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return all pairs whose frames differ by a number.

        Returns
        -------
        first, second
            (P,) rows of the table, the earlier and the later one.
        distance_nm
            (P,) their lateral distance, at most the radius.
        """
        ahead = frames_apart * self._rows * self._width
        firsts, seconds = [], []
        for step in (-1, 0, 1):
            # In the order of the keys, so that both searches walk through memory.
            centre = self._sorted + ahead + step * self._width
            low = np.searchsorted(self._sorted, centre - _STEPS - 1)
            high = np.searchsorted(self._sorted, centre + _STEPS + 1, side="right")
            count = high - low
            first = np.repeat(np.arange(len(count)), count)
            within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
            firsts.append(self._order[first])
            seconds.append(self._order[low[first] + within])
        first, second = np.concatenate(firsts), np.concatenate(seconds)
        distance = np.hypot(self._x[first] - self._x[second], self._y[first] - self._y[second])
        near = distance <= self._radius
        return first[near], second[near], distance[near]
