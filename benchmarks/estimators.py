"""Calibration of the density and SNR estimators on simulated patches, and their errors over a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera
from autods.estimation.correction import Correction, fit_correction
from autods.estimation.patch import measure_patch
from autods.estimation.statistics import frame_statistics
from autods.simulation.background import background_maps
from autods.simulation.conditions import ImagingConditions, Spread
from autods.simulation.frames import GaussianRenderer, pixel_integrals
from autods.simulation.noise import expose

#: Cameras of the calibration: ideal, two sCMOS, EMCCD.
CAMERAS = (
    Camera(),
    Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.8, read_noise_e=1.5),
    Camera(offset_adu=400.0, e_per_adu=2.0, qe=0.75, read_noise_e=2.0),
    Camera(offset_adu=200.0, e_per_adu=10.0, em_gain=200.0, qe=0.9, read_noise_e=60.0),
)
#: The grid of the error table.
GRID_DENSITY_PER_UM2 = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0)
GRID_SNR = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)

_PIXEL_NM = 100.0


@dataclass(frozen=True)
class PatchConditions:
    """What a simulated patch is made of.

    Parameters
    ----------
    density_per_um2, snr
        Emitters per um^2 and frame, and mean continuous peak amplitude over the background noise.
    psf_sigma_px
        In-focus PSF standard deviation, pixels of 100 nm.
    background
        Photons per pixel.
    brightness_shape
        Shape of the gamma distribution of the emitters' brightness.
    n_frames, size_px
        Frames, and side of the patch.
    camera
        Camera.
    nonuniformity
        Gradient and blobs of the background, relative.
    structured
        Fraction of the frames whose emitters lie on filaments.
    defocus_nm
        Range of z, either side.
    """

    density_per_um2: float
    snr: float
    psf_sigma_px: float = 1.2
    background: float = 50.0
    brightness_shape: float = 4.0
    n_frames: int = 50
    size_px: int = 64
    camera: Camera = CAMERAS[0]
    nonuniformity: float = 0.2
    structured: float = 0.0
    defocus_nm: float = 100.0


@dataclass(frozen=True)
class SimulatedPatch:
    """Frames (T, Y, X) in ADU and their truth.

    ``snr`` is the mean, over the emitters inside, of the brightest pixel's expected amplitude over the
    standard deviation of the background noise; ``density_per_um2`` counts the emitters inside.
    """

    frames: NDArray[np.float32]
    density_per_um2: float
    snr: float
    noise_std: float


@dataclass(frozen=True)
class EstimatorErrors:
    """Estimate over truth on the grid, (density, SNR, repeats) each; NaN where nothing was found."""

    density_published: NDArray[np.float64]
    density_corrected: NDArray[np.float64]
    snr_published: NDArray[np.float64]
    snr_corrected: NDArray[np.float64]

    def medians(self) -> dict[str, float]:
        """Median relative error of each estimator over the grid; nothing found counts as an error of 1."""
        return {
            name: float(np.median(np.nan_to_num(np.abs(ratio - 1), nan=1.0)))
            for name, ratio in vars(self).items()
        }


def simulate_patch(conditions: PatchConditions, generator: torch.Generator) -> SimulatedPatch:
    """Simulate a patch of a movie whose background is static and whose emitters are new in each frame."""
    c, camera = conditions, conditions.camera
    read = float(camera.read_noise_photons)
    scenes = ImagingConditions(
        density_per_um2=_exactly(c.density_per_um2),
        snr=_exactly(c.snr),
        background=_exactly(c.background),
        psf_sigma_nm=_exactly(c.psf_sigma_px * _PIXEL_NM),
        pixel_size_nm=_PIXEL_NM,
        brightness_shape=c.brightness_shape,
        defocus_nm=c.defocus_nm,
        structured=c.structured,
        empty=0.0,
        noise_variance_factor=camera.excess_noise_factor / camera.qe,
        read_noise_photons=read,
    ).sample(c.n_frames, c.size_px, generator)
    shape = (c.size_px, c.size_px)
    strength = c.nonuniformity
    background = background_maps(
        torch.tensor([c.background]), shape, generator, gradient=strength, blobs=strength
    )
    light = GaussianRenderer(_PIXEL_NM)(scenes, shape, generator) + background
    side_nm = c.size_px * _PIXEL_NM
    _, xyz_nm, photons = scenes.emitters.flat()
    inside = ((xyz_nm[:, :2] >= 0) & (xyz_nm[:, :2] < side_nm)).all(1)
    noise_photons = math.sqrt(camera.excess_noise_factor / camera.qe * c.background + read**2)
    sigma_nm = c.psf_sigma_px * _PIXEL_NM * (1 + (xyz_nm[:, 2] / 400) ** 2).sqrt()
    within = torch.remainder(xyz_nm, _PIXEL_NM)
    peak = photons * _own_pixel(within[:, 0], sigma_nm) * _own_pixel(within[:, 1], sigma_nm)
    return SimulatedPatch(
        frames=expose(light, camera, generator).numpy(),
        density_per_um2=int(inside.sum()) / c.n_frames / (side_nm * 1e-3) ** 2,
        snr=float(peak[inside].mean()) / noise_photons,
        noise_std=noise_photons / camera.photons_per_adu,
    )


def draw_conditions(rng: np.random.Generator) -> PatchConditions:
    """Draw the conditions of one calibration patch, wider than the error table's grid in every respect."""
    return PatchConditions(
        density_per_um2=_log_uniform(rng, 0.03, 8.0),
        snr=_log_uniform(rng, 1.0, 25.0),
        psf_sigma_px=rng.uniform(0.85, 1.8),
        background=_log_uniform(rng, 4.0, 600.0),
        brightness_shape=float(rng.choice([2.0, 4.0, 4.0, 8.0, 20.0, 100.0])),
        n_frames=int(rng.choice([1, 5, 15, 50, 100], p=[0.1, 0.1, 0.2, 0.3, 0.3])),
        size_px=int(rng.choice([16, 32, 64, 96], p=[0.1, 0.2, 0.5, 0.2])),
        camera=CAMERAS[int(rng.integers(len(CAMERAS)))],
        nonuniformity=rng.uniform(0, 0.4),
        structured=float(rng.choice([0.0, 0.5, 1.0], p=[0.7, 0.15, 0.15])),
        defocus_nm=float(rng.choice([0.0, 100.0, 200.0])),
    )


