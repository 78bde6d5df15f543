"""The fifth stage of the 3D pipeline: the network tried on simulated frames and on the movie's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera, LocalizationTable
from autods.inference.observation import Observation
from autods.metrics.detection import detection_metrics
from autods.metrics.matching import match
from autods.optics import PSFModel, crlb
from autods.optics.turned import MIRRORED, REVERSED_SCAN, TurnedPSF, of_reversed_scan
from autods.pipelines import figures3d
from autods.pipelines.doubt import signs
from autods.pipelines.measure3d import Extent, photon_simulator
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames, truth_of
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer
from autods.simulation import VolumeConditions

#: Simulated frames, and their side.
_SIMULATED, _SIDE_PX = 32, 64
#: Frames of the movie that are looked at, at least; pixels at most beyond these; molecules that are enough.
_FEWEST, _MOST_PX, _ENOUGH = 10, 250_000, 60
#: Side of the part of the movie's frames that is looked at, px.
REAL_PX = 160
_RADIUS_NM, _AXIAL_RADIUS_NM = 250.0, 500.0
_SEED = 20_001


def turned_psfs(known: KnownPsf) -> dict[str, PSFModel]:
    """Return the PSFs that a stack read the wrong way gives, by name.

    Reversed in depth alone, a PSF has the same images at other depths, which no frame can tell; of another
    medium than the beads', it has not.
    """
    turned: dict[str, PSFModel] = {MIRRORED: TurnedPSF(known.model, MIRRORED, known.z_range_nm)}
    if known.pupil is not None and float(known.pupil.nfp_nm) != 0:
        turned[REVERSED_SCAN] = of_reversed_scan(known.pupil)
    return turned


def try_simulated(
    localizer: VolumeLocalizer,
    known: KnownPsf,
    conditions: VolumeConditions,
    extent: Extent,
    camera: Camera,
    device: torch.device,
    n_frames: int | None = None,
) -> tuple[dict[str, Any], figures3d.SimulatedExample]:
    """Localize simulated frames, so many or as many as are usual, and compare with their truth.

    Returns ``results, example``: scores, root mean square of the errors over each emitter's Cramer-Rao bound,
    and a frame to draw.
    """
    side, n_frames = max(_SIDE_PX, 2 * extent.light_px), n_frames or _SIMULATED
    generator = torch.Generator().manual_seed(_SEED)
    scenes = conditions.sample(n_frames, side, generator).to(device)
    simulator = photon_simulator(known, extent, camera, device)
    counts = simulator(scenes, (side, side), torch.Generator(device).manual_seed(_SEED))
    assert scenes.noise_std is not None
    observation = Observation.of_light(counts / camera.qe, scenes.noise_std, camera)
    found = localizer(observation)
    truth = truth_of(scenes.emitters, side * conditions.pixel_size_nm)
    scores = detection_metrics(truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM)
    lateral, axial = errors_over_bounds(
        localizer.fitter.psf,
        localizer.fitter.size_px,
        truth,
        found,
        scenes.noise_std.double().cpu().numpy(),
        camera.excess_noise_factor / camera.qe,
        device,
    )
    results = {
        "frames": n_frames,
        "emitters": len(truth),
        "jaccard": scores.jaccard,
        "precision": scores.precision,
        "recall": scores.recall,
        "rmse_lateral_nm": scores.rmse_lateral_nm,
        "rmse_axial_nm": scores.rmse_axial_nm,
        "lateral_error_over_bound": lateral,
        "axial_error_over_bound": axial,
    }
    return results, figures3d.SimulatedExample.choose(
        observation.light.cpu().numpy(), truth, found, conditions.pixel_size_nm
    )


def chosen_frames(n_frames: int, side_px: int, per_px: float) -> list[int]:
    """Return the frames of a movie on which a localizer is tried, more of them where each holds little.

    Parameters
    ----------
    n_frames
        Of the movie.
    side_px
        Side of the part of a frame that is looked at, px.
    per_px
        Molecules that are expected in a pixel of a frame; 0 where that is not known.
    """
    affordable = max(_MOST_PX // side_px**2, _FEWEST)
    wanted = min(_ENOUGH / (max(per_px, 1e-9) * side_px**2), affordable)
    chosen = np.linspace(0, n_frames - 1, min(max(math.ceil(wanted), _FEWEST), n_frames)).round().astype(int)
    return [int(t) for t in np.unique(chosen)]


def brightest_window(observation: Observation, side_px: int) -> Observation:
    """Return the square part of some frames that holds the most light; all of it where they are no larger.

    A field of any size is tried in the same time.

    Parameters
    ----------
    observation
        The frames.
    side_px
        Side of the square, px.
    """
    _, height, width = observation.light.shape
    side = min(side_px, height, width)
    if max(height, width) <= side_px:
        return observation
    light = observation.light.clamp_min(0).mean(0)[None, None]
    step = max(1, side // 8)
    sums = torch.nn.functional.avg_pool2d(light, side, step)[0, 0]
    y, x = divmod(int(sums.argmax()), sums.shape[1])
    return observation.window(y * step, x * step, side)


def try_real(
    localizer: VolumeLocalizer,
    observation: Observation,
    chosen: list[int],
    turned: Mapping[str, VolumeLocalizer],
    near_px: float,
) -> tuple[dict[str, Any], figures3d.RealExample]:
    """Localize some frames of the movie, render what was found, and tell how much of the light it explains.

    Returns ``results, example``: `autods.pipelines.doubt.signs`, ``turned``: the same with the PSFs of
    ``turned``; and a frame to draw.

    Parameters
    ----------
    localizer
        With the PSF.
    observation
        The frames `chosen_frames` of the movie.
    chosen
        Their numbers.
    turned
        Localizers with the PSF mirrored or turned, by name.
    near_px
        See `autods.pipelines.doubt.near_px`.
    """
    explained, signal, model, found = _of_block(localizer, observation, near_px)
    others = {name: explained_of(other, observation, near_px) for name, other in turned.items()}
    results = {
        "frames": chosen,
        **explained,
        "turned": others,
    }
    return results, figures3d.RealExample.choose(signal, model, found, chosen)


def explained_of(localizer: VolumeLocalizer, observation: Observation, near_px: float) -> dict[str, float]:
    """Return `autods.pipelines.doubt.signs` of what a localizer makes of some frames."""
    return _of_block(localizer, observation, near_px)[0]


def try_population(
    localizer: VolumeLocalizer,
    known: KnownPsf,
    extent: Extent,
    camera: Camera,
    population: Population,
    observation: Observation,
    near_px: float,
) -> dict[str, float]:
    """Return `explained_of` frames like those of an observation, simulated with the PSF.

    There are twice as many of them, for they are what others are held against.

    Parameters
    ----------
    localizer, known, extent, camera, population
        See `autods.pipelines.limits3d.best_limits`.
    observation
        Frames of the movie.
    near_px
        See `autods.pipelines.doubt.near_px`.
    """
    side = min(observation.light.shape[1:])
    noise = observation.noise_of_frames().repeat(2)
    frames, _ = population_frames(known, extent, camera, side, noise)(population, 0)
    return explained_of(localizer, frames, near_px)


def _of_block(
    localizer: VolumeLocalizer, observation: Observation, near_px: float
) -> tuple[dict[str, float], NDArray[np.float32], NDArray[np.float32], LocalizationTable]:
    """Return the signs of a block of frames, the signal, the model and what was found."""
    frames = observation.light
    shape = (int(frames.shape[0]), int(frames.shape[1]), int(frames.shape[2]))
    # Two emitters in the place of one would explain what a wrong PSF misfits.
    fit, keep = localizer.estimates(observation, apart=False)
    fit = fit.select(keep)
    found = localizer.table(fit, observation)
    model = localizer.fitter.image(fit, shape).to(frames.device).masked_fill(~observation.valid, 0)
    noise = observation.variance_under(model).masked_fill(~observation.valid, 0).cpu().numpy()
    signal, rendered = frames.cpu().numpy(), model.cpu().numpy()
    floor = np.median(signal - rendered, axis=(1, 2), keepdims=True)
    signal = signal - floor
    near_nm = near_px * localizer.fitter.psf.pixel_size_nm
    return signs(signal, rendered, noise, found, near_nm), signal, rendered, found


def errors_over_bounds(
    psf: PSFModel,
    size_px: int,
    truth: LocalizationTable,
    found: LocalizationTable,
    noise_std: NDArray[np.float64],
    excess_noise: float = 1.0,
    device: torch.device | str = "cpu",
) -> tuple[float, float]:
    """Return the root mean square of error over Cramer-Rao bound, lateral per axis and axial.

    The bound is that of the emitter by itself: neighbours make the ratio larger.

    Parameters
    ----------
    psf
        The PSF, on the device.
    size_px
        Side of the window that the bound looks at, px.
    truth, found
        Tables in depth; emitters that were not found do not count.
    noise_std
        (T,) noise without the emitters, photons.
    excess_noise
        Variance of the emitter's light over that of Poisson's law.
    device
        Where to compute.
    """
    pairs = match(truth, found, _RADIUS_NM, _AXIAL_RADIUS_NM)
    if not len(pairs):
        return math.nan, math.nan
    true, seen = truth.select(pairs.truth_index), found.select(pairs.found_index)
    assert true.z_nm is not None
    assert seen.z_nm is not None
    depth = torch.from_numpy(true.z_nm).float().to(device)
    zero = torch.zeros_like(depth)
    # Normal noise acts as a background of the same variance.
    floor = torch.from_numpy(noise_std[true.frame]).float().to(device).square() / excess_noise
    photons = torch.from_numpy(true.photons).float().to(device)
    xyz = torch.stack([zero, zero, depth], 1)
    bounds = crlb(psf, xyz, photons, floor, size_px, excess_noise=excess_noise).double().cpu().numpy()
    lateral_error = np.hypot(seen.x_nm - true.x_nm, seen.y_nm - true.y_nm) / math.sqrt(2)
    lateral_bound = np.sqrt(np.mean(bounds[:, :2] ** 2, axis=1))
    return _rms(lateral_error / lateral_bound), _rms((seen.z_nm - true.z_nm) / bounds[:, 2])


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
