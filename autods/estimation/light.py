"""The light of a movie's emitters: photons above the background of its scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera
from autods.estimation.scene import Scene
from autods.io.base import Movie


class LightMovie(Movie):
    """Photons of a movie above its background, float32; noise like the rest on pixels that measure no light.

    Parameters
    ----------
    scene
        The scene; its movie is not closed with this.
    camera
        Turns camera values into photons; its maps are of the movie's shape.
    start, stop
        Range of the movie's frames; None for all.
    """

    def __init__(self, scene: Scene, camera: Camera, start: int = 0, stop: int | None = None) -> None:
        movie = scene.movie
        stop = movie.shape[0] if stop is None else stop
        super().__init__(movie.path, (stop - start, *movie.shape[1:]), np.dtype(np.float32), movie.metadata)
        self.scene, self.camera, self.first_frame = scene, camera, start

    def background(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the background (t, Y, X) of frames ``start`` to ``stop``, photons."""
        return np.asarray(
            self.camera.to_photons(self.scene(*self._of_movie(start, stop)).background), np.float32
        )

    def noise(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the standard deviation (t, Y, X) of the noise without emitters, photons; NaN where a pixel
        measures no light.
        """
        backdrop = self.scene(*self._of_movie(start, stop))
        return np.where(backdrop.valid, backdrop.noise * np.float32(self.camera.photons_per_adu), np.nan)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        first, last = self._of_movie(start, stop)
        frames = self.scene.movie.read(first, last)
        backdrop = self.scene(first, last, frames)
        return backdrop.whiten(frames, first) * backdrop.noise * np.float32(self.camera.photons_per_adu)

    def _of_movie(self, start: int, stop: int) -> tuple[int, int]:
        return start + self.first_frame, min(stop, self.shape[0]) + self.first_frame
