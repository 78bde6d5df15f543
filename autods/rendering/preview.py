"""Previews of reconstructions: contrast, colour map and scale bar."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autods.rendering.color import depth_palette

if TYPE_CHECKING:
    from PIL import ImageFont

#: Share of the picture's width that a scale bar should have at most.
_BAR_SHARE = 0.25
#: A pixel above this part of full brightness is seen; a picture should have this share of them at least, for
#: which spots are widened up to this part of its side (standard deviation).
_VISIBLE, _LEAST_SHARE, _WIDEST = 0.1, 0.01, 1 / 500
#: Of the non-empty pixels, shown at full brightness.
_PERCENTILE = 99.5
#: Pictures below this many pixels a side are enlarged.
_MIN_SIDE = 256
_SRGB_STEPS = 65535


def to_preview(
    image: NDArray[np.floating],
    pixel_size_nm: float | None = None,
    *,
    max_side: int = 2048,
    z_range_nm: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Turn a rendered image into an 8-bit picture with a scale bar.

    Contrast ends at a percentile of the pixels that are not empty, since most of a localization image is.
    Where so few are lit that nobody would see them, the spots are drawn wider. Returns (Y, X, 3) uint8.

    Parameters
    ----------
    image
        (Y, X) values of at least 0, or (Y, X, 3) linear light.
    pixel_size_nm
        Side of a pixel, nm; None draws no bar.
    max_side
        Larger images are averaged down.
    z_range_nm
        Depths of the first and the last colour, for a legend, nm; None draws none.
    """
    shown, scale = _resize(np.nan_to_num(np.asarray(image, np.float32)), max_side)
    shown = _widened(shown, white_level(shown, _PERCENTILE))
    picture = shaded(shown, white_level(shown, _PERCENTILE))
    return with_scale(picture, None if pixel_size_nm is None else pixel_size_nm * scale, z_range_nm)


def shaded(image: NDArray[np.floating], white: float, colormap: str = "inferno") -> NDArray[np.uint8]:
    """Give light its colours on the screen.

    Returns (Y, X, 3) uint8.

    Parameters
    ----------
    image
        See `to_preview`.
    white
        Value of full brightness.
    colormap
        Matplotlib's name of a map, for (Y, X).
    """
    if image.ndim == 2:
        index, palette = indexed(image, white, colormap)
        return palette[index]
    scaled = np.asarray(image, np.float32) * np.float32(_SRGB_STEPS / max(white, 1e-30))
    np.clip(scaled, 0, _SRGB_STEPS, out=scaled)
    scaled += np.float32(0.5)
    picture: NDArray[np.uint8] = np.take(_srgb_table(), scaled.astype(np.uint16))
    return picture


def indexed(
    image: NDArray[np.floating], white: float, colormap: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (Y, X) indices of colours and the (256, 3) colours: what `shaded` shows, a third as large."""
    level = np.clip(np.asarray(image, np.float32) * np.float32(255 / max(white, 1e-30)), 0, 255)
    return np.rint(level).astype(np.uint8), _palette(colormap)


def with_scale(
    picture: NDArray[np.uint8], pixel_size_nm: float | None, z_range_nm: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """Draw a scale bar and the legend of depth into a picture (Y, X, 3); None leaves one out."""
    if z_range_nm is not None:
        picture = _with_legend(picture, z_range_nm)
    return picture if pixel_size_nm is None else _with_bar(picture, pixel_size_nm)


def _brightness(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image.max(-1) if image.ndim > 2 and image.shape[-1] == 3 else image


def white_level(image: NDArray[np.float32], percentile: float = 99.5) -> float:
    """Return the value shown at full brightness: a percentile of the pixels that are not empty.

    Parameters
    ----------
    image
        (..., Y, X) values, or (..., Y, X, 3) light.
    percentile
        Of the lit pixels.

    Examples
    --------
    >>> import numpy as np
    >>> white_level(np.array([[0, 0, 1, 2, 100]], np.float32), percentile=50.0)
    2.0
    """
    brightness = _brightness(image)
    lit = brightness[brightness > brightness.max(initial=0) * 1e-6]
    return float(np.percentile(lit, percentile)) if lit.size else 1.0


def _widened(image: NDArray[np.float32], white: float) -> NDArray[np.float32]:
    """Blur an image of which hardly any pixel is lit, up to a small share of its side."""
    share = float((_brightness(image) > _VISIBLE * white).mean())
    if share == 0 or share >= _LEAST_SHARE:
        return image
    sigma = min(math.sqrt(_LEAST_SHARE / share) - 1, max(image.shape[:2]) * _WIDEST)
    if sigma < 1:
        return image
    # A single very bright spot would outshine all others.
    clipped = np.minimum(image, white)
    return np.asarray(gaussian_filter(clipped, (sigma, sigma, 0)[: image.ndim], truncate=3.0), np.float32)


def round_length_nm(longest_nm: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50, ... nm that is not above a length.

    Examples
    --------
    >>> round_length_nm(1730.0), round_length_nm(900.0)
    (1000.0, 500.0)
    """
    power = 10.0 ** math.floor(math.log10(longest_nm))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= longest_nm * (1 + 1e-9))


