"""Side views of three-dimensional localizations."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autods.rendering.gaussian import render_gaussian
from autods.rendering.histogram import FloatArray


def render_cross_section(
    x_nm: FloatArray,
    y_nm: FloatArray,
    z_nm: FloatArray,
    sigma_xy_nm: FloatArray | float,
    sigma_z_nm: FloatArray | float,
    shape_nm: tuple[float, float],
    z_range_nm: tuple[float, float],
    pixel_size_nm: float,
    plane: Literal["xz", "yz"] = "xz",
) -> NDArray[np.float32]:
    """Draw localizations seen from the side, z upwards: the first row is the top of the range.

    Returns (Z, X) or (Z, Y) float32. Raises `ValueError` if the z range is empty.

    Parameters
    ----------
    x_nm, y_nm, z_nm
        (N,) positions in nm.
    sigma_xy_nm, sigma_z_nm
        Lateral and axial standard deviation in nm, of each or of all.
    shape_nm
        (height, width) of the field, nm.
    z_range_nm
        Lowest and highest z of the picture, nm.
    pixel_size_nm
        Side of a pixel of the picture in both directions, nm.
    plane
        ``xz`` looks along y, ``yz`` along x.
    """
    low, high = z_range_nm
    if not high > low:
        raise ValueError(f"z range {low} to {high} nm is empty")
    across, extent = (x_nm, shape_nm[1]) if plane == "xz" else (y_nm, shape_nm[0])
    depth = high - np.asarray(z_nm, np.float64)
    return render_gaussian(
        across, depth, sigma_xy_nm, (high - low, extent), pixel_size_nm, sigma_y_nm=sigma_z_nm
    )
