"""Counting localizations per pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


def image_shape(shape_nm: tuple[float, float], pixel_size_nm: float) -> tuple[int, int]:
    """Return rows and columns of an image that covers a field (height, width) in nm.

    Raises `ValueError` if a size is not positive.

    Examples
    --------
    >>> image_shape((6400.0, 3210.0), 10.0)
    (640, 321)
    """
    if not (pixel_size_nm > 0 and min(shape_nm) > 0):
        raise ValueError(f"field {shape_nm} nm and pixel {pixel_size_nm} nm: both must be positive")
    # A field of 3200 nm has 320 pixels of 10 nm, also when the division gives 320.0000001.
    rows, columns = (max(math.ceil(length / pixel_size_nm - 1e-6), 1) for length in shape_nm)
    return rows, columns


def render_histogram(
    x_nm: FloatArray,
    y_nm: FloatArray,
    shape_nm: tuple[float, float],
    pixel_size_nm: float,
    weights: FloatArray | None = None,
) -> NDArray[np.float32]:
    """Count localizations in each pixel.

    Returns (Y, X) float32.

    Parameters
    ----------
    x_nm, y_nm
        (N,) positions in nm, origin at the outer corner of the first pixel; those outside do not count.
    shape_nm
        (height, width) of the field, nm.
    pixel_size_nm
        Side of a pixel of the image, nm.
    weights
        (N,) what each adds; None for 1.
    """
    height, width = image_shape(shape_nm, pixel_size_nm)
    column = np.floor(np.asarray(x_nm, np.float64) / pixel_size_nm)
    row = np.floor(np.asarray(y_nm, np.float64) / pixel_size_nm)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = row[inside].astype(np.int64) * width + column[inside].astype(np.int64)
    chosen = None if weights is None else np.asarray(weights, np.float64)[inside]
    image = np.bincount(index, chosen, minlength=height * width)
    return image.reshape(height, width).astype(np.float32)