def _resize(image: NDArray[np.float32], max_side: int) -> tuple[NDArray[np.float32], float]:
    """Average blocks of a large image or repeat the pixels of a small one; also the new pixel in old ones."""
    side = max(image.shape[:2])
    if side < _MIN_SIDE:
        factor = -(-_MIN_SIDE // side)
        return image.repeat(factor, 0).repeat(factor, 1), 1 / factor
    factor = -(-side // max_side)
    if factor == 1:
        return image, 1.0
    rest = [(-length) % factor for length in image.shape[:2]]
    padded = np.pad(image, [(0, rest[0]), (0, rest[1])] + [(0, 0)] * (image.ndim - 2))
    rows, columns = (length // factor for length in padded.shape[:2])
    blocks = padded.reshape(rows, factor, columns, factor, *image.shape[2:])
    return blocks.mean((1, 3)), float(factor)


@cache
def _palette(colormap: str) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    palette: NDArray[np.uint8] = np.rint(colormaps[colormap](np.linspace(0, 1, 256))[:, :3] * 255).astype(
        np.uint8
    )
    return palette


@cache
def _srgb_table() -> NDArray[np.uint8]:
    """Return the 8-bit values of linear light in fine steps: looking up is quicker than a power."""
    levels = np.linspace(0, 1, _SRGB_STEPS + 1, dtype=np.float32)
    return np.rint(_to_srgb(levels) * 255).astype(np.uint8)


def _to_srgb(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode linear light for the screen (IEC 61966-2-1)."""
    return np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)


def _with_legend(picture: NDArray[np.uint8], z_range_nm: tuple[float, float]) -> NDArray[np.uint8]:
    """Draw the colours of depth with both ends into the lower left corner."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    margin, long, thick = max(width // 40, 2), max(width // 5, 20), max(height // 60, 3)
    colors = np.rint(_to_srgb(depth_palette(long).astype(np.float32)) * 255).astype(np.uint8)
    canvas = picture.copy()
    canvas[height - margin - thick : height - margin, margin : margin + long] = colors[None]
    drawn = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(drawn), _font(max(height // 36, 9))
    top = height - margin - 1.5 * thick
    low, high = z_range_nm
    draw.text((margin, top), f"z {low:.0f}", fill="white", font=font, anchor="lb")
    draw.text((margin + long, top), f"{high:.0f} nm", fill="white", font=font, anchor="rb")
    return np.asarray(drawn)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return a font that has the micro sign, which Pillow's own lacks."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _with_bar(picture: NDArray[np.uint8], pixel_size_nm: float) -> NDArray[np.uint8]:
    """Draw a white bar of round length with its label into the lower right corner."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    length_nm = round_length_nm(_BAR_SHARE * width * pixel_size_nm)
    length = max(round(length_nm / pixel_size_nm), 1)
    margin, thick = max(width // 40, 2), max(height // 120, 2)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    right, bottom = width - margin, height - margin
    draw.rectangle((right - length, bottom - thick, right - 1, bottom - 1), fill="white")
    label = f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"
    font = _font(max(height // 24, 10))
    draw.text((right - length / 2, bottom - 2 * thick), label, fill="white", font=font, anchor="mb")
    return np.asarray(canvas)
