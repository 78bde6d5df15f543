"""Dividing the field into patches: even cores that cover it once, in windows that overlap by a margin.

A tile is plain data. Windows end at the border of the field: the networks are trained on frames that end, and
a mirrored margin would show them emitters that are not there.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.core.grid import Box
from autods.core.quantities import QUANTITIES

logger = logging.getLogger(__name__)

#: Side of a patch, um: the smallest sensible, and the range within which the paper selects models well.
MIN_PATCH_UM = QUANTITIES["patch_um"].low
GOOD_PATCH_UM = (6.5, 14.9)


@dataclass(frozen=True)
class Tile:
    """One patch of the field."""

    #: Position in the list and in the grid of patches.
    index: int
    row: int
    col: int
    #: ``(y0, x0, y1, x1)``, half-open, pixels of the field: what this patch answers for.
    core: Box
    #: ``(y0, x0, y1, x1)``: what the network sees; contains the core and lies within the field.
    window: Box


def patch_size_px(patch_um: float, pixel_size_nm: float) -> float:
    """Convert the wanted side of a patch from um to (fractional) pixels.

    Raises `UserError` if the side is below the smallest sensible 2.5 um.
    """
    if not patch_um >= MIN_PATCH_UM:
        raise UserError(f"tiling.patch_um is {patch_um}: give a side of at least {MIN_PATCH_UM} um")
    if not GOOD_PATCH_UM[0] <= patch_um <= GOOD_PATCH_UM[1]:
        logger.warning("tiling.patch_um is %g: %g to %g um select models best", patch_um, *GOOD_PATCH_UM)
    return patch_um * 1000.0 / pixel_size_nm


def split_evenly(length: int, target: float) -> list[int]:
    """Return the edges of the even split of ``length`` pixels whose parts are nearest ``target``.

    Parts differ by at most one pixel. For a target of 10 um they lie between 6.7 and 13.3 um, unless the
    whole length is shorter.
    """
    fewest = max(int(length // target), 1)
    parts = min((fewest, fewest + 1), key=lambda n: abs(length / n - target))
    parts = min(parts, length)
    return [length * i // parts for i in range(parts + 1)]


def tile_field(shape_px: tuple[int, int], patch_px: float, margin_px: int) -> tuple[Tile, ...]:
    """Divide a field into patches, row by row.

    Its cores cover each pixel exactly once. Raises `ValueError` if a size is not positive or the margin
    negative.

    Parameters
    ----------
    shape_px
        Height and width of the field, px.
    patch_px
        Wanted side of a patch's core, px; the even split nearest to it is taken along each axis.
    margin_px
        Context around the core that the window holds, where the field does not end before, px.
    """
    height, width = shape_px
    if min(shape_px) < 1 or patch_px <= 0 or margin_px < 0:
        raise ValueError(f"cannot tile a field of {shape_px} px by {patch_px} px, margin {margin_px}")
    rows, cols = (split_evenly(length, patch_px) for length in shape_px)
    tiles: list[Tile] = []
    for row, (y0, y1) in enumerate(itertools.pairwise(rows)):
        for col, (x0, x1) in enumerate(itertools.pairwise(cols)):
            top, left = max(y0 - margin_px, 0), max(x0 - margin_px, 0)
            window = (top, left, min(y1 + margin_px, height), min(x1 + margin_px, width))
            tiles.append(Tile(len(tiles), row, col, (y0, x0, y1, x1), window))
    return tuple(tiles)


def core_boxes(tiles: Sequence[Tile]) -> NDArray[np.int64]:
    """Return the cores as an (n, 4) array of ``y0, x0, y1, x1``."""
    return np.array([tile.core for tile in tiles], np.int64).reshape(-1, 4)
