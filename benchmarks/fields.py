"""Simulated movies with known truth, held in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.core import Camera, EmitterBatch, LocalizationTable, OpticalSystem
from autods.simulation import (
    STRUCTURES,
    GaussianRenderer,
    Sample,
    Scenes,
    Simulator,
    blink,
    simulate_movie,
    vary,
)

#: A typical sCMOS.
CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)
#: Photon counting above an offset.
IDEAL_CAMERA = Camera(offset_adu=100.0)

_MARGIN_PX = 4
_CHUNK = 10
_ON_FRAMES = 2.0
#: Emitters per um^2 and frame in a hot spot.
_HOT_PER_UM2 = 5.0


@dataclass(frozen=True)
class SimulatedField:
    """A movie and its truth.

    Parameters
    ----------
    frames
        (T, Y, X) ADU.
    truth
        The emitters inside the field, each frame.
    optics, camera
        The microscope.
    """

    frames: NDArray[np.uint16]
    truth: LocalizationTable
    optics: OpticalSystem
    camera: Camera

    @property
    def shape_nm(self) -> tuple[float, float]:
        """Height and width of the field, nm."""
        height, width = self.frames.shape[1:]
        return height * self.optics.pixel_size_nm, width * self.optics.pixel_size_nm


@dataclass(frozen=True)
class UniformConditions:
    """Emitters of constant brightness, anywhere or far from each other.

    Parameters
    ----------
    density_per_um2
        Emitters per um^2 and frame; None puts one emitter at a random place within each square of 16 pixels,
        at least 10 pixels from the next.
    n_frames, size_px
        Frames, all independent, and side of the square frame.
    photons, background
        Photons of an emitter, and per pixel of the background.
    psf_sigma_nm, pixel_size_nm
        Standard deviation of the Gaussian PSF and camera pixel, nm.
    hot_spots
        Discs of 1 um radius, the same in all frames, into which so many of the emitters are moved that they
        hold 5 per um^2; 0 for none.
    """

    density_per_um2: float | None
    n_frames: int = 100
    size_px: int = 64
    photons: float = 1000.0
    background: float = 15.0
    psf_sigma_nm: float = 100.0
    pixel_size_nm: float = 100.0
    hot_spots: int = 0


def uniform_field(conditions: UniformConditions, generator: torch.Generator) -> SimulatedField:
    """Simulate independent frames of equally bright emitters in focus; ideal camera, flat background."""
    c = conditions
    if c.density_per_um2 is None:
        mask, xy = isolated_positions(c.n_frames, c.size_px, generator)
    else:
        per_px = c.density_per_um2 * (c.pixel_size_nm * 1e-3) ** 2
        mask, xy = positions_anywhere(c.n_frames, c.size_px, per_px, generator)
        if c.hot_spots:
            radius_px, area_um2 = 1e3 / c.pixel_size_nm, c.size_px**2 * (c.pixel_size_nm * 1e-3) ** 2
            share = min(c.hot_spots * math.pi * _HOT_PER_UM2 / (c.density_per_um2 * area_um2), 1.0)
            xy = _gathered(xy, c.hot_spots, share, radius_px, c.size_px, generator)
    xyz = torch.cat([xy * c.pixel_size_nm, torch.zeros(*mask.shape, 1)], -1) * mask.unsqueeze(-1)
    emitters = EmitterBatch(xyz, c.photons * mask, mask)
    scenes = Scenes(
        emitters, torch.full((c.n_frames,), c.background), torch.full((c.n_frames,), c.psf_sigma_nm)
    )
    simulator = Simulator([GaussianRenderer(c.pixel_size_nm)], [IDEAL_CAMERA], gradient=0, blobs=0)
    side_nm = c.size_px * c.pixel_size_nm
    frames = torch.cat(
        [
            simulator(scenes[start : start + _CHUNK], (c.size_px, c.size_px), generator)
            for start in range(0, c.n_frames, _CHUNK)
        ]
    )
    inside = mask & ((xyz[..., :2] >= 0) & (xyz[..., :2] < side_nm)).all(-1)
    truth = truth_table(EmitterBatch(xyz, emitters.photons, inside))
    adu = frames.round().clamp(0, 65535).numpy().astype(np.uint16)
    return SimulatedField(adu, truth, OpticalSystem(c.pixel_size_nm), IDEAL_CAMERA)


def positions_anywhere(
    n_frames: int, size_px: int, per_px: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return slots in use (T, K) and positions (T, K, 2), px, also just outside the frame."""
    side_px = size_px + 2 * _MARGIN_PX
    counts = torch.poisson(torch.full((n_frames,), per_px * side_px**2), generator=generator)
    n_slots = max(int(counts.max()), 1)
    mask = torch.arange(n_slots) < counts.unsqueeze(1)
    return mask, torch.rand((n_frames, n_slots, 2), generator=generator) * side_px - _MARGIN_PX


