"""Dividing the field into patches: even cores that cover it once, in windows that overlap by a margin.

A tile is plain data. Windows may reach beyond the frame; `cut` fills them by mirroring the frame about its
outer border (the border pixel is repeated), as often as needed, so that any field serves, however small.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import UserError

logger = logging.getLogger(__name__)

#: Side of a patch, um: the smallest sensible, and the range within which the paper selects models well.
MIN_PATCH_UM = 2.5
GOOD_PATCH_UM = (6.5, 14.9)

Box = tuple[int, int, int, int]
Frames = TypeVar("Frames", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class Tile:
    """One patch of the field.

    Parameters
    ----------
    index, row, col
        Position in the list and in the grid of patches.
    core
        ``(y0, x0, y1, x1)``, half-open, pixels of the field: what this patch answers for.
    window
        ``(y0, x0, y1, x1)``: what the network sees; contains the core and may reach beyond the field.
    """

    index: int
    row: int
    col: int
    core: Box
    window: Box

    @property
    def core_shape(self) -> tuple[int, int]:
        """Height and width of the core, px."""
        return self.core[2] - self.core[0], self.core[3] - self.core[1]

    @property
    def window_shape(self) -> tuple[int, int]:
        """Height and width of the window, px."""
        return self.window[2] - self.window[0], self.window[3] - self.window[1]


def patch_size_px(patch_um: float, pixel_size_nm: float) -> float:
    """Convert the wanted side of a patch from um to (fractional) pixels.

    Raises
    ------
    UserError
        If the side is below the smallest sensible 2.5 um.
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


def tile_field(
    shape_px: tuple[int, int], patch_px: float, margin_px: int, *, multiple: int = 1
) -> tuple[Tile, ...]:
    """Divide a field into patches, row by row.

    Parameters
    ----------
    shape_px
        Height and width of the field, px.
    patch_px
        Wanted side of a patch's core, px; the even split nearest to it is taken along each axis.
    margin_px
        Context around the core that the window holds at least.
    multiple
        The window's sides are rounded up to a multiple of this, at the bottom and the right.

    Returns
    -------
    tuple of Tile
        Cores cover each pixel exactly once; all windows have the same shape, so that patches batch.

    Raises
    ------
    ValueError
        If a size is not positive or the margin negative.
    """
    if min(shape_px) < 1 or patch_px <= 0 or margin_px < 0 or multiple < 1:
        raise ValueError(
            f"cannot tile a field of {shape_px} px by {patch_px} px, margin {margin_px}, multiple {multiple}"
        )
    rows, cols = (split_evenly(length, patch_px) for length in shape_px)
    height, width = (
        -(-(int(np.diff(edges).max()) + 2 * margin_px) // multiple) * multiple for edges in (rows, cols)
    )
    tiles: list[Tile] = []
    for row, (y0, y1) in enumerate(itertools.pairwise(rows)):
        for col, (x0, x1) in enumerate(itertools.pairwise(cols)):
            top, left = y0 - margin_px, x0 - margin_px
            window = (top, left, top + height, left + width)
            tiles.append(Tile(len(tiles), row, col, (y0, x0, y1, x1), window))
    return tuple(tiles)


def mirror_index(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Return the pixels of a line of ``length`` that stand for positions ``start`` to ``stop`` (excluded).

    Positions outside are mirrored about the line's outer borders, however far outside they lie.
    """
    folded = np.arange(start, stop, dtype=np.int64) % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def cut(frames: Frames, box: Box) -> Frames:
    """Cut ``(y0, x0, y1, x1)`` out of frames (..., Y, X), mirrored where the box reaches beyond the frame."""
    y = mirror_index(box[0], box[2], frames.shape[-2])
    x = mirror_index(box[1], box[3], frames.shape[-1])
    if isinstance(frames, torch.Tensor):
        rows = frames.index_select(-2, torch.from_numpy(y).to(frames.device))
        return rows.index_select(-1, torch.from_numpy(x).to(frames.device))
    return frames[..., y[:, None], x[None, :]]


def core_boxes(tiles: Sequence[Tile]) -> NDArray[np.int64]:
    """Return the cores as an (n, 4) array of ``y0, x0, y1, x1``."""
    return np.array([tile.core for tile in tiles], np.int64).reshape(-1, 4)
