"""The only place that converts between nm and pixels.

Positions in nm have their origin at the outer corner of pixel (0, 0). In corner pixels (``_px``) the centre
of pixel 0 is at 0.5; as an array index (``_index``) it is at 0, as in Picasso's tables.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

Coordinate = TypeVar("Coordinate", float, np.ndarray, torch.Tensor)

#: A region (y0, x0, y1, x1) of the frame, pixels, half-open.
Box = tuple[int, int, int, int]


def nm_to_px(position_nm: Coordinate, pixel_size_nm: float) -> Coordinate:
    """Nanometres to corner pixels (centre of pixel 0 at 0.5).

    >>> nm_to_px(150.0, 100.0)
    1.5
    """
    return position_nm / pixel_size_nm


def px_to_nm(position_px: Coordinate, pixel_size_nm: float) -> Coordinate:
    """Corner pixels (centre of pixel 0 at 0.5) to nanometres.

    >>> px_to_nm(0.5, 110.0)
    55.0
    """
    return position_px * pixel_size_nm


def nm_to_index(position_nm: Coordinate, pixel_size_nm: float) -> Coordinate:
    """Nanometres to a fractional array index (centre of pixel 0 at 0).

    >>> nm_to_index(150.0, 100.0)
    1.0
    """
    return position_nm / pixel_size_nm - 0.5


def index_to_nm(index: Coordinate, pixel_size_nm: float) -> Coordinate:
    """Fractional array index (centre of pixel 0 at 0) to nanometres.

    >>> index_to_nm(1.0, 100.0)
    150.0
    """
    return (index + 0.5) * pixel_size_nm
