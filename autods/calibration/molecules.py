"""Isolated blinking molecules, cut out of a movie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autods.core import UserError

#: Largest frames that are taken as ready cut-outs, one molecule each.
CUTOUT_PX = 41


def collect_molecules(
    movie: NDArray[np.floating], size_px: int = 15, max_molecules: int = 300, threshold: float = 8.0
) -> NDArray[np.float32]:
    """Cut isolated molecules out of a movie, or pass cut-outs through.

    Returns (N, S, S) cut-outs, S = `size_px` (or the frames' odd side). Raises `UserError` if fewer than 10
    isolated molecules are found.

    Parameters
    ----------
    movie
        (T, Y, X) frames; frames of at most 41 x 41 px are taken as cut-outs of one molecule each.
    size_px
        Side of a cut-out, odd, px; no other molecule may lie within this distance.
    max_molecules
        The brightest are kept.
    threshold
        Least height over the noise of the band-passed frame, in standard deviations.
    """
    if max(movie.shape[1:]) <= CUTOUT_PX:
        side = min(movie.shape[1:])
        side -= 1 - side % 2
        return np.asarray(movie[:max_molecules, :side, :side], np.float32)
    half = size_px // 2
    found: list[tuple[float, NDArray[np.float32]]] = []
    for frame in movie:
        for height, row, column in _isolated(np.asarray(frame, np.float64), half, threshold):
            cut = frame[row - half : row + half + 1, column - half : column + half + 1]
            found.append((height, np.asarray(cut, np.float32)))
    if len(found) < 10:
        raise UserError(
            f"insitu: {len(found)} isolated molecules in {len(movie)} frames are too few: give more frames"
            " or a smaller insitu.size_px"
        )
    found.sort(key=lambda item: -item[0])
    return np.stack([cut for _, cut in found[:max_molecules]])


def _isolated(frame: NDArray[np.float64], half: int, threshold: float) -> list[tuple[float, int, int]]:
    """Heights and pixels of bright maxima with no other within a cut-out's side, away from the borders."""
    band = ndimage.gaussian_filter(frame, 1.5) - ndimage.gaussian_filter(frame, 2.5 * half / 3)
    noise = 1.4826 * float(np.median(np.abs(band - np.median(band)))) or 1.0
    peaks = (band == ndimage.maximum_filter(band, 5)) & (band > 0.4 * threshold * noise)
    rows, columns = np.nonzero(peaks)
    out = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        inside = half <= row < frame.shape[0] - half and half <= column < frame.shape[1] - half
        near = (np.abs(rows - row) <= 2 * half) & (np.abs(columns - column) <= 2 * half)
        if inside and near.sum() == 1 and band[row, column] > threshold * noise:
            out.append((float(band[row, column]), row, column))
    return out
