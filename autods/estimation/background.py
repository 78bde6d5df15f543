"""Removal of the static and slowly changing background, streamed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.io.base import BaseMovie, Movie

#: Knots kept in memory; reading onwards needs two at a time.
_CACHED_KNOTS = 4
#: Frames' values that are sorted at once, to bound the memory.
_SORTED_VALUES = 20_000_000


class BackgroundRemovedMovie(BaseMovie):
    """A movie without its background, float32, in the units of the original above it.

    The background of a pixel is a low percentile of its values (0: the minimum) over blocks of frames, taken
    as its value in the middle of the block and linear in time in between, so that nothing jumps where two
    blocks meet. Before the middle of the first block and after that of the last it is constant; a movie
    shorter than a block has one background.

    A percentile of noisy values lies below their mean: a constant, positive rest stays in all pixels alike.

    Parameters
    ----------
    movie
        The original, which is not closed with this.
    block
        Frames a block, about: the movie is divided evenly.
    percentile
        0-100; the share of dark frames that every pixel is expected to have.

    Raises
    ------
    UserError
        If the block or the percentile is out of range.
    """

    def __init__(self, movie: Movie, block: int = 100, percentile: float = 5.0) -> None:
        if block < 1 or not 0 <= percentile <= 100:
            raise UserError(
                f"background: a block of {block} frames and percentile {percentile}:"
                " give at least 1 frame and a percentile of 0 to 100"
            )
        super().__init__(movie.path, movie.shape, np.dtype(np.float32), movie.metadata)
        n_frames = movie.shape[0]
        self._movie = movie
        self.percentile = percentile
        self.edges = np.linspace(0, n_frames, max(1, round(n_frames / block)) + 1).round().astype(int)
        self.centres = 0.5 * (self.edges[:-1] + self.edges[1:] - 1)
        self._knots: OrderedDict[int, NDArray[np.float32]] = OrderedDict()

    def background(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the background (t, Y, X) of frames ``start`` to ``stop``, in the original's unit."""
        stop = min(stop, self.shape[0])
        time = np.arange(start, stop, dtype=np.float64)
        right = np.searchsorted(self.centres, time).clip(0, len(self.centres) - 1)
        left = np.maximum(right - 1, 0)
        span = np.maximum(self.centres[right] - self.centres[left], 1e-9)
        weight = ((time - self.centres[left]) / span).clip(0, 1).astype(np.float32)
        out = np.empty((len(time), *self.shape[1:]), np.float32)
        for index, (a, b, w) in enumerate(zip(left.tolist(), right.tolist(), weight, strict=True)):
            out[index] = self._knot(a) if a == b else (1 - w) * self._knot(a) + w * self._knot(b)
        return out

    def close(self) -> None:
        """Forget the backgrounds; the original stays open."""
        self._knots.clear()

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        frames = self._movie.read(start, stop)
        return np.asarray(frames, np.float32) - self.background(start, stop)

    def _knot(self, index: int) -> NDArray[np.float32]:
        """Background (Y, X) of a block."""
        if index not in self._knots:
            frames = self._movie.read(int(self.edges[index]), int(self.edges[index + 1]))
            self._knots[index] = low_percentile(frames, self.percentile)
            if len(self._knots) > _CACHED_KNOTS:
                self._knots.popitem(last=False)
        return self._knots[index]


def low_percentile(frames: NDArray[Any], percentile: float) -> NDArray[np.float32]:
    """Percentile (Y, X) over time of frames (T, Y, X), a few rows at a time."""
    n_frames, height, width = frames.shape
    rows = max(1, _SORTED_VALUES // (n_frames * width))
    parts = []
    for top in range(0, height, rows):
        values = frames[:, top : top + rows].astype(np.float32)
        parts.append(values.min(0) if percentile == 0 else np.percentile(values, percentile, axis=0))
    return np.concatenate(parts).astype(np.float32)
