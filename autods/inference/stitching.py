"""Joining what neighbouring patches found, so that no molecule at a seam or border is lost or doubled.

Each patch answers for its core, but an estimate has an error: beside a seam both neighbours may place the
same molecule in their own core (doubled) or both in the other's (lost). The estimates of a narrow strip along
each seam are therefore matched across patches before the core decides. At the border of the field, where
frames are continued by their mirror image, an estimate just outside stands for its mirror position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.inference.tiling import Tile, core_boxes

#: Half width of the strip, px: the most by which two patches' estimates of one molecule differ.
SEAM_TOLERANCE_PX = 0.5


@dataclass(frozen=True)
class Found:
    """Estimates of a block of frames as flat arrays of length N, positions in corner pixels of the field.

    Parameters
    ----------
    frame
        Frame within the block.
    x_px, y_px
        Position.
    confidence
        Larger is surer.
    tile
        Index of the tile that found it.
    uncertainty_px
        Standard error per axis that the network predicts; NaN where it does not.
    """

    frame: NDArray[np.int64]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    confidence: NDArray[np.float64]
    tile: NDArray[np.int64]
    uncertainty_px: NDArray[np.float64]

    def __len__(self) -> int:
        """Count the estimates."""
        return len(self.frame)

    def select(self, rows: NDArray[np.generic]) -> Found:
        """Return the rows given by a mask or an index array."""
        return Found(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def concatenate(cls, parts: Sequence[Found]) -> Found:
        """Join parts; an empty list gives no estimates."""
        whole, none = np.zeros(0, np.int64), np.zeros(0)
        parts = [cls(whole, none, none, none, whole, none), *parts]
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__)
        )


def stitch(
    found: Found,
    tiles: Sequence[Tile],
    shape_px: tuple[int, int],
    *,
    tolerance_px: float = SEAM_TOLERANCE_PX,
) -> Found:
    """Keep each molecule once.

    Parameters
    ----------
    found
        Estimates of all patches; those outside their patch's core by more than the tolerance are dropped.
    tiles
        The tiles that ``found.tile`` indexes.
    shape_px
        Height and width of the field.
    tolerance_px
        Estimates of different patches nearer than this can be the same molecule.

    Returns
    -------
    Found
        Positions within the field, ordered by frame, y, x.
    """
    height, width = shape_px
    x, y = _fold(found.x_px, width), _fold(found.y_px, height)
    fold = 1 * (x != found.x_px) + 2 * (y != found.y_px)
    y0, x0, y1, x1 = core_boxes(tiles)[found.tile].T
    # Measured before folding: an estimate beyond the border lies outside its core by that much.
    inside = np.minimum.reduce([found.x_px - x0, x1 - found.x_px, found.y_px - y0, y1 - found.y_px])
    own = (found.x_px >= x0) & (found.x_px < x1) & (found.y_px >= y0) & (found.y_px < y1)
    near = np.flatnonzero(np.abs(inside) <= tolerance_px)
    keep = own.copy()
    folded_own = (fold > 0) & (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    moved = replace(found, x_px=x, y_px=y)
    strip = moved.select(near)
    keep[near] = _one_of_each(strip, own[near], folded_own[near], fold[near], tolerance_px)
    kept = moved.select(keep)
    return kept.select(np.lexsort((kept.x_px, kept.y_px, kept.frame)))


def _fold(position: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Mirror positions just outside ``[0, length)`` about the border."""
    folded = np.where(position < 0, -position, position)
    folded = np.where(folded >= length, 2 * length - folded, folded)
    # A position exactly on the far border would fall out of every half-open core.
    return np.minimum(folded, np.nextafter(float(length), 0.0))


def _one_of_each(
    strip: Found,
    own: NDArray[np.bool_],
    folded_own: NDArray[np.bool_],
    fold: NDArray[np.int64],
    tolerance_px: float,
) -> NDArray[np.bool_]:
    """Decide which estimates of the strip stay: one of each group that different views gave one molecule.

    A view is a patch, or a patch's mirror image. Pairs are joined from the nearest on, and a group never
    holds two estimates of one view: those are two molecules.
    """
    keep = own | folded_own
    if len(strip) < 2:
        return keep
    spread = 4.0 * tolerance_px + strip.x_px.max() + strip.y_px.max()  # frames must not be neighbours
    points = np.column_stack([strip.x_px, strip.y_px, strip.frame * spread])
    pairs = cKDTree(points).query_pairs(tolerance_px, output_type="ndarray")
    view = strip.tile * 4 + fold
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
