"""Frames of a population of emitters, as a movie of this PSF and noise would hold them, with their truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from autods.core import Camera, EmitterBatch, LocalizationTable
from autods.inference.observation import Observation
from autods.pipelines.measure3d import Extent, photon_simulator
from autods.pipelines.population import Population, draw_shares
from autods.pipelines.psf_source import KnownPsf
from autods.simulation import Scenes
from autods.simulation.positions import uniform_positions

_SEED = 30_001


def population_frames(
    known: KnownPsf, extent: Extent, camera: Camera, side: int, noise_std: torch.Tensor
) -> Callable[[Population, int], tuple[Observation, LocalizationTable]]:
    """Return what makes frames of a population, the same ones for the same number, and the truth within them.

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
    low, high = known.z_range_nm

    def simulate(population: Population, number: int) -> tuple[Observation, LocalizationTable]:
        seed = _SEED + number
        generator = torch.Generator().manual_seed(seed)
        mean = population.density_per_um2 * ((high_nm - low_nm) * 1e-3) ** 2
        counts = torch.poisson(torch.full((n,), mean), generator=generator)
        slots = max(int(counts.max()), 1)
        mask = torch.arange(slots) < counts[:, None]
        xy = uniform_positions(n, slots, low_nm, high_nm, generator)
        z = low + (high - low) * torch.rand((n, slots, 1), generator=generator)
        spread = torch.randn((n, slots), generator=generator)
        photons = population.median_photons * torch.exp(population.log_width * spread) * mask
        if population.on_frames is not None:
            photons = photons * draw_shares((n, slots), population.on_frames, generator)
        emitters = EmitterBatch(torch.cat([xy, z], -1) * mask[..., None], photons, mask)
        zero = torch.zeros(n)
        whole = dataclasses.replace(emitters, photons=photons / _seen(known, z[..., 0]))
        scenes = Scenes(whole, zero, zero + 100.0, noise_std.cpu()).to(device)
        counts_e = simulator(scenes, (side, side), torch.Generator(device).manual_seed(seed))
        light = Observation.of_light(counts_e / camera.qe, noise_std, camera)
        return light, truth_of(emitters, side * pixel_nm)

    return simulate


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
