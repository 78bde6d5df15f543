"""What a movie tells, whole and per tile, from an evenly spread part of its frames."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import OpticalSystem, UserError
from autods.core.grid import Box
from autods.estimation.camera import CameraEstimate, estimate_camera
from autods.estimation.noise import pixel_noise
from autods.estimation.patch import TYPICAL_PSF_SIGMA_PX, PatchProfile, summarize
from autods.estimation.psf_width import measure_psf_width
from autods.estimation.scene import Method, NoiseModel, Scene, WhiteMovie
from autods.estimation.statistics import FrameStatistics, frame_statistics
from autods.estimation.validity import Validity
from autods.io.base import Movie

logger = logging.getLogger(__name__)

#: Frames read at once, and such chunks measured at once.
_CHUNK, _AT_ONCE = 8, 4
#: Pixels looked at in all, about, and frames at least: a patch of 10 um holds as many as it needs either way.
_MEASURED_PX, _MIN_FRAMES = 10_000_000, 40
#: Frames, and side of the central region, from which PSF width and camera are measured.
_WIDTH_FRAMES = 40
_WIDTH_SIDE_PX = 384
#: Frames from which a patch's level and noise are read.
_LEVEL_FRAMES = 4
#: The scene is measured anew when the PSF's width differs from the expected one by more than this.
_SCENE_TOLERANCE = 0.3
#: Measured and nominal PSF width may differ by this factor before a note is made.
_WIDTH_TOLERANCE = 1.5


@dataclass(frozen=True)
class TileProfile:
    """The profile of one tile; ``core`` is (y0, x0, y1, x1) in pixels of the full frame."""

    core: Box
    profile: PatchProfile


@dataclass(frozen=True)
class MovieProfile:
    """What was measured on a movie."""

    #: (T, Y, X) of the movie.
    shape: tuple[int, int, int]
    #: Frames that were looked at.
    n_measured: int
    #: Camera pixel, nm.
    pixel_size_nm: float
    #: PSF standard deviation that the measurement used, pixels.
    psf_sigma_px: float
    #: ``fits`` or ``autocorrelation`` (measured), ``optics`` (from wavelength and aperture) or ``typical``.
    psf_source: str
    #: The whole field: density, SNR and the rest averaged over the tiles.
    whole: PatchProfile
    #: The tiles.
    tiles: tuple[TileProfile, ...]
    #: Photon transfer.
    camera: CameraEstimate
    #: What people should know, a line each.
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "shape": list(self.shape),
            "n_measured": self.n_measured,
            "pixel_size_nm": self.pixel_size_nm,
            "psf_sigma_px": self.psf_sigma_px,
            "psf_source": self.psf_source,
            "whole": self.whole.to_dict(),
            "tiles": [{"core": list(tile.core), **tile.profile.to_dict()} for tile in self.tiles],
            "camera": self.camera.to_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Measured:
    """What is measured on a whole movie before its patches are."""

    #: Background, noise and valid pixels.
    scene: Scene
    #: Photon transfer.
    camera: CameraEstimate
    #: See :class:`MovieProfile`.
    psf_sigma_px: float
    psf_source: str
    #: What people should know, a line each.
    notes: tuple[str, ...]


def measure_scene(
    movie: Movie, optics: OpticalSystem, noise: NoiseModel | None = None, method: Method = "auto"
) -> Measured:
    """Measure camera, scene and PSF width of a movie.

    Raises `UserError` if the frames hold no finite value or are too small to measure.

    Parameters
    ----------
    movie
        The movie, camera values.
    optics
        Its pixel size; wavelength and aperture stand in where the PSF's width cannot be measured.
    noise
        How the noise follows from the level; None measures it.
    method
        How the background is found, see :class:`autods.estimation.scene.Scene`.
    """
    _, height, width = movie.shape
    if min(height, width) < 5:
        raise UserError(f"{movie.path}: frames of {height} x {width} px are too small to measure: need 5 x 5")
    validity = Validity.measure(movie)
    starts, region = _central_pairs(movie)
    pairs = np.concatenate([movie.read(t, t + 2)[:, region[0], region[1]] for t in starts])
    if not np.isfinite(pairs).any():
        raise UserError(f"{movie.path}: no pixel has a finite value: save the movie again from its source")
    notes = list(validity.notes)
    if np.nanmin(pairs) == np.nanmax(pairs):
        notes.append(f"the movie is constant (every pixel looked at is {np.nanmin(pairs):g})")
    if movie.shape[0] == 1:
        notes.append("a single frame: nothing can be told about changes in time")
    expected = optics.airy_sigma_px or TYPICAL_PSF_SIGMA_PX
    valid = validity.of_values(pairs, float(np.median(pixel_noise(np.nan_to_num(pairs.astype(np.float32))))))
    finite = np.where(np.isfinite(pairs), pairs, np.nanmedian(pairs))
    with ThreadPoolExecutor(1) as pool:
        camera = pool.submit(estimate_camera, finite, expected, valid)
        scene = Scene(movie, noise, expected, method, validity)
        white = WhiteMovie(scene.sketch())
        frames = np.concatenate([white.read(t, t + 2)[:, region[0], region[1]] for t in starts])
        psf_sigma_px, source = _psf_width(frames, optics, notes)
        if abs(psf_sigma_px / expected - 1) > _SCENE_TOLERANCE:
            scene = Scene(movie, noise, psf_sigma_px, method, validity)
        return Measured(scene, camera.result(), psf_sigma_px, source, tuple(notes))


def profile_movie(
    movie: Movie,
    optics: OpticalSystem,
    tiles: Sequence[Box] = (),
    max_frames: int = 200,
    *,
    measured: Measured | None = None,
    first_frame: int = 0,
) -> MovieProfile:
    """Measure a movie, whole and per tile, reading a few frames at a time.

    Raises `UserError` if the frames hold no finite value or are too small to measure.

    Parameters
    ----------
    movie
        The movie.
    optics
        See `measure_scene`.
    tiles
        Cores (y0, x0, y1, x1) of the tiles, pixels; none means one tile for the whole field.
    max_frames
        Frames to look at, as pairs of consecutive frames spread evenly over the movie; fewer of large fields.
    measured
        From `measure_scene`, of this movie or of the longer one that it is a part of; None measures this one.
    first_frame
        Frame of the scene's movie that is frame 0 of this.
    """
    n_frames, height, width = movie.shape
    measured = measured or measure_scene(movie, optics)
    scene, sigma_px = measured.scene.sketch(), measured.psf_sigma_px
    enough = max(_MEASURED_PX // (height * width), _MIN_FRAMES)
    runs = sampled_runs(n_frames, min(max_frames, enough))
    boxes = list(tiles) or [(0, 0, height, width)]
    white = WhiteMovie(scene, first_frame, first_frame + n_frames)
    statistics = _statistics(white, runs, boxes, sigma_px)
    levels = _levels(scene, [first_frame + start for start, _ in runs], boxes)
    profiles = tuple(
        TileProfile(
            box,
            in_movie_units(
                summarize(statistics[box], _area(box), optics.pixel_size_nm, sigma_px), *levels[box]
            ),
        )
        for box in boxes
    )
    logger.info("measured %d frames in %d tiles", sum(b - a for a, b in runs), len(boxes))
    return MovieProfile(
        shape=movie.shape,
        n_measured=sum(stop - start for start, stop in runs),
        pixel_size_nm=optics.pixel_size_nm,
        psf_sigma_px=sigma_px,
        psf_source=measured.psf_source,
        whole=average_profile(profiles),
        tiles=profiles,
        camera=measured.camera,
        notes=measured.notes,
    )


def in_movie_units(profile: PatchProfile, background: float, noise: float) -> PatchProfile:
    """Return the profile of whitened frames with level and noise as they are in the movie."""
    return dataclasses.replace(
        profile,
        background=background + noise * profile.background,
        noise_std=noise * profile.noise_std,
    )


def _levels(scene: Scene, starts: list[int], boxes: Sequence[Box]) -> dict[Box, tuple[float, float]]:
    """Return background and noise of regions, ADU, averaged over a few frames."""
    chosen = sorted({starts[i] for i in np.linspace(0, len(starts) - 1, _LEVEL_FRAMES).round().astype(int)})
    sums = {box: np.zeros(2) for box in boxes}
    for t in chosen:
        seen = scene(t, t + 1)
        for box, total in sums.items():
            y0, x0, y1, x1 = box
            total += [seen.background[0, y0:y1, x0:x1].mean(), seen.noise[0, y0:y1, x0:x1].mean()]
    return {box: (float(a / len(chosen)), float(b / len(chosen))) for box, (a, b) in sums.items()}


def _statistics(
    movie: Movie, runs: list[tuple[int, int]], boxes: Iterable[Box], psf_sigma_px: float
) -> dict[Box, FrameStatistics]:
    """Return the statistics of regions over the sampled frames, which are read once."""
    boxes = list(boxes)

    def measure(part: list[tuple[int, int]]) -> list[FrameStatistics]:
        frames = np.concatenate([movie.read(start, stop) for start, stop in part])
        return [frame_statistics(frames[:, y0:y1, x0:x1], psf_sigma_px) for y0, x0, y1, x1 in boxes]

    with ThreadPoolExecutor(min(torch.get_num_threads(), _AT_ONCE)) as pool:
        chunks = list(pool.map(measure, _chunks(runs)))
    return {box: FrameStatistics.concatenate(list(parts)) for box, *parts in zip(boxes, *chunks, strict=True)}


def sampled_runs(n_frames: int, max_frames: int) -> list[tuple[int, int]]:
    """Return half-open ranges of frames: all, or pairs spread evenly from the first frame to the last.

    Examples
    --------
    >>> sampled_runs(8, 100)
    [(0, 8)]
    >>> len(sampled_runs(1000, 10))
    5
    """
    if n_frames <= max_frames:
        return [(0, n_frames)]
    n_pairs = max(max_frames // 2, 1)
    starts = np.linspace(0, n_frames - 2, n_pairs).round().astype(int)
    return [(int(start), int(start) + 2) for start in starts]


def average_profile(tiles: Sequence[TileProfile]) -> PatchProfile:
    """Average tiles: by area; SNR and PSF width by the number of emitters."""
    profiles = [tile.profile for tile in tiles]
    area = np.array([_area(tile.core) for tile in tiles], np.float64)

    def mean(name: str, weight: NDArray[np.float64]) -> float:
        values = np.array([getattr(profile, name) for profile in profiles], np.float64)
        known = np.isfinite(values) & (weight > 0)
        return float(np.average(values[known], weights=weight[known])) if known.any() else math.nan

    emitters = area * np.array([profile.density_per_um2 for profile in profiles])
    candidates = np.array([profile.n_candidates for profile in profiles], np.float64)
    width = mean("psf_sigma_px", area)
    return PatchProfile(
        density_per_um2=mean("density_per_um2", area),
        density_published_per_um2=mean("density_published_per_um2", area),
        snr=mean("snr", emitters),
        snr_published=mean("snr_published", candidates),
        noise_std=mean("noise_std", area),
        background=mean("background", area),
        psf_sigma_px=width if math.isfinite(width) else None,
        n_candidates=int(candidates.sum()),
        n_frames=profiles[0].n_frames,
        is_empty=all(profile.is_empty for profile in profiles),
        empty_fraction=mean("empty_fraction", area),
        brightest_snr=max(
            (p.brightest_snr for p in profiles if math.isfinite(p.brightest_snr)), default=math.nan
        ),
    )


def _chunks(runs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Cut and join runs into lists of them that hold `_CHUNK` frames, about."""
    chunks: list[list[tuple[int, int]]] = [[]]
    for start, stop in runs:
        for first in range(start, stop, _CHUNK):
            if sum(b - a for a, b in chunks[-1]) >= _CHUNK:
                chunks.append([])
            chunks[-1].append((first, min(first + _CHUNK, stop)))
    return chunks


