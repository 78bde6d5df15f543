"""How much denser it is where the emitters are than over the whole patch.

Structures fill a part of a patch only: the density that a network meets at the molecules is higher than the
patch's mean, two to four times on mitochondria-like samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autods.estimation.density import corrected_density
from autods.estimation.empty import is_empty
from autods.estimation.statistics import FrameStatistics

Box = tuple[int, int, int, int]

#: Side of the squares whose densities are compared, um, and at least, px: smaller ones cannot be measured.
SQUARE_UM, MIN_SQUARE_PX = 2.5, 12


def squares(box: Box, pixel_size_nm: float) -> list[Box]:
    """Divide a patch evenly into squares of about ``SQUARE_UM``; (y0, x0, y1, x1) in pixels, as given."""
    rows, columns = (
        _edges(start, stop, pixel_size_nm) for start, stop in ((box[0], box[2]), (box[1], box[3]))
    )
    return [(y0, x0, y1, x1) for y0, y1 in itertools.pairwise(rows) for x0, x1 in itertools.pairwise(columns)]


def _edges(start: int, stop: int, pixel_size_nm: float) -> list[int]:
    side_px = max(SQUARE_UM * 1e3 / pixel_size_nm, MIN_SQUARE_PX)
    n = max(1, round((stop - start) / side_px))
    n = max(1, min(n, (stop - start) // MIN_SQUARE_PX))
    return [int(edge) for edge in np.linspace(start, stop, n + 1)]


def measure_crowding(
    parts: Sequence[FrameStatistics], areas_px: Sequence[int], psf_sigma_px: float, pixel_size_nm: float
) -> float:
    """Return the mean density that an emitter meets over the mean density: 1 where they are evenly spread.

    Parameters
    ----------
    parts
        Statistics of the squares of a patch.
    areas_px
        Their pixels.
    psf_sigma_px
        PSF standard deviation, pixels.
    pixel_size_nm
        Camera pixel, nm.
    """
    density = np.array(
        [
            0.0
            if is_empty(part, area, psf_sigma_px)
            else corrected_density(part, psf_sigma_px, pixel_size_nm)
            for part, area in zip(parts, areas_px, strict=True)
        ]
    )
    return crowding(density, np.asarray(areas_px, np.float64))


def crowding(density: NDArray[np.float64], area: NDArray[np.float64]) -> float:
    """Return the emitters' mean of the density over the area's mean, at least 1; 1 without emitters."""
    emitters = float((density * area).sum())
    if not emitters > 0:
        return 1.0
    mean = emitters / float(area.sum())
    met = float((density**2 * area).sum()) / emitters
    return met / mean if math.isfinite(met) else 1.0
