"""Movies with known truth, a chunk of frames at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from autods.core import EmitterBatch
from autods.simulation.photophysics import Blinks
from autods.simulation.scenes import Scenes
from autods.simulation.simulator import Simulator
from autods.simulation.structures import Sample


def simulate_movie(
    sample: Sample,
    blinks: Blinks,
    n_frames: int,
    shape_px: tuple[int, int],
    simulator: Simulator,
    generator: torch.Generator,
    *,
    background: float,
    psf_sigma_nm: float,
    pixel_size_nm: float,
    chunk: int = 100,
    drift_nm: Tensor | None = None,
) -> Iterator[tuple[Tensor, EmitterBatch]]:
    """Expose the camera to a blinking sample.

    Parameters
    ----------
    sample, blinks
        What shines when.
    n_frames
        Length of the movie.
    shape_px
        Rows and columns, px.
    simulator
        PSF, background and camera.
    generator
        Source of randomness.
    background
        Mean background, photons per pixel.
    psf_sigma_nm
        In-focus PSF standard deviation, nm.
    pixel_size_nm
        Camera pixel, nm.
    chunk
        Frames at a time.
    drift_nm
        (T, 2) or (T, 3) position of the sample in each frame, nm; None: it does not move.

    Yields
    ------
    frames, emitters
        (t, Y, X) uint16 ADU, and the emitters inside the field in these frames.
    """
    height_nm, width_nm = (n * pixel_size_nm for n in shape_px)
    still = simulator.background(torch.tensor([background]), shape_px, generator)
    for first in range(0, n_frames, chunk):
        emitters = blinks.during(sample, first, min(first + chunk, n_frames))
        if drift_nm is not None:
            moved = emitters.xyz_nm.clone()
            moved[..., : drift_nm.shape[1]] += drift_nm[first : first + len(emitters), None].to(moved)
            emitters = replace(emitters, xyz_nm=moved)
        level = torch.full((len(emitters),), background)
        sigma = torch.full((len(emitters),), psf_sigma_nm)
        frames = simulator(Scenes(emitters, level, sigma), shape_px, generator, still)
        x, y = emitters.xyz_nm[..., 0], emitters.xyz_nm[..., 1]
        inside = emitters.mask & (x >= 0) & (x < width_nm) & (y >= 0) & (y < height_nm)
        truth = EmitterBatch(emitters.xyz_nm, emitters.photons * inside, inside)
        yield frames.round().clamp(0, 65535).to(torch.uint16), truth
