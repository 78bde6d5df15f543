"""Depth as colour."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from autods.rendering.gaussian import render_gaussian
from autods.rendering.histogram import FloatArray

#: Lightness and chroma of the palette in OKLCH, and its hues (degrees) from the lowest to the highest z: the
#: largest chroma that a screen can show at every one of these hues.
_LIGHTNESS, _CHROMA, _HUES = 0.75, 0.125, (264.0, 25.0)

#: From OKLab to the cube roots of the cone responses, and from these to linear-light sRGB.
_LAB_TO_CONE = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_CONE_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def depth_palette(n_colors: int = 256) -> NDArray[np.float64]:
    """Return colours from blue (low) over green to red (high), all equally light.

    Equal lightness keeps the brightness of a picture for the number of localizations, and equal steps of hue
    look equal. Colour space: B. Ottosson, "A perceptual color space for image processing" (2020). Returns
    (n_colors, 3) linear-light RGB, 0-1.

    Examples
    --------
    >>> depth_palette(256).shape
    (256, 3)
    """
    hue = np.deg2rad(np.linspace(*_HUES, n_colors))
    lab = np.stack([np.full(n_colors, _LIGHTNESS), _CHROMA * np.cos(hue), _CHROMA * np.sin(hue)], 1)
    rgb: NDArray[np.float64] = (lab @ _LAB_TO_CONE.T) ** 3 @ _CONE_TO_RGB.T
    return np.clip(rgb, 0, 1)


def depth_color(z_nm: FloatArray, z_range_nm: tuple[float, float]) -> NDArray[np.float64]:
    """Give each depth its colour.

    Returns (N, 3) linear-light RGB, 0-1. Raises `ValueError` if the range is empty.

    Parameters
    ----------
    z_nm
        (N,) depths, nm; outside the range they get the colour of its end.
    z_range_nm
        Depths of the first and the last colour, nm.
    """
    low, high = z_range_nm
    if not high > low:
        raise ValueError(f"z range {low} to {high} nm is empty")
    palette = depth_palette()
    level = (np.nan_to_num(np.asarray(z_nm, np.float64), nan=low) - low) / (high - low) * (len(palette) - 1)
    return palette[np.clip(np.rint(level), 0, len(palette) - 1).astype(np.int64)]


def render_depth(
    x_nm: FloatArray,
    y_nm: FloatArray,
    z_nm: FloatArray,
    sigma_nm: FloatArray | float,
    shape_nm: tuple[float, float],
    pixel_size_nm: float,
    z_range_nm: tuple[float, float],
) -> NDArray[np.float32]:
    """Draw localizations in the colour of their depth; overlapping colours add as light does.

    Returns (Y, X, 3) float32, linear light, unbounded; `to_preview` makes a picture of it.

    Parameters
    ----------
    x_nm, y_nm, z_nm
        (N,) positions in nm.
    sigma_nm
        Lateral standard deviation in nm, of each or of all.
    shape_nm
        (height, width) of the field, nm.
    pixel_size_nm
        Side of a pixel of the image, nm.
    z_range_nm
        Depths of the first and the last colour, nm.
    """
    colors = depth_color(z_nm, z_range_nm)
    planes = [render_gaussian(x_nm, y_nm, sigma_nm, shape_nm, pixel_size_nm, colors[:, i]) for i in range(3)]
    return np.stack(planes, -1)


#: Of the pixels that are not empty, shown at full brightness.
_PERCENTILE = 99.5


def two_colors(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float32]:
    """Show two images in magenta and green, each to its own full brightness; where both are, it is white.

    Magenta and green differ for colour-blind eyes too. Returns (Y, X, 3) float32 linear light, 0-1.

    Parameters
    ----------
    first, second
        (Y, X) images of one field.
    """
    levels = []
    for image in (first, second):
        lit = image[image > image.max(initial=0) * 1e-6]
        white = float(np.percentile(lit, _PERCENTILE)) if lit.size else 1.0
        levels.append(np.clip(image / max(white, 1e-30), 0, 1).astype(np.float32))
    magenta, green = levels
    return np.stack([magenta, green, magenta], -1)


@cache
def _light_palette() -> NDArray[np.float32]:
    return depth_palette().astype(np.float32)


def in_depth_colors(counts: NDArray[np.float32], depths: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give counts (Y, X) the colour of their mean depth.

    Returns (Y, X, 3) float32, linear light.

    Parameters
    ----------
    counts, depths
        (Y, X) localizations in a pixel, and the sum of their depths in parts of the range, 0 to 1.
    """
    palette = _light_palette()
    level = depths / np.maximum(counts, np.float32(1e-9))
    level *= np.float32(len(palette) - 1)
    level += np.float32(0.5)
    np.clip(level, 0, len(palette) - 1, out=level)
    light: NDArray[np.float32] = np.take(palette, level.astype(np.uint8), axis=0)
    light *= counts[..., None]
    return light
