"""Joining what neighbouring patches found, so that no molecule at a seam or border is lost or doubled.

Each patch answers for its core, but an estimate has an error: beside a seam both neighbours may place the
same molecule in their own core (doubled) or both in the other's (lost). The estimates of a narrow strip along
each seam are therefore matched across patches before the core decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.inference.tiling import Tile, core_boxes
from autods.representation import Detections

#: Half width of the strip, px: the most by which two patches' estimates of one molecule differ.
SEAM_TOLERANCE_PX = 0.5


def stitch(
    found: Detections,
    tiles: Sequence[Tile],
    shape_px: tuple[int, int],
    *,
    tolerance_px: float = SEAM_TOLERANCE_PX,
) -> Detections:
    """Keep each molecule once.

    Returns positions within the field, ordered by frame, y, x.

    Parameters
    ----------
    found
        Estimates of all patches on the CPU, in pixels of the field, with ``tile``; those outside their
        patch's core, or the field, by more than the tolerance are dropped.
    tiles
        The tiles that ``found.tile`` indexes.
    shape_px
        Height and width of the field, px.
    tolerance_px
        Estimates of different patches nearer than this can be the same molecule, px.
    """
    height, width = shape_px
    _, x, y = found.places()
    beyond = np.maximum.reduce([-x, x - width, -y, y - height])
    found = found.select(beyond <= tolerance_px)
    frame, x, y = found.places()
    # An estimate just beyond the border is an emitter at the border; half-open cores need it inside.
    x = np.clip(x, 0.0, np.nextafter(float(width), 0.0))
    y = np.clip(y, 0.0, np.nextafter(float(height), 0.0))
    found = replace(found, x_px=torch.from_numpy(x), y_px=torch.from_numpy(y))
    assert found.tile is not None
    y0, x0, y1, x1 = core_boxes(tiles)[found.tile.numpy()].T
    inside = np.minimum.reduce([x - x0, x1 - x, y - y0, y1 - y])
    keep = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    # An estimate of the owner may lie deeper than the strip while a neighbour's of the same molecule lies in
    # it; beside a corner of four cores, two such neighbours would otherwise keep one of theirs as well.
    near = np.flatnonzero((inside >= -tolerance_px) & (inside <= np.where(keep, 2, 1) * tolerance_px))
    keep[near] = _one_of_each(found.select(near), keep[near], tolerance_px)
    kept = np.flatnonzero(keep)
    return found.select(kept[np.lexsort((x[kept], y[kept], frame[kept]))])


def _one_of_each(strip: Detections, own: NDArray[np.bool_], tolerance_px: float) -> NDArray[np.bool_]:
    """Decide which estimates of the strip stay: one of each group that different patches gave one molecule.

    Pairs are joined from the nearest on, and a group never holds two estimates of one patch: those are two
    molecules.
    """
    keep = own.copy()
    if len(strip) < 2:
        return keep
    frame, x, y = strip.places()
    spread = 4.0 * tolerance_px + x.max() + y.max()  # frames must not be neighbours
    points = np.column_stack([x, y, frame * spread])
    pairs = cKDTree(points).query_pairs(tolerance_px, output_type="ndarray")
    assert strip.tile is not None
    view, confidence = strip.tile.numpy(), strip.confidence.numpy()
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
        best = max(members, key=lambda i: (own[i], confidence[i], -i))
        keep[members] = False
        keep[best] = True
    return keep
