"""Simulated movies under the conditions of real ones, with what is known of each emitter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.core import Camera, EmitterBatch, LocalizationTable
from autods.simulation import STRUCTURES, GaussianRenderer, Scenes, Simulator, blink
from autods.simulation.detector import digitize, scmos_maps
from benchmarks.fields import IDEAL_CAMERA, positions_anywhere, truth_table

#: Makes the relative brightness (Y, X) of the background: of the frame's shape and the pixel size, nm.
Pattern = Callable[[tuple[int, int], float, torch.Generator], Tensor]
#: Changes frames (T, Y, X), ADU, and tells which pixels are still valid, (T, Y, X) or (Y, X).
Defect = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
Emitters = Literal["isolated", "uniform", "filaments", "none"]

_CHUNK = 50
_ON_FRAMES = 2.0
FIDUCIAL_PHOTONS = 100_000.0


@dataclass(frozen=True)
class Conditions:
    """What a movie is made of.

    Parameters
    ----------
    emitters
        ``isolated``: far from each other and from the edge, all frames independent;
        ``uniform``: anywhere, independent; ``filaments``: molecules of filaments that blink; ``none``.
    density_per_um2
        Emitters per um^2 and frame, where they are not isolated.
    photons, background
        Photons of an emitter, and mean photons per pixel of the background.
    pixel_size_nm, sigma_px
        Camera pixel, nm, and standard deviation of the Gaussian PSF, pixels.
    n_frames, size_px
        Length of the movie, and side of its square frames.
    pattern
        Brightness of the background from place to place; None for a flat one.
    bleaching
        Share of the background's light that is lost, exponentially, over the movie.
    camera
        The camera.
    maps
        Whether its pixels differ (see :func:`autods.simulation.detector.scmos_maps`).
    defect
        What was done to the frames.
    pedestal_adu
        Subtracted from the frames; what falls below 0 is cut.
    n_fiducials
        Emitters of `FIDUCIAL_PHOTONS` that are there in all frames.
    """

    emitters: Emitters = "isolated"
    density_per_um2: float = 0.5
    photons: float = 1000.0
    background: float = 20.0
    pixel_size_nm: float = 100.0
    sigma_px: float = 1.1
    n_frames: int = 100
    size_px: int = 64
    pattern: Pattern | None = None
    bleaching: float = 0.0
    camera: Camera = IDEAL_CAMERA
    maps: bool = False
    defect: Defect | None = None
    pedestal_adu: float = 0.0
    n_fiducials: int = 0

    @property
    def sigma_nm(self) -> float:
        """Standard deviation of the PSF, nm."""
        return self.sigma_px * self.pixel_size_nm

    def flat(self, photons: float, background: float, n_frames: int) -> Conditions:
        """Return the ideal counterpart: photon counting on a flat background, without any defect."""
        return Conditions(
            self.emitters, self.density_per_um2, photons, background, self.pixel_size_nm, self.sigma_px,
            n_frames, self.size_px,
        )  # fmt: skip


@dataclass(frozen=True)
class ConditionField:
    """A movie and what is known of it.

    Parameters
    ----------
    frames
        (T, Y, X) uint16 ADU.
    truth
        All emitters in the field.
    judged
        (N,) bool: those that lie in valid pixels and can be asked for.
    photons, background
        (N,) photons of each emitter, and photons per pixel round it, that would give an ideal photon counter
        the same information.
    camera
        The camera, with its maps.
    """

    frames: NDArray[np.uint16]
    truth: LocalizationTable
    judged: NDArray[np.bool_]
    photons: NDArray[np.float64]
    background: NDArray[np.float64]
    camera: Camera


def condition_field(conditions: Conditions, generator: torch.Generator) -> ConditionField:
    """Simulate a movie."""
    c = conditions
    shape = (c.size_px, c.size_px)
    emitters = _emitters(c, generator)
    camera = scmos_maps(c.camera, shape, generator) if c.maps else c.camera
    pattern = torch.ones(shape) if c.pattern is None else c.pattern(shape, c.pixel_size_nm, generator)
    level = c.background * torch.exp(math.log(1 - c.bleaching) * torch.linspace(0, 1, c.n_frames))
    simulator = Simulator([GaussianRenderer(c.pixel_size_nm)], [camera], gradient=0, blobs=0)
    scenes = Scenes(emitters, level, torch.full((c.n_frames,), c.sigma_nm))
    pieces = []
    for start in range(0, c.n_frames, _CHUNK):
        part = slice(start, start + _CHUNK)
        pieces.append(simulator(scenes[part], shape, generator, level[part].view(-1, 1, 1) * pattern))
    frames = torch.cat(pieces)
    valid = torch.ones(shape, dtype=torch.bool)
    if c.defect is not None:
        frames, valid = c.defect(frames, generator)
    x, y = (emitters.xyz_nm[..., axis] / c.pixel_size_nm for axis in (0, 1))
    inside = emitters.mask & (x >= 0) & (x < c.size_px) & (y >= 0) & (y < c.size_px)
    truth = truth_table(EmitterBatch(emitters.xyz_nm, emitters.photons, inside))
    column, row = (np.floor(axis / c.pixel_size_nm).astype(int) for axis in (truth.x_nm, truth.y_nm))
    reach = math.ceil(1.5 * c.sigma_px)
    near = ~_eroded(valid.expand(frames.shape), reach).numpy()
    factor = camera.excess_noise_factor
    read = np.broadcast_to(np.asarray(camera.read_noise_photons, np.float64) * camera.qe, shape)
    light = level.numpy()[truth.frame] * pattern.numpy()[row, column]
    return ConditionField(
        digitize(frames, c.pedestal_adu).numpy(),
        truth,
        ~near[truth.frame, row, column],
        truth.photons * camera.qe / factor,
        (light * camera.qe + read[row, column] ** 2 / factor) / factor,
        camera,
    )


def flat_counterparts(conditions: Conditions, field: ConditionField) -> list[Conditions]:
    """Return ideal movies of the same local noise: one, or three that stand for thirds of the emitters."""
    c = conditions
    local = field.background[field.judged]
    photons = _rounded(c.photons * field.camera.qe / field.camera.excess_noise_factor)
    if local.std() < 0.05 * local.mean():
        return [c.flat(photons, _rounded(local.mean()), c.n_frames)]
    levels = np.quantile(local, (1 / 6, 1 / 2, 5 / 6))
    return [c.flat(photons, _rounded(level), max(c.n_frames // 3, 40)) for level in levels]


def _rounded(value: float) -> float:
    """Round to two digits, so that lines share their counterparts."""
    return float(f"{value:.2g}")


def _emitters(c: Conditions, generator: torch.Generator) -> EmitterBatch:
    """Return the emitters of all frames, also those outside the field."""
    if c.emitters == "filaments":
        return _with_fiducials(_blinking(c, generator), c, generator)
    if c.emitters == "isolated":
        mask, xy = _isolated(c, generator)
    else:
        density = 0.0 if c.emitters == "none" else c.density_per_um2
        per_px = density * (c.pixel_size_nm * 1e-3) ** 2
        mask, xy = positions_anywhere(c.n_frames, c.size_px, per_px, generator)
    xyz = torch.cat([xy * c.pixel_size_nm, torch.zeros(*mask.shape, 1)], -1) * mask.unsqueeze(-1)
    return _with_fiducials(EmitterBatch(xyz, c.photons * mask, mask), c, generator)


def _isolated(c: Conditions, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return slots in use and positions, px: anywhere, but for those too near to another in their frame."""
    apart_px = max(12.0, 10 * c.sigma_px)
    margin_px = min(4.0, 0.25 * c.size_px)
    n = max(2, round((c.size_px / apart_px) ** 2))
    xy = margin_px + (c.size_px - 2 * margin_px) * torch.rand((c.n_frames, n, 2), generator=generator)
    distance, mask = torch.cdist(xy, xy), torch.ones((c.n_frames, n), dtype=torch.bool)
    for index in range(1, n):
        mask[:, index] = ~((distance[:, index, :index] < apart_px) & mask[:, :index]).any(1)
    return mask, xy


