"""Each localization as a Gaussian as wide as it is uncertain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from autods.rendering.histogram import FloatArray, image_shape, render_histogram

#: A Gaussian is cut off here, in standard deviations; the light that is left out (0.3 %) is given back.
CUTOFF = 3.0
#: Standard deviations outside this range, in pixels of the image, are set to its ends.
SIGMA_RANGE_PX = (0.2, 100.0)
#: Ratio of neighbouring widths that are drawn together.
_STEP = 1.1
#: From this width on, in pixels, a histogram may be filtered instead: its rounding does not show any more.
_FILTERED_FROM_PX = 2.5
#: Cost of drawing one value over that of filtering it once.
_COST_RATIO = 4.0
#: Values drawn at once.
_CHUNK = 1 << 21

_Column = NDArray[np.float64]


def render_gaussian(
    x_nm: FloatArray,
    y_nm: FloatArray,
    sigma_nm: FloatArray | float,
    shape_nm: tuple[float, float],
    pixel_size_nm: float,
    weights: FloatArray | None = None,
    sigma_y_nm: FloatArray | float | None = None,
) -> NDArray[np.float32]:
    """Draw each localization as a Gaussian integrated over the pixels, of sum 1 where it lies inside.

    Localizations of similar width are drawn together as patches, at their exact places; where many of them
    are wide, a histogram is filtered instead, which costs less. Returns (Y, X) float32.

    Parameters
    ----------
    x_nm, y_nm
        (N,) positions in nm, origin at the outer corner of the first pixel; those outside are left out.
    sigma_nm
        Standard deviation in nm, of each (N,) or of all; what is not a positive number is replaced by the
        median of those that are, or one pixel.
    shape_nm
        (height, width) of the field, nm.
    pixel_size_nm
        Side of a pixel of the image, nm.
    weights
        (N,) sum of each; None for 1.
    sigma_y_nm
        Standard deviation along y where it differs from that along x, nm.
    """
    height, width = image_shape(shape_nm, pixel_size_nm)
    x = np.asarray(x_nm, np.float64) / pixel_size_nm
    y = np.asarray(y_nm, np.float64) / pixel_size_nm
    sigma_x = _widths(np.asarray(sigma_nm) / pixel_size_nm, x.shape)
    sigma_y = sigma_x if sigma_y_nm is None else _widths(np.asarray(sigma_y_nm) / pixel_size_nm, x.shape)
    weight = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    columns = [values[inside] for values in (x, y, sigma_x, sigma_y, weight)]
    reach = _reach(max(columns[2].max(initial=0), columns[3].max(initial=0)))
    padded = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    for rows, widest in _groups(width, *columns[:4]):
        group = [values[rows] for values in columns]
        is_dense = len(rows) * CUTOFF * 2 * widest * _COST_RATIO > padded.size
        if is_dense and widest > _FILTERED_FROM_PX:
            _add_filtered(padded, reach, *group)
        else:
            _add_drawn(padded, reach, *group)
    return padded[reach : reach + height, reach : reach + width].copy()


def _groups(
    width: int, x: _Column, y: _Column, sigma_x: _Column, sigma_y: _Column
) -> Iterator[tuple[NDArray[np.intp], float]]:
    """Yield the rows of localizations of similar width, neighbours together, and their largest width."""
    sigma = np.maximum(sigma_x, sigma_y)
    order = np.argsort(np.floor(y).astype(np.int64) * width + np.floor(x).astype(np.int64))
    level = np.ceil(np.log(np.maximum(sigma[order], 1.0)) / np.log(_STEP)).astype(np.int16)
    order = order[np.argsort(level, kind="stable")]
    counts = np.bincount(level)
    for rows in np.split(order, np.cumsum(counts)[:-1]):
        if len(rows):
            yield rows, float(sigma[rows].max())


def _widths(sigma_px: FloatArray | float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a usable standard deviation of each."""
    sigma = np.broadcast_to(np.asarray(sigma_px, np.float64), shape).copy()
    usable = np.isfinite(sigma) & (sigma > 0)
    sigma[~usable] = np.median(sigma[usable]) if usable.any() else 1.0
    return np.clip(sigma, *SIGMA_RANGE_PX)


def _reach(sigma: float) -> int:
    """Return how many pixels beside its own a Gaussian may touch."""
    return int(np.ceil(CUTOFF * sigma + 0.5))


def _add_drawn(
    padded: NDArray[np.float32],
    margin: int,
    x: _Column,
    y: _Column,
    sigma_x: _Column,
    sigma_y: _Column,
    weight: _Column,
) -> None:
    """Add pixel-integrated Gaussians patch by patch."""
    reach_x, reach_y = _reach(sigma_x.max()), _reach(sigma_y.max())
    size_x, size_y = 2 * reach_x + 1, 2 * reach_y + 1
    stride = padded.shape[1]
    patch = (np.arange(size_y)[:, None] * stride + np.arange(size_x)).ravel()
    flat = padded.reshape(-1)
    chunk = max(_CHUNK // patch.size, 1)
    for start in range(0, len(x), chunk):
        part = slice(start, start + chunk)
        first_x, share_x = _shares(x[part], sigma_x[part], reach_x)
        first_y, share_y = _shares(y[part], sigma_y[part], reach_y)
        share_y *= weight[part].astype(np.float32)[:, None]
        values = share_y[:, :, None] * share_x[:, None, :]
        corner = (first_y + margin) * stride + first_x + margin
        np.add.at(flat, (corner[:, None] + patch).ravel(), values.ravel())


def _shares(centre: _Column, sigma: _Column, reach: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Integrate Gaussians over pixels along one axis: (N,) first pixel, (N, 2 reach + 1) shares of sum 1."""
    first = np.floor(centre).astype(np.int64) - reach
    edges = (np.arange(2 * reach + 2) + (first - centre)[:, None]) / sigma[:, None]
    share = np.diff(ndtr(edges.astype(np.float32)), axis=1)
    return first, share / share.sum(1, keepdims=True)


def _add_filtered(
    padded: NDArray[np.float32],
    margin: int,
    x: _Column,
    y: _Column,
    sigma_x: _Column,
    sigma_y: _Column,
    weight: _Column,
) -> None:
    """Add wide Gaussians: blur a histogram by their mean width."""
    height, width = padded.shape
    counts = render_histogram(x + margin, y + margin, (float(height), float(width)), 1.0, weight)
    sigma = (float(sigma_y.mean()), float(sigma_x.mean()))
    padded += gaussian_filter(counts, sigma, mode="constant", truncate=CUTOFF)
