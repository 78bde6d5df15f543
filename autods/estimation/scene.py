"""The scene under the emitters: background, noise and valid pixels of every pixel and frame of a movie.

The background is measured at knots, about two hundred frames apart, from a hundred of the frames on both
sides. In between it is linear in time, but for what the level of the whole movie does meanwhile. Its noise
follows from the camera where that is known, else from the differences between consecutive frames. Both are
maps, so that an uneven background, vignetting, a fixed pattern or noisy pixels are neither taken for emitters
nor hide them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.estimation.course import Course
from autods.estimation.knot import METHODS, Knot, Method, measure_knot, window_px
from autods.estimation.noise_model import NoiseModel
from autods.estimation.validity import Validity
from autods.io.base import Movie

__all__ = ["METHODS", "Backdrop", "Method", "NoiseModel", "Scene", "WhiteMovie"]

#: Frames between knots, about, and frames a knot looks at, as pairs of consecutive ones.
KNOT_FRAMES, SAMPLED_FRAMES = 200, 100
#: Values that are sorted at once: bounds the memory to some 100 MB.
_SORTED_VALUES = 12_000_000
#: Strips of a frame that are measured at once.
_MEASURED_AT_ONCE = 2
#: Knots of a sketch, for measuring a long movie.
_SKETCH_KNOTS = 8
#: Knots kept in memory: all of a sketch where they are small; reading onwards needs two at a time.
_CACHED_PX, _MIN_CACHED = 16_000_000, 3


@dataclass(frozen=True)
class Backdrop:
    """The scene of some frames, arrays (T, Y, X) in the movie's unit."""

    #: Level without emitters.
    background: NDArray[np.float32]
    #: Its standard deviation, positive.
    noise: NDArray[np.float32]
    #: Whether the value measures light; all else is to be ignored.
    valid: NDArray[np.bool_]

    def __getitem__(self, frames: slice) -> Backdrop:
        """Select frames."""
        return Backdrop(self.background[frames], self.noise[frames], self.valid[frames])

    def summary(self) -> dict[str, Any]:
        """Return plain values for JSON: low, middle and high background and noise, and the valid share."""
        good = self.valid if self.valid.any() else np.ones_like(self.valid)

        def spread(values: NDArray[np.float32]) -> list[float]:
            return [round(float(v), 4) for v in np.percentile(values[good], [1, 50, 99])]

        return {
            "background_adu": spread(self.background),
            "noise_adu": spread(self.noise),
            "valid_fraction": float(self.valid.mean()),
        }

    def whiten(self, frames: NDArray[Any], first_frame: int = 0) -> NDArray[np.float32]:
        """Return ``(frame - background) / noise``; what is not valid becomes noise like the rest.

        With noise in their place, invalid pixels look like background to whatever measures or searches the
        frames, without the edges that any constant would make.

        Parameters
        ----------
        frames
            (T, Y, X), ADU.
        first_frame
            Number of the first frame in the movie: the same frame is filled in the same way.
        """
        white = (np.asarray(frames, np.float32) - self.background) / self.noise
        for index in np.flatnonzero(~self.valid.all((1, 2))):
            bad = ~self.valid[index]
            random = np.random.default_rng(first_frame + int(index))
            white[index][bad] = random.standard_normal(int(bad.sum()), dtype=np.float32)
        return white


