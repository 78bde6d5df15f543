"""Looking at movies: frames with contrast, and what was found in them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.core.grid import nm_to_px
from autods.io.movie import Movie

Range = tuple[float, float]
#: Frames whose values set the limits of the contrast, and bytes that a projection may read.
_CONTRAST_FRAMES, _MOST_BYTES = 5, 400e6


def contrast_limits(movie: Movie) -> Range:
    """Return the grey values of black and white that suit the first frames of a movie."""
    frames = movie.read(0, min(_CONTRAST_FRAMES, movie.shape[0]))
    low, high = np.nanpercentile(frames, (0.5, 99.8))
    return float(low), float(high if high > low else low + 1)


def frame_picture(movie: Movie, t: int, limits: Range, *, projected: int = 1) -> NDArray[np.uint8]:
    """Draw a frame, or the brightest value of several, in grey.

    Returns (Y, X, 3) uint8. Raises `UserError` if the frame is not in the movie.
    """
    n_frames = movie.shape[0]
    if not 0 <= t < n_frames:
        raise UserError(f"{movie.path} has frames 0 to {n_frames - 1}: {t} is none of them")
    # So many frames at most that a large sensor does not fill the memory.
    most = max(int(_MOST_BYTES // (4 * movie.shape[1] * movie.shape[2])), 1)
    frames = movie.read(t, min(t + min(projected, most), n_frames)).astype(np.float32)
    low, high = limits
    span = high - low if high > low and math.isfinite(high - low) else 1.0
    level = np.clip((np.nan_to_num(frames.max(0)) - low) / span, 0, 1)
    grey = np.rint(level * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Encode a picture (Y, X, 3) as PNG."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def marks(
    table: LocalizationTable, frame: int, threshold: float, pixel_size_nm: float
) -> tuple[list[float], int]:
    """Return what to draw over a frame: x0, y0, x1, y1, ... in pixels, corner origin; and how many in all.

    Parameters
    ----------
    table
        Localizations of a few frames, found with a low threshold.
    frame
        The frame that is shown.
    threshold
        Least confidence.
    pixel_size_nm
        Camera pixel, nm.
    """
    sure = table.select(table.confidence >= threshold)
    shown = sure.select(sure.frame == frame)
    xy = np.stack([shown.x_nm, shown.y_nm], axis=1)
    return nm_to_px(xy, pixel_size_nm).ravel().tolist(), len(sure)


def highest_confidence(table: LocalizationTable) -> float:
    """Return the highest confidence of a table; 1 for an empty one."""
    return float(table.confidence.max(initial=0.1)) if len(table) else 1.0
