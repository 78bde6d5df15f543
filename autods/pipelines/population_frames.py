"""Frames of a population of emitters, as a movie of this PSF and noise would hold them, with their truth."""

from __future__ import annotations

import dataclasses
import functools
from typing import Protocol

import torch

from autods.core import Camera, EmitterBatch, LocalizationTable
from autods.inference.observation import Observation
from autods.pipelines.measure3d import Extent, photon_simulator
from autods.pipelines.population import Population, draw_shares
from autods.pipelines.psf_source import KnownPsf
from autods.simulation import Scenes
from autods.simulation.photophysics import Blinks
from autods.simulation.positions import uniform_positions
from autods.simulation.structures import Sample

_SEED = 30_001


class SimulatePopulation(Protocol):
    """Makes frames of a population, the same ones for the same number, and the truth within them."""

    def __call__(
        self, population: Population, number: int, *, follow: bool = False
    ) -> tuple[Observation, LocalizationTable]:
        """Return frames and truth; those that ``follow`` each other in time show the same emitters."""
        ...


def population_frames(
    known: KnownPsf, extent: Extent, camera: Camera, side: int, noise_std: torch.Tensor
) -> SimulatePopulation:
    """Return what makes frames of populations.

    Parameters
    ----------
    known, extent
        The PSF.
    camera
        Of the movie.
    side
        Of the frames, px.
    noise_std
        (T,) noise of each frame without emitters, photons; where to compute.
    """
    device = noise_std.device
    simulator = photon_simulator(known, extent, camera, device)
    pixel_nm, n = known.model.pixel_size_nm, len(noise_std)
    margin = extent.render_px // 2
    low_nm, high_nm = -margin * pixel_nm, (side + margin) * pixel_nm

    def simulate(
        population: Population, number: int, *, follow: bool = False
    ) -> tuple[Observation, LocalizationTable]:
        seed = _SEED + number
        generator = torch.Generator().manual_seed(seed)
        mean, on_frames = population.density_per_um2 * ((high_nm - low_nm) * 1e-3) ** 2, population.on_frames
        draw = functools.partial(_draw, population, (low_nm, high_nm), known.z_range_nm, generator)
        if follow and on_frames is not None:
            # An event of mean length m touches m + 1 frames on average, and n frames see events of m + n.
            events = draw(1, mean * (on_frames + n) / (on_frames + 1))
            emitters = _over_frames(events, on_frames, n, generator)
        else:
            emitters = draw(n, mean)
            if on_frames is not None:
                shares = draw_shares(tuple(emitters.photons.shape), on_frames, generator)
                emitters = dataclasses.replace(emitters, photons=emitters.photons * shares)
        zero = torch.zeros(n)
        seen = _seen(known, emitters.xyz_nm[..., 2])
        whole = dataclasses.replace(emitters, photons=emitters.photons / seen)
        scenes = Scenes(whole, zero, zero + 100.0, noise_std.cpu()).to(device)
        counts_e = simulator(scenes, (side, side), torch.Generator(device).manual_seed(seed))
        light = Observation.of_light(counts_e / camera.qe, noise_std, camera)
        return light, truth_of(emitters, side * pixel_nm)

    return simulate


def _draw(
    population: Population,
    range_nm: tuple[float, float],
    z_range_nm: tuple[float, float],
    generator: torch.Generator,
    rows: int,
    mean: float,
) -> EmitterBatch:
    """Draw emitters that are on all the time, in so many rows, ``mean`` of them in each on average."""
    counts = torch.poisson(torch.full((rows,), mean), generator=generator)
    slots, (low, high) = max(int(counts.max()), 1), z_range_nm
    mask = torch.arange(slots) < counts[:, None]
    xy = uniform_positions(rows, slots, *range_nm, generator)
    z = low + (high - low) * torch.rand((rows, slots, 1), generator=generator)
    spread = torch.randn((rows, slots), generator=generator)
    photons = population.median_photons * torch.exp(population.log_width * spread) * mask
    return EmitterBatch(torch.cat([xy, z], -1) * mask[..., None], photons, mask)


def _over_frames(
    events: EmitterBatch, on_frames: float, n_frames: int, generator: torch.Generator
) -> EmitterBatch:
    """Return the emitters of consecutive frames, of events of one row that are seen in any of them.

    Of those, ``m`` in ``m + n`` are on when the first of n frames begins, and go on for as long as others,
    whose on-time is exponential with mean m.
    """
    _, xyz, photons = events.flat()
    early, begin, last = (torch.rand((len(photons),), generator=generator) for _ in range(3))
    start = torch.where(early < on_frames / (on_frames + n_frames), 0.0, begin * n_frames)
    stop = start - on_frames * torch.log1p(-last)
    order = torch.arange(len(photons))
    one = torch.ones(len(photons))
    return Blinks(order, start, stop, photons).during(Sample(xyz, one, one), 0, n_frames)


def _seen(known: KnownPsf, z_nm: torch.Tensor) -> torch.Tensor | float:
    """Return the share of an emitter's light at depths (T, N) that the calibration has seen."""
    return 1.0 if known.error is None else torch.from_numpy(known.error.seen_at(z_nm.numpy())).float()


def truth_of(emitters: EmitterBatch, side_nm: float) -> LocalizationTable:
    """Return the emitters within square frames as a table in depth."""
    frame, xyz, photons = emitters.flat()
    inside = ((xyz[:, :2] >= 0) & (xyz[:, :2] < side_nm)).all(1)
    x, y, z = (column[inside].double().cpu().numpy() for column in xyz.unbind(1))
    return LocalizationTable.build(
        frame[inside].cpu().numpy(), x, y, z_nm=z, photons=photons[inside].double().cpu().numpy()
    )
