"""What a movie tells about noise and photons, as the training of a 3D localizer needs it.

All values are in the unit of the frames given; with a known camera, give photons.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.io.base import Movie

_log = logging.getLogger(__name__)

Range = tuple[float, float]
Region = tuple[int, int, int, int]

#: Factors of section "SNR characterisation" of the method: measured value to training range.
NOISE_WIDENING: Range = (1.0, 1.4)
PHOTON_WIDENING: Range = (0.5, 1.1)
MAX_FRAMES = 1000
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")

_CHUNK = 50
#: A region whose brightest pixel is not this many noise standard deviations above its floor is empty.
_SIGNAL_LEVEL = 8.0


@dataclass(frozen=True)
class ChosenRegion:
    """A part of the field."""

    #: Y0, X0, Y1, X1 in pixels of the whole frame; Y1 and X1 excluded.
    box: Region
    #: Who chose it, and why.
    reason: str


@dataclass(frozen=True)
class Characterisation:
    """Noise and photons of a movie, and the ranges to train with."""

    #: Where they were measured.
    region: ChosenRegion
    #: Of the pixel of lowest mean.
    noise_mean: float
    noise_std: float
    #: Of the region, or as given.
    max_pixel_value: float
    #: Largest share of an emitter's light that one pixel gets.
    peak_per_photon: float
    #: Frames that were looked at.
    n_frames: int

    @property
    def photons(self) -> float:
        """Photons of an emitter whose brightest pixel is the maximum."""
        return (self.max_pixel_value - self.noise_mean) / self.peak_per_photon

    @property
    def noise_mean_range(self) -> Range:
        """Range of the mean to train with."""
        return _widen(self.noise_mean, NOISE_WIDENING)

    @property
    def noise_std_range(self) -> Range:
        """Range of the standard deviation to train with."""
        return _widen(self.noise_std, NOISE_WIDENING)

    @property
    def photons_range(self) -> Range:
        """Range of the photons to train with."""
        return _widen(self.photons, PHOTON_WIDENING)


def characterise(
    movie: Movie,
    peak_per_photon: float,
    region: str = "auto",
    size_px: int = 64,
    max_pixel_value: float | None = None,
) -> Characterisation:
    """Measure noise and photons in a sparse region of a movie, over up to 1000 frames.

    The pixel of lowest mean gives the noise. The maximum pixel value above it, divided by the PSF's
    peak-to-photon ratio over the z range, gives the photons. Raises `UserError` if the region cannot be read,
    lies outside, or holds no molecule and no maximum is given.

    Parameters
    ----------
    movie
        Frames without background.
    peak_per_photon
        See :func:`autods.optics.extent.peak_per_photon`.
    region
        A corner of ``CORNERS``, ``Y0:X0:Y1:X1`` in pixels of the whole frame, or ``auto`` for the sparsest
        region that holds molecules.
    size_px
        Side of a corner or of an automatic region, px.
    max_pixel_value
        Maximum to use instead of the measured one.
    """
    chosen = choose_region(movie, region, size_px)
    y0, x0, y1, x1 = chosen.box
    statistics = _PixelStatistics.of(frames[:, y0:y1, x0:x1] for frames in _chunks(movie))
    darkest = np.unravel_index(int(statistics.mean.argmin()), statistics.mean.shape)
    mean, std = float(statistics.mean[darkest]), float(statistics.std[darkest])
    highest = float(statistics.highest.max()) if max_pixel_value is None else max_pixel_value
    if highest <= mean + (_SIGNAL_LEVEL * std if max_pixel_value is None else 0.0):
        raise UserError(
            f"{movie.path}: region {_text(chosen.box)} holds no molecules (maximum {highest:.4g}, floor"
            f" {mean:.4g} +- {std:.4g}): choose another one with snr.region, or give snr.max_pixel_value"
        )
    _log.info("noise and photons measured in region %s: %s", _text(chosen.box), chosen.reason)
    return Characterisation(chosen, mean, std, highest, peak_per_photon, statistics.n_frames)


def choose_region(movie: Movie, region: str, size_px: int = 64) -> ChosenRegion:
    """Find the region that a text means; see :func:`characterise`.

    Raises `UserError` if the text cannot be read or the region lies outside of the frame.
    """
    _, height, width = movie.shape
    rows, columns = min(size_px, height), min(size_px, width)
    if region == "auto":
        return _sparsest(movie, rows, columns)
    if region in CORNERS:
        y0 = 0 if region.startswith("top") else height - rows
        x0 = 0 if region.endswith("left") else width - columns
        return ChosenRegion((y0, x0, y0 + rows, x0 + columns), f"the {region} corner was asked for")
    if not re.fullmatch(r"\d+:\d+:\d+:\d+", region):
        raise UserError(f"snr.region={region}: write auto, one of {', '.join(CORNERS)}, or Y0:X0:Y1:X1")
    y0, x0, y1, x1 = (int(n) for n in region.split(":"))
    if not (y0 < y1 <= height and x0 < x1 <= width):
        raise UserError(
            f"snr.region={region} does not lie in frames of {height} x {width} px: correct the coordinates"
        )
    return ChosenRegion((y0, x0, y1, x1), "given by coordinates")


def _sparsest(movie: Movie, rows: int, columns: int) -> ChosenRegion:
    """Return the region of least light among those with molecules.

    Light is the temporal mean above the pixel's own floor; molecules are seen by a maximum far above the
    noise. Regions on a grid of half their size are compared.
    """
    statistics = _PixelStatistics.of(_chunks(movie))
    light = statistics.mean - statistics.mean.min()
    noise = float(np.quantile(statistics.std, 0.05))
    bright = statistics.highest > statistics.mean.min() + 2 * _SIGNAL_LEVEL * noise
    candidates = []
    for y0 in _starts(light.shape[0], rows):
        for x0 in _starts(light.shape[1], columns):
            here = (slice(y0, y0 + rows), slice(x0, x0 + columns))
            candidates.append((not bright[here].any(), float(light[here].mean()), y0, x0))
    empty, _, y0, x0 = min(candidates)
    reason = (
        f"no region of {rows} x {columns} px shows molecules; this has the least light"
        if empty
        else f"the least light of {len(candidates)} regions of {rows} x {columns} px, found automatically"
    )
    return ChosenRegion((y0, x0, y0 + rows, x0 + columns), reason)


def light_density_per_um2(movie: Movie, mean_photons: float, pixel_size_nm: float) -> float:
    """Emitters per um^2 and frame that the movie's light stands for.

    The mean light above the darkest percent of the pixels' temporal means, divided by the light of one
    emitter: unlike a count it does not saturate where PSFs overlap.

    Parameters
    ----------
    movie
        Frames without background, in the unit of ``mean_photons``.
    mean_photons
        Mean light of an emitter in a frame.
    pixel_size_nm
        Camera pixel, nm.
    """
    statistics = _PixelStatistics.of(_chunks(movie))
    # The darkest percent of noisy means lie 2.33 of their standard errors below the floor.
    error = float(np.quantile(statistics.std, 0.05)) / np.sqrt(statistics.n_frames)
    light = statistics.mean - (np.quantile(statistics.mean, 0.01) + 2.33 * error)
    return max(0.0, float(light.mean())) / mean_photons / (pixel_size_nm * 1e-3) ** 2


@dataclass(frozen=True)
class _PixelStatistics:
    """Mean, standard deviation and maximum (Y, X) over time."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    highest: NDArray[np.float64]
    n_frames: int

    @classmethod
    def of(cls, chunks: Iterator[NDArray[np.float64]]) -> _PixelStatistics:
        """Accumulate chunks (t, Y, X); deviations from the first chunk's mean keep the precision."""
        first = next(chunks)
        origin = first.mean(0)
        n, total, squares, highest = 0, np.zeros_like(origin), np.zeros_like(origin), first.max(0)
        for frames in _after(first, chunks):
            deviation = frames - origin
            n += len(frames)
            total += deviation.sum(0)
            squares += (deviation**2).sum(0)
            highest = np.maximum(highest, frames.max(0))
        variance = np.maximum(squares / n - (total / n) ** 2, 0)
        return cls(origin + total / n, np.sqrt(variance), highest, n)


def _after(first: NDArray[np.float64], rest: Iterator[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    yield first
    yield from rest


def _chunks(movie: Movie) -> Iterator[NDArray[np.float64]]:
    """Yield up to MAX_FRAMES frames, in runs spread over the movie."""
    n_frames = movie.shape[0]
    if n_frames <= MAX_FRAMES:
        starts = list(range(0, n_frames, _CHUNK))
    else:
        runs = MAX_FRAMES // _CHUNK
        starts = np.linspace(0, n_frames - _CHUNK, runs).round().astype(int).tolist()
    for start in starts:
        yield np.asarray(movie.read(start, min(start + _CHUNK, n_frames)), np.float64)


def _starts(length: int, size: int) -> list[int]:
    """Starts of windows of a size that cover a length, half a window apart or less."""
    count = 1 + -(-2 * (length - size) // size)
    return sorted(set(np.linspace(0, length - size, count).round().astype(int).tolist()))


def _widen(value: float, factors: Range) -> Range:
    low, high = sorted(factor * value for factor in factors)
    return low, high


def _text(box: Region) -> str:
    return ":".join(map(str, box))
