"""Movies in depth whose photons, density and depths are known, drawn through bead stacks or formulas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from autods.calibration.beads import collect_beads
from autods.core import Camera, EmitterBatch
from autods.io.movie import open_movie
from autods.io.truth import write_truth
from autods.optics import PSFModel, SplinePSF
from autods.simulation import PsfRenderer, Scenes, Simulator
from autods.simulation.simulator import Exposure

EMCCD = Camera(offset_adu=100.0, e_per_adu=45.0, em_gain=300.0, qe=0.9, read_noise_e=74.4)
SCMOS = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)
#: Molecules are on for so many frames on average, and start anywhere within one.
_ON_FRAMES = 3.0


@dataclass(frozen=True)
class Crowd:
    """What a movie holds.

    Parameters
    ----------
    density_per_um2
        Emitters that are on in a frame.
    photons, log_width
        Median of an emitter that is on for the whole frame, and spread of the logarithm from one to the next.
    background
        Photons per pixel.
    """

    density_per_um2: float
    photons: float
    log_width: float = 0.5
    background: float = 20.0


def bead_psf(stack: Path, camera: Camera, pixel_size_nm: float, z_nm: np.ndarray) -> SplinePSF:
    """Return the mean bead of a stack interpolated, without any model; z are the stack's own positions.

    Each slice holds one photon within the cut-out.
    """
    with open_movie(stack) as movie:
        values = np.asarray(camera.to_photons(movie.read(0, movie.shape[0]).astype(np.float32)))
    step = float(z_nm[1] - z_nm[0])
    volume = collect_beads(values, None, step, None).volume
    border = np.ones(volume.shape[1:], bool)
    border[2:-2, 2:-2] = False
    volume = volume - np.median(volume[:, border], axis=1)[:, None, None]
    return SplinePSF(volume / volume.sum((1, 2), keepdims=True), float(z_nm[0]), step, pixel_size_nm)


def write_movie(
    folder: Path,
    psf: PSFModel,
    z_range_nm: tuple[float, float],
    region_px: int,
    crowd: Crowd,
    camera: Camera,
    n_frames: int,
    size_px: int,
    seed: int,
) -> tuple[Path, Path]:
    """Write ``movie.tif`` and ``truth.csv`` of `draw_movie` to a folder, made when absent; return both."""
    drawn, emitters = draw_movie(psf, z_range_nm, region_px, crowd, camera, n_frames, size_px, seed)
    folder.mkdir(parents=True, exist_ok=True)
    movie, truth = folder / "movie.tif", folder / "truth.csv"
    tifffile.imwrite(movie, in_counts(drawn))
    write_truth(emitters, truth, is_3d=True)
    return movie, truth


def in_counts(exposure: Exposure) -> NDArray[np.uint16]:
    """Return the frames (T, Y, X) as a camera of 16 bits writes them."""
    return exposure.frames.round().clamp(0, 65535).numpy().astype(np.uint16)


def draw_movie(
    psf: PSFModel,
    z_range_nm: tuple[float, float],
    region_px: int,
    crowd: Crowd,
    camera: Camera,
    n_frames: int,
    size_px: int,
    seed: int,
) -> tuple[Exposure, EmitterBatch]:
    """Draw a movie, and the emitters whose centres lie within its field.

    Molecules appear at any time for an exponential time, so that many are on for a part of a frame.

    Parameters
    ----------
    psf, z_range_nm, region_px
        PSF, depths of the molecules and side of what is drawn of each.
    crowd, camera
        What the movie holds, and what records it.
    n_frames, size_px
        Size.
    seed
        Of all draws.
    """
    pixel_nm = psf.pixel_size_nm
    margin = region_px // 2
    field_nm = (-margin * pixel_nm, (size_px + margin) * pixel_nm)
    frame, position, photons = _appearances(
        crowd, field_nm, z_range_nm, n_frames, np.random.default_rng(seed)
    )
    counts = np.bincount(frame, minlength=n_frames)
    slots = max(int(counts.max()), 1)
    slot = np.arange(len(frame)) - np.concatenate([[0], np.cumsum(counts)])[frame]
    xyz, light, mask = (
        torch.zeros(n_frames, slots, 3),
        torch.zeros(n_frames, slots),
        torch.zeros(n_frames, slots, dtype=torch.bool),
    )
    xyz[frame, slot] = torch.from_numpy(position).float()
    light[frame, slot] = torch.from_numpy(photons).float()
    mask[frame, slot] = True
    scenes = Scenes(
        EmitterBatch(xyz, light, mask),
        torch.full((n_frames,), crowd.background),
        torch.full((n_frames,), 100.0),
    )
    simulator = Simulator([PsfRenderer(psf, region_px)], [camera])
    generator = torch.Generator().manual_seed(seed)
    shape = (size_px, size_px)
    background = simulator.background(torch.tensor([crowd.background]), shape, generator)
    drawn = simulator.exposure(scenes, shape, generator, background.expand(n_frames, *shape))
    inside = ((xyz[..., :2] >= 0) & (xyz[..., :2] < size_px * pixel_nm)).all(-1)
    return drawn, EmitterBatch(xyz, light, mask & inside)


def _appearances(
    crowd: Crowd,
    field_nm: tuple[float, float],
    z_range_nm: tuple[float, float],
    n_frames: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame (N,), position (N, 3) in nm and photons (N,) of molecules in frames, ordered by frame."""
    low_nm, high_nm = field_nm
    area_um2 = ((high_nm - low_nm) * 1e-3) ** 2
    # A molecule that is on for a time t is seen in t + 1 frames on average.
    n = rng.poisson(crowd.density_per_um2 * area_um2 * (n_frames + 30) / (_ON_FRAMES + 1))
    start = rng.uniform(-30, n_frames, n)
    end = start + rng.exponential(_ON_FRAMES, n)
    place = rng.uniform(low_nm, high_nm, (n, 2))
    depth = rng.uniform(*z_range_nm, n)
    flux = crowd.photons * np.exp(crowd.log_width * rng.standard_normal(n))
    rows: list[list[np.ndarray]] = [[], [], []]
    for t in range(n_frames):
        share = np.minimum(end, t + 1) - np.maximum(start, t)
        on = np.flatnonzero(share > 0)
        for column, values in zip(rows, (np.full(len(on), t), on, flux[on] * share[on]), strict=True):
            column.append(values)
    frame, molecule, photons = (np.concatenate(column) for column in rows)
    return frame, np.column_stack([place[molecule], depth[molecule]]), photons
