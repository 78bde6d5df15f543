"""A movie in photons, whatever its camera."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera
from autods.io.movie import Movie, MovieMetadata
from autods.pipelines.streaming import repair


class PhotonMovie:
    """Frames of a movie as photons, float32; values that are not finite are replaced.

    Parameters
    ----------
    movie
        The movie in camera values; not closed with this.
    camera
        The camera, its maps of the movie's shape.
    """

    def __init__(self, movie: Movie, camera: Camera) -> None:
        self._movie, self._camera = movie, camera

    @property
    def path(self) -> Path:
        """File or folder of the original."""
        return self._movie.path

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        return self._movie.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(np.float32)

    @property
    def metadata(self) -> MovieMetadata:
        """What the original's file says."""
        return self._movie.metadata

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return frames (t, Y, X) in photons."""
        return np.asarray(self._camera.to_photons(repair(self._movie.read(start, stop))), np.float32)

    def close(self) -> None:
        """Do nothing: the original stays open."""

    def __enter__(self) -> PhotonMovie:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
