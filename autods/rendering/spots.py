"""Many localizations in a picture of the screen, as quickly as the eye allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from autods.rendering.gaussian import CUTOFF, render_gaussian

#: Above this number of pixels to be added, spots of similar width are drawn together by blurring counts.
_DIRECT_PIXELS = 200_000
#: Ratio of widths that are drawn together.
_RATIO = 2.0
#: Up to this side, pixels, a picture is blurred by two products with a matrix.
_MATRIX_PX = 512
#: Of larger ones, from this width on, pixels, three running means stand for a Gaussian.
_BOXES_FROM_PX = 3.0

Floats = NDArray[np.float32]


def render_spots(
    x: Floats,
    y: Floats,
    sigma_x: Floats,
    sigma_y: Floats,
    shape: tuple[int, int],
    values: Sequence[Floats] = (),
) -> Floats:
    """Draw Gaussians of sum 1; many of them with widths and places rounded, which no eye sees.

    Widths within a factor of two are drawn as their median, places are rounded to whole pixels: about the
    picture of `render_gaussian`, at a cost that depends on the size of the picture. Returns (1 + len(values),
    Y, X) float32.

    Parameters
    ----------
    x, y
        (N,) places in pixels, origin at the outer corner of the first pixel.
    sigma_x, sigma_y
        (N,) standard deviations, pixels, positive.
    shape
        Rows and columns.
    values
        Each (N,): what is drawn besides in the same places, with these sums.
    """
    height, width = shape
    reach_x, reach_y = CUTOFF * sigma_x, CUTOFF * sigma_y
    near = (x > -reach_x) & (y > -reach_y) & (x < width + reach_x) & (y < height + reach_y)
    x, y, sigma_x, sigma_y = x[near], y[near], sigma_x[near], sigma_y[near]
    weights = [None, *(value[near] for value in values)]
    if not len(x):
        return np.zeros((len(weights), *shape), np.float32)
    cost = float(((2 * CUTOFF * sigma_x + 2) * (2 * CUTOFF * sigma_y + 2)).sum())
    draw = _direct if cost < _DIRECT_PIXELS else _blurred
    return draw(x, y, sigma_x, sigma_y, shape, weights)


def blur(image: Floats, sigma: tuple[float, float], margin: int = 0) -> Floats:
    """Blur (..., Y, X) by a Gaussian of these standard deviations, pixels, and cut a margin off.

    Beyond the edges there is nothing.
    """
    height, width = image.shape[-2:]
    if max(height, width) <= _MATRIX_PX:
        down, across = (_blurring(size, sigma[axis], margin) for axis, size in enumerate((height, width)))
        return np.asarray(down @ image @ across.T, np.float32)
    for axis, width_px in zip((-2, -1), sigma, strict=True):
        image = _filtered(image, width_px, axis)
    return image[..., margin : height - margin, margin : width - margin]


def _blurring(size: int, sigma: float, margin: int) -> Floats:
    """Return the matrix that blurs a line of pixels: on tiles a product is quicker than any filter."""
    inside = size - 2 * margin
    reach = int(CUTOFF * sigma + 0.5)
    one = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    # Room on both sides for the shifts of the first and the last line.
    kernel = np.pad((one / one.sum()).astype(np.float32), size)
    first = size + reach - margin - inside + 1
    lines = np.lib.stride_tricks.sliding_window_view(kernel[first : first + inside + size - 1], size)[::-1]
    return np.ascontiguousarray(lines)


def _filtered(image: Floats, sigma: float, axis: int) -> Floats:
    if sigma < _BOXES_FROM_PX:
        narrow: Floats = gaussian_filter1d(image, sigma, axis, mode="constant", truncate=CUTOFF)
        return narrow
    # W. M. Wells, "Efficient synthesis of Gaussian filters by cascaded uniform filters" (1986): the variance
    # of three means of odd lengths comes as near as it can to that of the Gaussian.
    ideal = np.sqrt(4 * sigma**2 + 1)
    short = int((ideal - 1) // 2) * 2 + 1
    n_short = round((12 * sigma**2 - 3 * short**2 - 12 * short - 9) / (-4 * short - 4))
    for number in range(3):
        image = uniform_filter1d(image, short if number < n_short else short + 2, axis, mode="constant")
    return image


def _direct(
    x: Floats,
    y: Floats,
    sigma_x: Floats,
    sigma_y: Floats,
    shape: tuple[int, int],
    weights: Sequence[Floats | None],
) -> Floats:
    # Those beyond the edge reach in, too.
    margin = int(np.ceil(CUTOFF * max(float(sigma_x.max()), float(sigma_y.max())))) + 1
    wide = (float(shape[0] + 2 * margin), float(shape[1] + 2 * margin))
    images = [
        render_gaussian(x + margin, y + margin, sigma_x, wide, 1.0, weight, sigma_y) for weight in weights
    ]
    return np.stack(images)[:, margin : margin + shape[0], margin : margin + shape[1]]


def _blurred(
    x: Floats,
    y: Floats,
    sigma_x: Floats,
    sigma_y: Floats,
    shape: tuple[int, int],
    weights: Sequence[Floats | None],
) -> Floats:
    """Count the spots of similar width per pixel and blur the counts."""
    images = np.zeros((len(weights), *shape), np.float32)
    group = np.log2(np.maximum(sigma_x, sigma_y)) / np.float32(np.log2(_RATIO))
    # Below a pixel all widths look alike.
    number = np.maximum(np.floor(group), 0).astype(np.int8)
    for first in np.flatnonzero(np.bincount(number)):
        rows = number == first
        sigma = (float(np.median(sigma_y[rows])), float(np.median(sigma_x[rows])))
        margin = int(np.ceil(CUTOFF * max(sigma))) + 1
        height, width = shape[0] + 2 * margin, shape[1] + 2 * margin
        column = np.floor(x[rows]).astype(np.int32) + margin
        row = np.floor(y[rows]).astype(np.int32) + margin
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = row[inside] * width + column[inside]
        counts = np.empty((len(weights), height, width), np.float32)
        for plane, weight in zip(counts, weights, strict=True):
            chosen = None if weight is None else weight[rows][inside]
            plane[:] = np.bincount(index, chosen, minlength=height * width).reshape(height, width)
        images += blur(counts, sigma, margin)
    return images
