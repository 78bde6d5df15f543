"""From the settings of the command line to the typed arguments of the pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from numpy.typing import NDArray

from autods.configuration.schema import (
    CameraConfig,
    FinishConfig,
    LocalizeConfig,
    ResultConfig,
    SelectionConfig,
    SimulateConfig,
)
from autods.core import Camera, OpticalSystem, UserError
from autods.io.movie import open_movie
from autods.optics import PSFModel
from autods.pipelines.definitions import LOCALIZE
from autods.pipelines.settings import (
    CameraSettings,
    FinishSettings,
    LocalizeSettings,
    parse_frames,
    parse_roi,
)
from autods.pipelines.simulate import SimulationSettings


def localize_settings(config: LocalizeConfig) -> LocalizeSettings:
    """Return the settings of the 2D pipeline.

    Raises `UserError` if a value is out of range or the file of a camera map cannot be read.
    """
    return LocalizeSettings(
        optics=config.optics,
        camera=camera_settings(config.camera),
        **selection_arguments(config.selection),
        patch_um=config.tiling.patch_um,
        background=config.background,  # type: ignore[arg-type]
        rescale=config.rescale,
        channel=config.channel,
        position=config.position,
        frames=parse_frames(config.frames),
        roi=parse_roi(config.roi),
        threshold=config.decode.threshold,
        min_significance=config.decode.min_significance,
        refine=config.refine,  # type: ignore[arg-type]
        max_uncertainty_nm=config.decode.max_uncertainty_nm,
        finish=finish_settings(config),
        render_pixel_size_nm=config.render.pixel_size_nm,
        zoo=None if config.zoo is None else Path(config.zoo),
        device=config.device,
    )


def finish_settings(config: ResultConfig | FinishConfig) -> FinishSettings:
    """Return what is to be done with the localizations.

    Raises `UserError` if a value cannot be meant.
    """
    return FinishSettings(config.filter, config.drift, config.link.radius_nm, config.link.gap)


def selection_arguments(config: SelectionConfig) -> dict[str, Any]:
    """Return rule, scope and family as `LocalizeSettings` names them."""
    return {"selection": config.rule, "scope": config.scope, "family": config.family}


def camera_settings(config: CameraConfig) -> CameraSettings:
    """Return what was said about the camera, maps read from their files.

    Raises `UserError` if a number is none that a camera can have, or the file of a map cannot be read.
    """
    for name, value in asdict(config).items():
        if isinstance(value, (int, float)):
            LOCALIZE[f"camera.{name}"].require(value)
    return CameraSettings(
        offset_adu=_number_or_map("camera.offset_adu", config.offset_adu),
        e_per_adu=config.e_per_adu,
        em_gain=config.em_gain,
        qe=config.qe,
        read_noise_e=_number_or_map("camera.read_noise_e", config.read_noise_e),
    )


def simulation_settings(config: SimulateConfig) -> SimulationSettings:
    """Return the settings of a simulation; what is null there has no meaning but `em_gain`.

    Raises `UserError` if a value is missing or out of range.
    """
    values = {key: value for key, value in vars(config).items() if key not in ("optics", "camera", "psf")}
    psf = dict(config.psf)
    values |= {key: psf.pop(key) for key in ("z_min_nm", "z_max_nm") if key in psf}
    if config.optics.pixel_size_nm is None:
        raise UserError("a simulation needs optics.pixel_size_nm: give it in nm")
    given = {name: value for name, value in vars(camera_settings(config.camera)).items() if value is not None}
    optics = OpticalSystem(**asdict(config.optics))
    return SimulationSettings(optics=optics, camera=Camera(**given), psf=psf_formula(psf), **values)


def psf_formula(values: dict[str, Any]) -> Callable[[OpticalSystem], PSFModel] | None:
    """Return what makes a PSF of a microscope, from a choice of ``conf/psf``; None without a choice."""
    return instantiate({**values, "_partial_": True}) if values else None


def _number_or_map(key: str, value: float | str | None) -> float | NDArray[np.float32] | None:
    """Return a number as it is, and a text as the one-frame image of the file that it names."""
    if not isinstance(value, str):
        return None if value is None else float(value)
    if not Path(value).exists():
        raise UserError(f"{key}={value}: there is no such file: give a number or the file of a map")
    with open_movie(value) as image:
        if image.shape[0] != 1:
            raise UserError(f"{key}={value} has {image.shape[0]} frames: a map has one")
        values: NDArray[np.float32] = image.read(0, 1)[0].astype(np.float32)
    return values
