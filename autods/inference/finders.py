"""What finds emitters in depth, of frames of any size."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from autods.inference.localizer import Localizer
from autods.representation import Detections


class Finder(Protocol):
    """A network that places emitters in depth."""

    #: Context that a tile needs, px, and a block, frames before and after.
    margin_px: int
    neighbours: int
    #: Smallest confidence.
    threshold: float

    def with_threshold(self, threshold: float) -> Finder:
        """Return the same network with another smallest confidence."""
        ...

    def find(self, frames: Tensor, variance: Tensor, own: slice | None = None) -> Detections:
        """Find emitters in photons without background (T, Y, X), of noise of that variance.

        Where frames follow each other in time, ``own`` says which of them are searched, counted from the
        first of these; None searches all, each by itself.
        """
        ...

    def at(self, x_nm: float, y_nm: float) -> Finder:
        """Return what finds emitters round a place of the full frame."""
        ...


class TrainedFinder:
    """A network trained for the PSF and noise of the movie, which it therefore is not told."""

    neighbours = 0

    def __init__(self, localizer: Localizer) -> None:
        self._localizer = localizer
        self.margin_px, self.threshold = localizer.margin_px // 2, localizer.threshold

    def with_threshold(self, threshold: float) -> TrainedFinder:
        """See `Finder`."""
        return TrainedFinder(self._localizer.with_threshold(threshold))

    def find(self, frames: Tensor, variance: Tensor, own: slice | None = None) -> Detections:  # noqa: ARG002
        """See `Finder`."""
        return self._localizer.localize(frames if own is None else frames[own])

    def at(self, x_nm: float, y_nm: float) -> TrainedFinder:  # noqa: ARG002
        """See `Finder`."""
        return self
