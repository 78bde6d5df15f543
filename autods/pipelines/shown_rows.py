"""Which localizations of a sorted table are looked at, and where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autods.pipelines.kept import Kept
from autods.pipelines.sorted_table import SortedTable
from autods.postprocessing.filtering import filter_columns

#: Rows at a time, where all are looked at.
_CHUNK = 1 << 20

Box = tuple[float, float, float, float]
Column = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """What is drawn, and how."""

    #: Expression that localizations must fulfil, see `autods.postprocessing.filtering`; '' draws all.
    filter: str = ""
    #: ``gaussian``: each as wide as its uncertainty; ``histogram``: counts per pixel.
    drawing: Literal["gaussian", "histogram"] = "gaussian"
    #: A colour map's name, or ``depth`` (3D only).
    colors: str = "inferno"
    #: Of the non-empty pixels, shown at full brightness.
    percentile: float = 99.5
    #: Whether the drift is subtracted.
    is_corrected: bool = True


class Rows:
    """Localizations of a table by filter and place.

    Parameters
    ----------
    table
        The localizations.
    drift_nm
        (frames, 2) x and y that were subtracted, from frame 0 on, nm; None where nothing was.
    kept
        Where filters are kept, shared with other tables.
    name
        Of the table, among those of ``kept``.
    """

    def __init__(
        self, table: SortedTable, drift_nm: NDArray[np.float64] | None, kept: Kept, name: object
    ) -> None:
        self.table, self._kept, self._name = table, kept, name
        self._drift = None if drift_nm is None else drift_nm.astype(np.float32)

    @property
    def has_drift(self) -> bool:
        """Whether a drift was subtracted."""
        return self._drift is not None

    def count(self, text: str) -> int:
        """Count the localizations that pass a filter.

        Raises `UserError` if it cannot be read.
        """
        mask = self.passing(text)
        return len(self.table) if mask is None else int(np.count_nonzero(mask))

    def passing(self, text: str) -> NDArray[np.bool_] | None:
        """Tell which rows pass a filter, (N,); None for all of them.

        Raises `UserError` if it cannot be read.
        """
        if not text.strip():
            return None
        key = (self._name, "passing", text)
        return self._kept.get(key, lambda: self._passing(text), lambda mask: int(mask.nbytes))

    def _passing(self, text: str) -> NDArray[np.bool_]:
        mask = np.empty(len(self.table), bool)
        origin = {"y_nm": self.table.origin_nm[0], "x_nm": self.table.origin_nm[1]}
        if not len(mask):
            filter_columns(dict(self.table.columns), text)
        for start in range(0, len(mask), _CHUNK):
            part = slice(start, start + _CHUNK)
            # In the coordinates of the full frame, as in the files.
            columns = {
                name: column[part] + origin[name] if name in origin else column[part]
                for name, column in self.table.columns.items()
            }
            mask[part] = filter_columns(columns, text)
        return mask

    def widths(
        self, uncertainty_nm: NDArray[np.float32], pixel_nm: float, least_px: float
    ) -> NDArray[np.float32]:
        """Return how wide each is drawn, (N,) nm: its uncertainty, at least some pixels."""
        typical = self.table.typical_nm
        sigma = np.where(np.isfinite(uncertainty_nm), uncertainty_nm, np.float32(typical))
        # A few very uncertain ones would wash the picture out.
        low = least_px * pixel_nm
        return np.clip(sigma, low, max(3 * typical, low))

    def depths(self, z_nm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return depths (N,) in parts of the range of the colours, 0 to 1."""
        low, high = self.table.depth_range_nm or (0.0, 1.0)
        share = (np.nan_to_num(z_nm, nan=low) - np.float32(low)) / np.float32(high - low)
        depths: Column = np.clip(share, 0, 1).astype(np.float32)
        return depths

    def columns(self, look: Look, box: Box, names: Sequence[str]) -> dict[str, Column]:
        """Return x, y and the named columns of the rows of `pieces`, as one."""
        pieces = list(self.pieces(look, box, names))
        every = ("x_nm", "y_nm", *names)
        return {
            name: np.concatenate([piece[name] for piece in pieces]) if pieces else np.zeros(0, np.float32)
            for name in every
        }

    def pieces(self, look: Look, box: Box, names: Sequence[str]) -> Iterator[dict[str, Column]]:
        """Yield x, y and the named columns of what passes the filter in all cells that a box touches."""
        table, mask = self.table, self.passing(look.filter)
        drift = None if look.is_corrected else self._drift
        if drift is not None:
            most = float(np.abs(drift).max(initial=0.0))
            box = (box[0] - most, box[1] - most, box[2] + most, box[3] + most)
        every = {*names, "x_nm", "y_nm", *(("frame",) if drift is not None else ())}
        for rows in _chunks(table.rows_in(box)):
            # Plain arrays, and places instead of a mask: half the time.
            parts = {name: np.asarray(table.columns[name][rows]) for name in every}
            keep = None if mask is None else np.flatnonzero(mask[rows])
            columns = parts if keep is None else {name: part.take(keep) for name, part in parts.items()}
            if drift is not None and len(drift):
                at = np.clip(columns["frame"].astype(np.int64), 0, len(drift) - 1)
                columns["x_nm"] = columns["x_nm"] + drift[at, 0]
                columns["y_nm"] = columns["y_nm"] + drift[at, 1]
            yield columns


def _chunks(parts: Sequence[slice]) -> Iterator[slice]:
    for part in parts:
        for start in range(part.start, part.stop, _CHUNK):
            yield slice(start, min(start + _CHUNK, part.stop))