def _gathered(
    xy: Tensor, n_spots: int, share: float, radius_px: float, size_px: int, generator: torch.Generator
) -> Tensor:
    """Move a share of the positions (T, K, 2) to random places within discs."""
    shape = xy.shape[:2]
    centres = radius_px + torch.rand((n_spots, 2), generator=generator) * (size_px - 2 * radius_px)
    angle = 2 * math.pi * torch.rand(shape, generator=generator)
    distance = radius_px * torch.rand(shape, generator=generator).sqrt()
    within = torch.stack([angle.cos(), angle.sin()], -1) * distance[..., None]
    there = centres[torch.randint(n_spots, shape, generator=generator)] + within
    moves = torch.rand(shape, generator=generator) < share
    return torch.where(moves[..., None], there, xy)


def isolated_positions(n_frames: int, size_px: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return slots in use and positions, one emitter in the middle 6 x 6 pixels of each square of 16."""
    n = max(1, size_px // 16)
    corner = torch.cartesian_prod(torch.arange(n), torch.arange(n)).float() * 16
    xy = corner + 5 + 6 * torch.rand((n_frames, n * n, 2), generator=generator)
    return torch.ones((n_frames, n * n), dtype=torch.bool), xy


@dataclass(frozen=True)
class HeterogeneousConditions:
    """A structure whose density and SNR differ from cell to cell of a square grid.

    Parameters
    ----------
    structure
        One of :data:`autods.simulation.STRUCTURES`.
    n_cells
        Cells along each axis.
    cell_um
        Side of a cell, um.
    density_per_um2, snr
        Lowest and highest of the cells; each cell draws both, density and SNR apart from each other.
    n_frames
        Length of the movie.
    background
        Photons per pixel.
    psf_sigma_nm, pixel_size_nm
        Standard deviation of the Gaussian PSF in focus and camera pixel, nm.
    labels
        Further arguments of the structure, such as how far apart its molecules are.
    """

    structure: str
    n_cells: int = 4
    cell_um: float = 10.0
    density_per_um2: tuple[float, float] = (0.3, 2.5)
    snr: tuple[float, float] = (2.0, 9.0)
    n_frames: int = 30
    background: float = 20.0
    psf_sigma_nm: float = 110.0
    pixel_size_nm: float = 100.0
    labels: Mapping[str, float] = field(default_factory=dict)


def heterogeneous_field(conditions: HeterogeneousConditions, generator: torch.Generator) -> SimulatedField:
    """Simulate a blinking structure; the cells' mean density and SNR are evenly spread over their ranges.

    The SNR is the mean peak amplitude of the emitters over the background's noise, as in
    :class:`autods.simulation.ImagingConditions`.
    """
    sample, per_frame = heterogeneous_sample(conditions, generator)
    frames, truth = zip(*record(sample, per_frame, conditions, generator), strict=True)
    table = truth_table(EmitterBatch.concatenate(list(truth)))
    return SimulatedField(np.concatenate(frames), table, OpticalSystem(conditions.pixel_size_nm), CAMERA)


def heterogeneous_sample(c: HeterogeneousConditions, generator: torch.Generator) -> tuple[Sample, float]:
    """Return the molecules of a field and the mean number of them that shine in a frame."""
    side_nm = c.n_cells * c.cell_um * 1e3
    sample = STRUCTURES[c.structure](side_nm, side_nm, generator, **c.labels)
    density = _spread_over_cells(c.density_per_um2, c.n_cells, generator)
    snr = _spread_over_cells(c.snr, c.n_cells, generator)
    molecules = _count_in_cells(sample.xyz_nm, side_nm, c.n_cells)
    # The rate of a cell is shared by its molecules; a cell without any stays dark.
    filled = molecules > 0
    sample = vary(sample, side_nm, density * filled / molecules.clamp_min(1), snr)
    return sample, float((density * filled).sum()) * c.cell_um**2


def record(
    sample: Sample,
    per_frame: float,
    c: HeterogeneousConditions,
    generator: torch.Generator,
    *,
    brighter: float = 1.0,
    chunk: int = _CHUNK,
) -> Iterator[tuple[NDArray[np.uint16], EmitterBatch]]:
    """Expose the camera to a sample, some frames at a time.

    Parameters
    ----------
    sample, per_frame
        From `heterogeneous_sample`; fewer emitters a frame make it sparser.
    c
        Conditions.
    generator
        Source of randomness.
    brighter
        Factor on the photons.
    chunk
        Frames at a time.
    """
    photons = brighter * _photons_per_snr(c)
    blinks = blink(sample, c.n_frames, per_frame, photons, generator, on_frames=_ON_FRAMES)
    size_px = round(c.n_cells * c.cell_um * 1e3 / c.pixel_size_nm)
    pieces = simulate_movie(
        sample,
        blinks,
        c.n_frames,
        (size_px, size_px),
        Simulator([GaussianRenderer(c.pixel_size_nm)], [CAMERA], gradient=0.2, blobs=0.2),
        generator,
        background=c.background,
        psf_sigma_nm=c.psf_sigma_nm,
        pixel_size_nm=c.pixel_size_nm,
        chunk=chunk,
    )
    yield from ((frames.numpy(), emitters) for frames, emitters in pieces)


def _photons_per_snr(c: HeterogeneousConditions) -> float:
    """Return the photon rate, per frame, of a molecule whose emitters have a mean SNR of 1."""
    noise = math.sqrt(CAMERA.excess_noise_factor / CAMERA.qe * c.background + CAMERA.read_noise_photons**2)
    in_frame = noise * 2 * math.pi * (c.psf_sigma_nm / c.pixel_size_nm) ** 2
    # A molecule is on for a part of its first and last frame only.
    return in_frame * (_ON_FRAMES + 1) / _ON_FRAMES


def _spread_over_cells(limits: tuple[float, float], n: int, generator: torch.Generator) -> Tensor:
    """Return (n, n) values evenly spaced between the limits, in random order."""
    return torch.linspace(*limits, n * n)[torch.randperm(n * n, generator=generator)].view(n, n)


def _count_in_cells(xyz_nm: Tensor, side_nm: float, n: int) -> Tensor:
    """Count the molecules in each cell, (n, n), rows along y."""
    column, row = (xyz_nm[:, :2] / side_nm * n).long().clamp(0, n - 1).unbind(1)
    return torch.bincount(row * n + column, minlength=n * n).view(n, n)


def truth_table(emitters: EmitterBatch) -> LocalizationTable:
    """Return the emitters of a movie as a table; only frame, position and photons are known."""
    frame, xyz, photons = (tensor.numpy() for tensor in emitters.flat())
    return LocalizationTable.build(frame, xyz[:, 0], xyz[:, 1], photons=photons)