def _central_pairs(movie: Movie) -> tuple[list[int], tuple[slice, slice]]:
    """Return first frames of pairs, evenly spread, and the region in the field's middle to look at."""
    n_pairs = min(_WIDTH_FRAMES // 2, max(movie.shape[0] // 2, 1))
    starts = np.unique(np.linspace(0, max(movie.shape[0] - 2, 0), n_pairs).round().astype(int)).tolist()
    y0, x0 = (max((side - _WIDTH_SIDE_PX) // 2, 0) for side in movie.shape[1:])
    return starts, (slice(y0, y0 + _WIDTH_SIDE_PX), slice(x0, x0 + _WIDTH_SIDE_PX))


def _psf_width(frames: NDArray[np.float32], optics: OpticalSystem, notes: list[str]) -> tuple[float, str]:
    """Measure the PSF's width, else take it from the optics, else a typical one; notes are appended."""
    nominal = optics.airy_sigma_px
    measured = measure_psf_width(frames, nominal or TYPICAL_PSF_SIGMA_PX)
    if measured is None:
        if nominal is not None:
            return nominal, "optics"
        notes.append(
            "the PSF's width could not be measured: a typical one is assumed; give wavelength and NA"
        )
        return TYPICAL_PSF_SIGMA_PX, "typical"
    ratio = measured.sigma_px / nominal if nominal else 1.0
    if not 1 / _WIDTH_TOLERANCE < ratio < _WIDTH_TOLERANCE:
        notes.append(
            f"the measured PSF width, {measured.sigma_px * optics.pixel_size_nm:.0f} nm, differs from the"
            f" {optics.airy_sigma_nm:.0f} nm of wavelength and NA: check these and the pixel size"
        )
    return measured.sigma_px, measured.method


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