def calibrate(n_patches: int, seed: int) -> Correction:
    """Fit the estimators' correction on ``n_patches`` simulated patches.

    The statistics are taken with a PSF width that is 5 % off, as a measured one is.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    features: list[NDArray[np.float64]] = []
    targets: list[list[float]] = []
    while len(features) < n_patches:
        conditions = draw_conditions(rng)
        patch = simulate_patch(conditions, generator)
        if patch.density_per_um2 == 0:
            continue
        psf_sigma_px = conditions.psf_sigma_px * math.exp(rng.normal(0, 0.05))
        statistics = frame_statistics(patch.frames, psf_sigma_px)
        resolution_element_um2 = 4 * math.pi * (psf_sigma_px * _PIXEL_NM * 1e-3) ** 2
        features.append(statistics.features(psf_sigma_px))
        targets.append(
            [
                math.log(patch.density_per_um2 * resolution_element_um2),
                math.log(patch.snr),
                math.log(patch.noise_std / float(statistics.noise.mean())),
            ]
        )
    return fit_correction(np.array(features), np.array(targets))


def estimator_errors(repeats: int, seed: int) -> EstimatorErrors:
    """Compare published and corrected estimators with the truth over the grid, PSF width measured.

    Each cell holds ``repeats`` patches of 64 x 64 pixels and 50 to 100 frames with PSF widths of 1.0-1.4 px,
    brightness, background and camera drawn anew.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    ratios = np.full((4, len(GRID_DENSITY_PER_UM2), len(GRID_SNR), repeats), np.nan)
    for i, j, k in np.ndindex(ratios.shape[1:]):
        conditions = PatchConditions(
            density_per_um2=GRID_DENSITY_PER_UM2[i],
            snr=GRID_SNR[j],
            psf_sigma_px=rng.uniform(1.0, 1.4),
            background=_log_uniform(rng, 5.0, 500.0),
            brightness_shape=float(rng.choice([4.0, 100.0])),
            n_frames=int(rng.integers(50, 101)),
            camera=CAMERAS[int(rng.integers(len(CAMERAS)))],
            nonuniformity=rng.uniform(0, 0.3),
        )
        patch = simulate_patch(conditions, generator)
        profile = measure_patch(patch.frames, _PIXEL_NM)
        ratios[:, i, j, k] = (
            profile.density_published_per_um2 / patch.density_per_um2,
            profile.density_per_um2 / patch.density_per_um2,
            profile.snr_published / patch.snr,
            profile.snr / patch.snr,
        )
    return EstimatorErrors(*ratios)


def _exactly(value: float) -> Spread:
    return Spread(value, value, value)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _own_pixel(within_nm: torch.Tensor, sigma_nm: torch.Tensor) -> torch.Tensor:
    """Part of the light, along one axis, in the pixel that the emitter lies in."""
    return pixel_integrals(within_nm, sigma_nm, 1, _PIXEL_NM)[:, 0]