def _blinking(c: Conditions, generator: torch.Generator) -> EmitterBatch:
    side_nm = c.size_px * c.pixel_size_nm
    sample = STRUCTURES["filaments"](side_nm, side_nm, generator)
    per_frame = c.density_per_um2 * (side_nm * 1e-3) ** 2
    blinks = blink(sample, c.n_frames, per_frame, c.photons, generator, on_frames=_ON_FRAMES)
    return blinks.during(sample, 0, c.n_frames)


def _with_fiducials(emitters: EmitterBatch, c: Conditions, generator: torch.Generator) -> EmitterBatch:
    if not c.n_fiducials:
        return emitters
    xy = (0.15 + 0.7 * torch.rand((1, c.n_fiducials, 2), generator=generator)) * c.size_px * c.pixel_size_nm
    xyz = torch.cat([xy, torch.zeros(1, c.n_fiducials, 1)], -1).expand(c.n_frames, -1, -1)
    light = torch.full((c.n_frames, c.n_fiducials), FIDUCIAL_PHOTONS)
    bright = EmitterBatch(xyz, light, torch.ones(light.shape, dtype=torch.bool))
    # Isolated emitters stay isolated: those near a fiducial are left out.
    distance = torch.cdist(emitters.xyz_nm[..., :2], xyz[..., :2]).amin(-1)
    mask = emitters.mask & (distance > 10 * c.sigma_nm)
    kept = replace(emitters, photons=emitters.photons * mask, mask=mask)
    return EmitterBatch(
        *(torch.cat([getattr(b, name) for b in (kept, bright)], 1) for name in ("xyz_nm", "photons", "mask"))
    )


def _eroded(valid: Tensor, reach: int) -> Tensor:
    """Return where all pixels within a reach are valid, (T, Y, X)."""
    bad = (~valid).float().unsqueeze(1)
    wide = torch.nn.functional.max_pool2d(bad, 2 * reach + 1, stride=1, padding=reach)
    return wide[:, 0] == 0
