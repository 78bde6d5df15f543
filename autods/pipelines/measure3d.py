"""The second and third stage of the 3D pipeline: background, noise, photons and density of a movie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera
from autods.estimation.brightness import fluctuation_photons
from autods.estimation.light import LightMovie
from autods.estimation.snr3d import (
    NOISE_WIDENING,
    PHOTON_WIDENING,
    characterise,
    light_density_per_um2,
)
from autods.optics import PSFModel
from autods.optics.extent import LIGHT_SHARE, fitted_size_px, peak_per_photon, power_sums, region_size_px
from autods.pipelines import figures3d
from autods.pipelines.population import Population
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.settings3d import SnrSettings
from autods.simulation import PsfRenderer, Simulator, VolumeConditions

#: Share of an emitter's light within the window of simulations, and its largest side, px.
RENDER_SHARE = 0.95
_MAX_RENDER_PX = 81
#: Largest noise that is trained for, over that of the quietest pixels.
_MAX_NOISE_RATIO = 3.0
#: Background that its subtraction may leave behind, in units of the noise's variance.
_REMAINDER = 0.15
#: The brightest emitters over what the fluctuations tell, at most.
_BRIGHTEST = 2.0
#: Mean light of an emitter over that of the brightest.
_MEAN_SHARE = 0.4
#: The densest training frames hold this many times the mean, for samples are not even.
_CROWDING = 4.0
_MAX_DENSITY_PER_UM2 = 5.0
#: Where the bright half that is trained for begins and ends, and the dimmest, in deviations of the logarithm.
_MIDDLE, _BRIGHT, _DIM = -0.3, 2.3, -2.5
#: Peak of the dimmest emitters that are trained for, over the noise; share of the brightest at least.
_DIMMEST_PEAK, _DIMMEST_SHARE = 2.0, 0.03


@dataclass(frozen=True)
class Extent:
    """Sides (odd, px) of the windows that hold an emitter."""

    #: Holds nearly all that tells its position, px: for fits.
    fit_px: int
    #: Holds most of its light, px: for training frames and margins.
    light_px: int
    #: Holds nearly all of it, px: for simulations.
    render_px: int

    @classmethod
    def of(cls, known: KnownPsf) -> Extent:
        """Measure a PSF over its depths."""
        low, high = known.z_range_nm
        light, nearly_all = (
            region_size_px(known.model, low, high, share, _MAX_RENDER_PX)
            for share in (LIGHT_SHARE, RENDER_SHARE)
        )
        fitted = fitted_size_px(known.model, low, high, _MAX_RENDER_PX)
        return cls(fitted, max(light, 9), max(nearly_all, 11))


def measure_background(movie: LightMovie, figure: Path) -> dict[str, Any]:
    """Summarize background and noise of a movie in photons, and draw them."""
    n_frames = movie.shape[0]
    chosen = np.unique(np.linspace(0, n_frames - 1, 5).round().astype(int)).tolist()
    background = np.concatenate([movie.background(t, t + 1) for t in chosen])
    noise = np.concatenate([movie.noise(t, t + 1) for t in chosen])
    low, median, high = (float(value) for value in np.percentile(background, [1, 50, 99]))
    quiet, _, noisy = (float(value) for value in np.nanpercentile(noise, [1, 50, 99]))
    middle = n_frames // 2
    figures3d.save_background(
        movie.read(middle, middle + 1)[0] + movie.background(middle, middle + 1)[0],
        movie.background(middle, middle + 1)[0],
        background.mean((1, 2)),
        chosen,
        figure,
    )
    return {
        "photons_1st_percentile": low,
        "photons_median": median,
        "photons_99th_percentile": high,
        "noise_1st_percentile": quiet,
        "noise_99th_percentile": noisy,
    }


def measure_snr(
    movie: LightMovie,
    known: KnownPsf,
    settings: SnrSettings,
    camera: Camera,
    background: dict[str, Any],
    figure: Path,
    first_pass: Callable[[], Population | None],
) -> dict[str, Any]:
    """Measure noise, photons and density, and say what to train for.

    Parameters
    ----------
    movie
        The light above the background.
    known
        The PSF.
    settings
        Where to look.
    camera
        For the noise of the light.
    background
        From `measure_background`.
    figure
        File of the figure.
    first_pass
        Finds the population that tells photons and density, unless the brightest pixel's value is given;
        where it finds too little, the pixels' statistics tell.
    """
    peak = peak_per_photon(known.model, *known.z_range_nm)
    found = characterise(movie, peak, settings.region, settings.size_px, settings.max_pixel_value)
    pixel_nm = known.model.pixel_size_nm
    read = float(np.mean(np.square(camera.read_noise_photons)))
    fluctuation = fluctuation_photons(
        movie,
        *power_sums(known.model, *known.z_range_nm),
        camera.qe,
        camera.excess_noise_factor,
        read * camera.qe**2,
    )
    # Where emitters overlap, the brightest pixel is the light of several.
    crowded = settings.max_pixel_value is None and found.photons > _BRIGHTEST * fluctuation
    brightest = _BRIGHTEST * fluctuation if crowded else found.photons
    density = light_density_per_um2(movie, _MEAN_SHARE * brightest, pixel_nm)
    noise_low, noise_high = _noise_range(background)
    photons_range = [factor * brightest for factor in PHOTON_WIDENING]
    dimmest = max(_DIMMEST_PEAK * noise_low / peak, _DIMMEST_SHARE * brightest)
    population = first_pass() if settings.max_pixel_value is None else None
    if population is not None:
        brightest, density = population.photons(_BRIGHT), population.density_per_um2
        photons_range = [population.photons(_MIDDLE), brightest]
        dimmest = max(_DIMMEST_PEAK * noise_low / peak, population.photons(_DIM))
    figures3d.save_snr(movie, found, figure)
    return {
        "region": list(found.region.box),
        "region_reason": found.region.reason,
        "n_frames": found.n_frames,
        "noise_mean": found.noise_mean,
        "noise_std": found.noise_std,
        "noise_std_range": [noise_low, noise_high],
        "max_pixel_value": found.max_pixel_value,
        "peak_per_photon": peak,
        "photons_of_brightest_pixel": found.photons,
        "photons_of_fluctuations": fluctuation,
        "photons": brightest,
        "photons_range": photons_range,
        "dimmest_photons": min(dimmest, photons_range[0]),
        "density_per_um2": density,
        "population": None if population is None else vars(population),
    }


def _noise_range(background: dict[str, Any]) -> tuple[float, float]:
    """Return the noise to train for: from that of the quietest pixels, widened, to that of the noisiest."""
    low, high = background["noise_1st_percentile"], background["noise_99th_percentile"]
    return low, min(max(NOISE_WIDENING[1] * low, high), _MAX_NOISE_RATIO * low)


def training_conditions(
    measured: dict[str, Any], known: KnownPsf, extent: Extent, size_px: int
) -> VolumeConditions:
    """Return what a network for the movie must be trained for.

    Parameters
    ----------
    measured
        From `measure_snr`.
    known
        The PSF and its depths.
    extent
        Of the PSF.
    size_px
        Side of the training frames, px.
    """
    edge_px = -float(extent.light_px // 4)
    pixel_nm = known.model.pixel_size_nm
    area_um2 = ((size_px - 2 * edge_px) * pixel_nm * 1e-3) ** 2
    densest = min(_CROWDING * measured["density_per_um2"], _MAX_DENSITY_PER_UM2)
    noise_low, noise_high = measured["noise_std_range"]
    low, high = measured["photons_range"]
    return VolumeConditions(
        z_min_nm=known.z_range_nm[0],
        z_max_nm=known.z_range_nm[1],
        photons=(low, high),
        dimmest_photons=measured["dimmest_photons"],
        pixel_size_nm=pixel_nm,
        n_emitters=(0, max(4, math.ceil(densest * area_um2))),
        edge_px=edge_px,
        background=(0.0, _REMAINDER * noise_low**2),
        noise_std=(noise_low, noise_high),
        psf_sigma_nm=pixel_nm / math.sqrt(2 * math.pi * measured["peak_per_photon"]),
    )


def photon_simulator(known: KnownPsf, extent: Extent, camera: Camera, device: torch.device) -> Simulator:
    """Return a simulator of frames without background, exposed with `counting_camera`.

    Values are electrons; the noise of the read-out and of the background is the conditions' normal noise.
    """
    renderer = PsfRenderer.fast(known.model, *known.z_range_nm, size_px=extent.render_px)
    _move(renderer.psf, device)
    return Simulator([renderer], [counting_camera(camera)], gradient=0.3, blobs=0.3)


def counting_camera(camera: Camera) -> Camera:
    """Return a camera of the same efficiency and excess noise, with one electron an ADU and no read noise."""
    return Camera(em_gain=camera.em_gain, e_per_adu=camera.em_gain or 1.0, qe=camera.qe)


def _move(psf: PSFModel, device: torch.device) -> None:
    if isinstance(psf, torch.nn.Module):
        psf.to(device)


def as_tensor(frames: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    """Put frames (T, Y, X) on a device."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device)
