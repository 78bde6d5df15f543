"""Joining what neighbouring patches found, so that no molecule at a seam or border is lost or doubled.

Each patch answers for its core, but an estimate has an error: beside a seam both neighbours may place the
same molecule in their own core (doubled) or both in the other's (lost). The estimates of a narrow strip along
each seam are therefore matched across patches before the core decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.inference.tiling import Tile, core_boxes

#: Half width of the strip, px: the most by which two patches' estimates of one molecule differ.
SEAM_TOLERANCE_PX = 0.5


@dataclass(frozen=True)
class Found:
    """Estimates of a block of frames as flat arrays of length N, positions in corner pixels of the field."""

    #: Frame within the block.
    frame: NDArray[np.int64]
    #: Position, px.
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    #: Larger is surer.
    confidence: NDArray[np.float64]
    #: Index of the tile that found it.
    tile: NDArray[np.int64]
    #: Standard error per axis that the network predicts, px; NaN where it does not.
    uncertainty_px: NDArray[np.float64]
    #: Depth and its standard error, nm (NaN where the network predicts none); None in 2D.
    z_nm: NDArray[np.float64] | None = None
    uncertainty_z_nm: NDArray[np.float64] | None = None
    #: What the network predicts, photons and photons per pixel (NaN where it does not); None in 3D.
    photons: NDArray[np.float64] | None = None
    background: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Count the estimates."""
        return len(self.frame)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns present, (N,) each, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column for name, column in values.items() if column is not None}

    def select(self, rows: NDArray[np.generic]) -> Found:
        """Return the rows given by a mask (N,) or an index array (M,)."""
        return Found(**{name: column[rows] for name, column in self.columns().items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Found]) -> Found:
        """Join parts with the same columns; an empty list gives no estimates."""
        if not parts:
            whole, none = np.zeros(0, np.int64), np.zeros(0)
            return cls(whole, none, none, none, whole, none)
        names = parts[0].columns()
        return cls(**{name: np.concatenate([part.columns()[name] for part in parts]) for name in names})


def stitch(
    found: Found,
    tiles: Sequence[Tile],
    shape_px: tuple[int, int],
    *,
    tolerance_px: float = SEAM_TOLERANCE_PX,
) -> Found:
    """Keep each molecule once.

    Returns positions within the field, ordered by frame, y, x.

    Parameters
    ----------
    found
        Estimates of all patches; those outside their patch's core, or the field, by more than the tolerance
        are dropped.
    tiles
        The tiles that ``found.tile`` indexes.
    shape_px
        Height and width of the field, px.
    tolerance_px
        Estimates of different patches nearer than this can be the same molecule, px.
    """
    height, width = shape_px
    beyond = np.maximum.reduce([-found.x_px, found.x_px - width, -found.y_px, found.y_px - height])
    found = found.select(beyond <= tolerance_px)
    # An estimate just beyond the border is an emitter at the border; half-open cores need it inside.
    x = np.clip(found.x_px, 0.0, np.nextafter(float(width), 0.0))
    y = np.clip(found.y_px, 0.0, np.nextafter(float(height), 0.0))
    found = replace(found, x_px=x, y_px=y)
    y0, x0, y1, x1 = core_boxes(tiles)[found.tile].T
    inside = np.minimum.reduce([x - x0, x1 - x, y - y0, y1 - y])
    keep = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    # An estimate of the owner may lie deeper than the strip while a neighbour's of the same molecule lies in
    # it; beside a corner of four cores, two such neighbours would otherwise keep one of theirs as well.
    near = np.flatnonzero((inside >= -tolerance_px) & (inside <= np.where(keep, 2, 1) * tolerance_px))
    keep[near] = _one_of_each(found.select(near), keep[near], tolerance_px)
    kept = found.select(keep)
    return kept.select(np.lexsort((kept.x_px, kept.y_px, kept.frame)))


def _one_of_each(strip: Found, own: NDArray[np.bool_], tolerance_px: float) -> NDArray[np.bool_]:
    """Decide which estimates of the strip stay: one of each group that different patches gave one molecule.

    Pairs are joined from the nearest on, and a group never holds two estimates of one patch: those are two
    molecules.
    """
    keep = own.copy()
    if len(strip) < 2:
        return keep
    spread = 4.0 * tolerance_px + strip.x_px.max() + strip.y_px.max()  # frames must not be neighbours
    points = np.column_stack([strip.x_px, strip.y_px, strip.frame * spread])
    pairs = cKDTree(points).query_pairs(tolerance_px, output_type="ndarray")
    view = strip.tile
    pairs = pairs[view[pairs[:, 0]] != view[pairs[:, 1]]]
    distance = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    group: dict[int, list[int]] = {}
    for first, second in pairs[np.argsort(distance, kind="stable")].tolist():
        a, b = group.get(first, [first]), group.get(second, [second])
        if a is b or {view[i] for i in a} & {view[i] for i in b}:
            continue
        joined = a + b
        group.update(dict.fromkeys(joined, joined))
    for members in {id(members): members for members in group.values()}.values():
        best = max(members, key=lambda i: (own[i], strip.confidence[i], -i))
        keep[members] = False
        keep[best] = True
    return keep
