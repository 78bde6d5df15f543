"""A movie in photons, whatever its camera."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera
from autods.io.base import BaseMovie, Movie


def repair(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return frames (T, Y, X) as float32, values that are not finite replaced by their frame's median."""
    values = np.asarray(frames, np.float32)
    valid = np.isfinite(values)
    if valid.all():
        return values
    values = values.copy()
    for frame, good in zip(values, valid, strict=True):
        frame[~good] = np.median(frame[good]) if good.any() else 0.0
    return values


class PhotonMovie(BaseMovie):
    """Frames of a movie as photons, float32; values that are not finite are replaced.

    Parameters
    ----------
    movie
        The movie in camera values; not closed with this.
    camera
        The camera, its maps of the movie's shape.
    """

    def __init__(self, movie: Movie, camera: Camera) -> None:
        super().__init__(movie.path, movie.shape, np.dtype(np.float32), movie.metadata)
        self._movie, self._camera = movie, camera

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.asarray(self._camera.to_photons(repair(self._movie.read(start, stop))), np.float32)
