"""Where a network has to look: places of frames at which light stands out of the noise.

A first pass correlates frames in units of their noise with the PSF. Maxima that an
emitter could have made are covered with windows; the rest of the field is noise, and costs nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.estimation.spots import blur
from autods.inference.significance import required_significance

#: Distance from a window's middle, along each axis, up to which pixels count as covered by it.
COVERED_PX = 3
#: Pixels of a whole patch that cost as much as one window, measured with and without half precision.
WINDOW_COST_PX = 350
#: Height from which noise is looked at in the first place.
LEAST_HEIGHT = 3.0
#: A place must be as significant as a localization, less this: the fit may find it a little higher.
_SLACK = 0.5


@dataclass(frozen=True)
class Places:
    """Middles of windows, arrays of length N, by frame."""

    #: Frame of the block and pixel.
    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    #: Response of the filter there, in units of its noise.
    height: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the places."""
        return len(self.frame)

    def select(self, rows: NDArray[np.generic]) -> Places:
        """Return the rows given by a mask (N,) or an index array (M,)."""
        return Places(self.frame[rows], self.row[rows], self.column[rows], self.height[rows])

    def are_alone(self, radius_px: float) -> NDArray[np.bool_]:
        """Tell (N,) which have no other of their frame within a radius, px."""
        if not len(self):
            return np.zeros(0, bool)
        # Frames lie far apart along a third axis.
        tree = cKDTree(np.column_stack([self.column, self.row, self.frame * 10 * radius_px]))
        return np.asarray(tree.query_ball_point(tree.data, radius_px, return_length=True) == 1)

    def within(self, box: tuple[int, int, int, int], reach_px: int) -> Places:
        """Return those within a box (y0, x0, y1, x1) or at most ``reach_px`` outside of it."""
        y0, x0, y1, x1 = box
        inside = (self.row >= y0 - reach_px) & (self.row < y1 + reach_px)
        return self.select(inside & (self.column >= x0 - reach_px) & (self.column < x1 + reach_px))


def correlate_psf(white: NDArray[np.float32], psf_sigma_px: float) -> NDArray[np.float32]:
    """Correlate frames (T, Y, X), in units of their noise, with the PSF: white noise stays so.

    The value at an emitter is its amplitude over its standard error, were it alone. The filter of
    `autods.estimation.spots.matched_filter` subtracts the surround, too; here the background is removed, and
    what is dim beside a bright emitter must not vanish.
    """
    response = blur(white, psf_sigma_px)
    reach = int(3 * psf_sigma_px + 0.5)
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / psf_sigma_px) ** 2)
    response *= np.float32(line.sum() ** 2 / (line**2).sum())
    return response


def find_places(response: NDArray[np.float32], least: float = LEAST_HEIGHT) -> Places:
    """Find the maxima beyond a height.

    Returns pixels that none of their eight neighbours exceeds; of equal ones the last.

    Parameters
    ----------
    response
        (T, Y, X) from `correlate_psf`.
    least
        Their height at least.
    """
    padded = np.pad(response, ((0, 0), (1, 1), (1, 1)))
    _, height, width = padded.shape
    flat = padded.ravel()
    pixel = np.flatnonzero(flat > least)
    for step in (1, width - 1, width, width + 1):
        pixel = pixel[flat[pixel] > flat[pixel + step]]
        pixel = pixel[flat[pixel] >= flat[pixel - step]]
    frame, rest = np.divmod(pixel, height * width)
    row, column = np.divmod(rest, width)
    return Places(frame, row - 1, column - 1, flat[pixel])


def cover(places: Places, shape: tuple[int, int, int]) -> Places:
    """Leave out places that lie within `COVERED_PX` of a higher one that stays: its window holds them."""
    reach = COVERED_PX
    _, height, width = (n + 2 * reach for n in shape)
    pixel = (places.frame * height + places.row + reach) * width + places.column + reach
    level = np.zeros((shape[0], height, width), np.float32)
    flat = level.ravel()
    flat[pixel] = places.height
    steps = [dy * width + dx for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    stays = np.zeros(len(places), bool)
    waiting = np.arange(len(places))
    while len(waiting):
        around = pixel[waiting]
        highest = np.zeros(len(waiting), np.float32)
        for step in steps:
            np.maximum(highest, flat[around + step], out=highest)
        middles = waiting[places.height[waiting] >= highest]
        stays[middles] = True
        for step in steps:
            flat[pixel[middles] + step] = 0
        waiting = waiting[flat[pixel[waiting]] > 0]
    return places.select(stays)


def promising(
    places: Places,
    expected_per_px: NDArray[np.float64],
    snr: NDArray[np.float64],
    shape: tuple[int, int, int],
    psf_sigma_px: float,
) -> NDArray[np.bool_]:
    """Tell (N,) at which places a localization could be significant enough to be kept.

    Parameters
    ----------
    places
        The places of a block.
    expected_per_px, snr, shape, psf_sigma_px
        See :func:`autods.inference.significance.required_significance`.
    """
    if not len(places):
        return np.zeros(0, bool)
    required = required_significance(
        places.column.astype(np.float64) + 0.5,
        places.row.astype(np.float64) + 0.5,
        places.height.astype(np.float64),
        expected_per_px,
        snr,
        shape,
        psf_sigma_px,
    )
    return np.asarray(places.height >= required - _SLACK, bool)
