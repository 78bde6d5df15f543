"""From the settings of ``calibrate`` and ``localize3d`` to the typed arguments of the pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autods.calibration.bead_calibration import BeadSettings
from autods.calibration.retrieval import RetrievalSettings
from autods.configuration.compose import load
from autods.configuration.convert import camera_settings, finish_settings, psf_formula
from autods.configuration.schema3d import CalibrationConfig, Localize3DConfig
from autods.core import UserError
from autods.inference import pick_device
from autods.pipelines.settings import parse_frames, parse_roi
from autods.pipelines.settings3d import Localize3DSettings, PsfSettings, TrainingSettings

#: Settings that only a training has.
_OF_TRAININGS = ("family=", "trainer.", "data.", "network.", "module.")


def compose_localize3d(overrides: Sequence[str]) -> Localize3DConfig:
    """Compose the settings of `localize3d`, with the preset that suits the device.

    Without a GPU nothing is trained, unless a setting speaks of a training. Raises `UserError` if a setting
    is unknown or of a wrong type.
    """
    words = list(overrides)
    if not any(word.startswith("preset=") for word in words):
        device = next((word.partition("=")[2] for word in words if word.startswith("device=")), "auto")
        trains = any(word.startswith(_OF_TRAININGS) for word in words)
        words.append(f"preset={_usual_preset(device, trains=trains)}")
    return load(Localize3DConfig, words)


def _usual_preset(device: str, *, trains: bool = False) -> str:
    if pick_device(device).type == "cuda":
        return "default"
    return "cpu_quick" if trains else "instant"


def preset_settings(preset: str | None, device: str) -> tuple[TrainingSettings, int]:
    """Return the training of a preset, and how often the network looks at a frame.

    Raises `UserError` if there is no such preset or device.

    Parameters
    ----------
    preset
        ``instant``, ``cpu_quick``, ``default`` or ``paper``; None: the one that suits the device.
    device
        As in `Localize3DSettings`.
    """
    config = load(Localize3DConfig, [f"preset={preset or _usual_preset(device)}"])
    return _training_settings(config), config.passes


def localize3d_settings(config: Localize3DConfig, sources: Mapping[str, Path | None]) -> Localize3DSettings:
    """Return the settings of the pipeline.

    Raises `UserError` if a setting does not fit or a path does not exist.

    Parameters
    ----------
    config
        From `compose_localize3d`.
    sources
        Where the PSF comes from if it is no PSF by name: paths of ``beads``, ``psf`` or ``run``.
    """
    return Localize3DSettings(
        psf=_psf_settings(config, sources),
        optics=config.optics,
        camera=camera_settings(config.camera),
        background=config.background,  # type: ignore[arg-type]
        snr=config.snr,
        training=_training_settings(config),
        refine=config.refine,  # type: ignore[arg-type]
        passes=config.passes,
        threshold=config.decode.threshold,
        min_significance=config.decode.min_significance,
        max_uncertainty_nm=config.decode.max_uncertainty_nm,
        finish=finish_settings(config),
        channel=config.channel,
        position=config.position,
        frames=parse_frames(config.frames),
        roi=parse_roi(config.roi),
        render_pixel_size_nm=config.render.pixel_size_nm,
        until=config.until,
        device=config.device,
    )


def _psf_settings(config: Localize3DConfig, sources: Mapping[str, Path | None]) -> PsfSettings:
    formula = dict(config.psf)
    low, high, origin = (formula.pop(name) for name in ("z_min_nm", "z_max_nm", "origin"))
    for name, path in sources.items():
        if path is not None and not path.exists():
            raise UserError(f"--{name} {path}: there is no such file or folder: correct the path")
    return PsfSettings(
        beads=sources.get("beads"),
        z_step_nm=config.calibration.z_step_nm,
        z_nm=config.calibration.z_nm,
        origin=origin,
        calibration=bead_settings(config.calibration),
        file=sources.get("psf"),
        run=sources.get("run"),
        formula=psf_formula(formula),
        formula_text=_text(formula) if formula else "",
        z_min_nm=low,
        z_max_nm=high,
    )


def _text(formula: dict[str, Any]) -> str:
    numbers = ", ".join(f"{key}={value}" for key, value in formula.items() if key != "_target_")
    return f"{formula['_target_'].rpartition('.')[2]}({numbers})"


def _training_settings(config: Localize3DConfig) -> TrainingSettings:
    trainer = config.trainer
    return TrainingSettings(
        family=config.family,  # type: ignore[arg-type]
        width=config.network.args.width,
        learning_rate=config.module.learning_rate,
        max_steps=trainer.max_steps,
        max_minutes=trainer.max_minutes,
        patience=trainer.patience,
        adapt_minutes=trainer.adapt_minutes,
        warm_start=None if trainer.warm_start is None else Path(trainer.warm_start),
        **vars(config.data),
    )


def bead_settings(config: CalibrationConfig, pupil_px: int | None = None) -> BeadSettings:
    """Turn the settings into the typed ones of the calibration, with `pupil_px` samples (None: as needed).

    Raises `UserError` if a choice is unknown or a number is out of range.
    """
    require_choice("calibration.scan", config.scan, ("auto", "objective", "stage", "emitter", "sample"))
    require_choice("calibration.phase", config.phase, ("pixel", "zernike"))
    require_choice("calibration.model", config.model, ("scalar", "vectorial"))
    require_choice("calibration.loss", config.loss, ("likelihood", "mse"))
    if config.steps < 2 or config.zernike_max < 5:
        raise UserError("calibration: steps must be at least 2 and zernike_max at least 5")
    if config.size_px is not None and (config.size_px < 9 or config.size_px % 2 == 0):
        raise UserError(f"calibration.size_px={config.size_px}: give an odd number from 9 up")
    retrieval = RetrievalSettings(
        method=config.phase,  # type: ignore[arg-type]
        model=config.model,  # type: ignore[arg-type]
        loss=config.loss,  # type: ignore[arg-type]
        steps=config.steps,
        zernike_max=config.zernike_max,
        fit_amplitude=config.amplitude,
        supercritical=config.supercritical,
        smoothness=config.smoothness,
        pupil_px=pupil_px,
    )
    return BeadSettings(
        config.size_px,
        config.saturation_adu,
        config.scan,  # type: ignore[arg-type]
        retrieval,
        config.seed,
        config.field,
    )


def require_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices.

    Raises `UserError` naming the setting and the choices.
    """
    if value not in choices:
        raise UserError(f"{key}={value} is no choice: use one of {', '.join(choices)}")