class Scene:
    """Background, noise and valid pixels of a movie.

    Raises `UserError` if there is no such method.

    Parameters
    ----------
    movie
        The movie, camera values; not closed with this.
    noise
        How the noise follows from the level, where that is known; None measures it.
    psf_sigma_px
        PSF standard deviation, px: light does not vary over shorter distances.
    method
        How the background is found.
    validity
        What tells valid values; None measures it.
    max_knots
        Most knots; None for as many as follow from the number of frames.
    course
        How the level of the whole movie runs; None measures it.
    """

    def __init__(
        self,
        movie: Movie,
        noise: NoiseModel | None = None,
        psf_sigma_px: float = 1.3,
        method: Method = "auto",
        validity: Validity | None = None,
        max_knots: int | None = None,
        course: Course | None = None,
    ) -> None:
        if method not in METHODS:
            raise UserError(f"background is {method!r}: use one of {', '.join(METHODS)}")
        self.movie, self.method, self.psf_sigma_px = movie, method, psf_sigma_px
        self.validity = validity or Validity.measure(movie)
        floor_adu = self.validity.floor_adu
        if noise is not None and floor_adu is not None and floor_adu < float(np.mean(noise.zero)):
            noise = None  # the background was subtracted: the level no longer tells the noise
        self._model = noise
        self._sketch: Scene | None = None
        self.course = course or Course.measure(movie, self.validity)
        n_frames = movie.shape[0]
        n_knots = min(max(1, round(n_frames / KNOT_FRAMES)), max_knots or n_frames)
        self.edges = np.linspace(0, n_frames, n_knots + 1).round().astype(int)
        spans = [self._span(index) for index in range(n_knots)]
        self.centres = np.array([0.5 * (first + last - 1) for first, last in spans])
        self._knots: OrderedDict[int, Knot] = OrderedDict()
        self._measuring = threading.RLock()

    def of_longer(self, movie: Movie) -> Scene:
        """Return the scene, measured in the same way, of a movie that has grown."""
        return Scene(movie, self._model, self.psf_sigma_px, self.method, self.validity)

    def sketch(self) -> Scene:
        """Return a scene of few knots whatever the movie's length: itself where it has few."""
        if len(self.centres) <= _SKETCH_KNOTS:
            return self
        if self._sketch is None:
            self._sketch = Scene(
                self.movie,
                self._model,
                self.psf_sigma_px,
                self.method,
                self.validity,
                _SKETCH_KNOTS,
                self.course,
            )
        return self._sketch

    def __call__(self, start: int, stop: int, frames: NDArray[Any] | None = None) -> Backdrop:
        """Return the scene of frames ``start`` to ``stop``.

        Parameters
        ----------
        start, stop
            Range of frames; the end is excluded and cut to the movie's.
        frames
            (T, Y, X) these frames, where they are at hand; else they are read.
        """
        stop = min(stop, self.movie.shape[0])
        values = self.movie.read(start, stop) if frames is None else frames
        time = np.arange(start, stop, dtype=np.float64)
        right = np.searchsorted(self.centres, time).clip(0, len(self.centres) - 1)
        left = np.maximum(right - 1, 0)
        span = np.maximum(self.centres[right] - self.centres[left], 1e-9)
        weight = ((time - self.centres[left]) / span).clip(0, 1).astype(np.float32)
        background = np.empty((len(time), *self.movie.shape[1:]), np.float32)
        variance = np.empty_like(background)
        dead = np.empty(background.shape, bool)
        for index, (a, b, w) in enumerate(zip(left.tolist(), right.tolist(), weight, strict=True)):
            one, two = self._knot(a), self._knot(b)
            background[index] = one.background if a == b else (1 - w) * one.background + w * two.background
            variance[index] = one.variance if a == b else (1 - w) * one.variance + w * two.variance
            dead[index] = one.dead | two.dead
        self._follow_level(background, variance, time)
        noise = np.sqrt(variance, out=variance)
        valid = self.validity.of_frames(values, background, noise) & ~dead
        return Backdrop(background, noise, valid)

    def _follow_level(
        self, background: NDArray[np.float32], variance: NDArray[np.float32], time: NDArray[np.float64]
    ) -> None:
        """Add to background and variance what the movie's level does between the knots and beyond them.

        Where the level without light is known, all light rises and falls in proportion.
        """
        course = self.course
        if course.is_flat or self.method == "none":
            return
        level, between = course.at(time), np.interp(time, self.centres, course.at(self.centres))
        change = np.asarray(level - between, np.float32)[:, None, None]
        if self._model is not None:
            zero = np.asarray(self._model.zero, np.float32)
            above = np.maximum(between - float(zero.mean()), 1e-3)
            change = np.maximum(background - zero, 0) * (change / above.astype(np.float32)[:, None, None])
            variance += np.maximum(self._model.slope * change, -0.9 * variance)
        background += change

    def _knot(self, index: int) -> Knot:
        with self._measuring:  # blocks of frames that are computed at once need the same knots
            if index in self._knots:
                self._knots.move_to_end(index)
            else:
                self._knots[index] = self._measure(self._sampled(index))
                if len(self._knots) > max(_CACHED_PX // math.prod(self.movie.shape[1:]), _MIN_CACHED):
                    self._knots.popitem(last=False)
            return self._knots[index]

    def _span(self, index: int) -> tuple[int, int]:
        """First frame and end of what a knot looks at: its own block and half of each neighbour."""
        own = (int(self.edges[index]), int(self.edges[index + 1]))
        half = (own[1] - own[0] + 1) // 2
        return max(own[0] - half, 0), min(own[1] + half, self.movie.shape[0])

    def _sampled(self, index: int) -> list[int]:
        """Frames that a knot looks at: pairs spread over its span."""
        first, last = self._span(index)
        if last - first <= SAMPLED_FRAMES:
            return list(range(first, last))
        starts = np.linspace(first, last - 2, SAMPLED_FRAMES // 2).round().astype(int)
        return sorted({int(t) + i for t in starts for i in (0, 1)})

    def _measure(self, sampled: list[int]) -> Knot:
        """Measure a knot, some rows at a time; neighbouring rows overlap by what smoothing reaches."""
        height, width = self.movie.shape[1:]
        reach = math.ceil(3 * 10 * self.psf_sigma_px)
        rows = max(_SORTED_VALUES // (len(sampled) * width), 4 * window_px(self.psf_sigma_px))
        limits = np.linspace(0, height, max(round(height / rows), 1) + 1).round().astype(int).tolist()
        if len(limits) == 2:
            return self._measure_rows(sampled, 0, height)

        def measure(top: int, bottom: int) -> Knot:
            first, last = max(top - reach, 0), min(bottom + reach, height)
            knot = self._measure_rows(sampled, first, last)
            own = slice(top - first, bottom - first)
            return Knot(knot.background[own], knot.variance[own], knot.dead[own])

        with ThreadPoolExecutor(_MEASURED_AT_ONCE) as pool:
            parts = list(pool.map(measure, limits[:-1], limits[1:]))
        return Knot(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in dataclasses.fields(Knot)
            )
        )

    def _measure_rows(self, sampled: list[int], top: int, bottom: int) -> Knot:
        frames = _read(self.movie, sampled, top, bottom)
        return measure_knot(
            frames,
            np.diff(sampled) == 1,
            self.validity,
            self._model_of(top, bottom),
            self.psf_sigma_px,
            self.method,
        )

    def _model_of(self, top: int, bottom: int) -> NoiseModel | None:
        return None if self._model is None else self._model.of_rows(top, bottom)


class WhiteMovie(Movie):
    """A movie in units of its noise above its background, float32: emitters on unit white noise.

    Parameters
    ----------
    scene
        The scene; its movie is not closed with this.
    start, stop
        Range of the movie's frames; None for all.
    """

    def __init__(self, scene: Scene, start: int = 0, stop: int | None = None) -> None:
        movie = scene.movie
        stop = movie.shape[0] if stop is None else stop
        shape = (stop - start, *movie.shape[1:])
        super().__init__(movie.path, shape, np.dtype(np.float32), movie.metadata)
        self.scene, self.first_frame = scene, start
        # The movie beneath reads one after the other; what is made of its frames may be made side by side.
        self._reading = contextlib.nullcontext()

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        first, last = start + self.first_frame, stop + self.first_frame
        frames = self.scene.movie.read(first, last)
        return self.scene(first, last, frames).whiten(frames, first)


def _read(movie: Movie, sampled: list[int], top: int, bottom: int) -> NDArray[np.float32]:
    """Read rows of frames (n, rows, X), consecutive frames at once."""
    out = np.empty((len(sampled), bottom - top, movie.shape[2]), np.float32)
    breaks = np.flatnonzero(np.diff(sampled) != 1) + 1
    for run in np.split(np.arange(len(sampled)), breaks):
        for part in np.array_split(run, max(1, len(run) // 16)):
            first, last = sampled[int(part[0])], sampled[int(part[-1])]
            out[part] = movie.read(first, last + 1)[:, top:bottom]
    return out
