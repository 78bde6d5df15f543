"""``autods localize3d``: the 3D one-click."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from autods.cli.arguments import Arguments
from autods.cli.calibrate import CalibrationConfig, bead_settings
from autods.cli.compose import load
from autods.cli.convert import camera_settings, finish_settings, psf_formula
from autods.cli.faults import DONE
from autods.cli.process_group import is_first, make_process_group, quiet_unless_first
from autods.cli.progress import progress_bars
from autods.cli.schema import MovieConfig, ProcessesConfig, ResultConfig
from autods.core import UserError
from autods.inference import pick_device
from autods.pipelines.autods3d import localize3d
from autods.pipelines.psf_source import direction
from autods.pipelines.settings import parse_frames, parse_roi
from autods.pipelines.settings3d import (
    Localize3DSettings,
    PsfSettings,
    SnrSettings,
    TrainingSettings,
)

if TYPE_CHECKING:
    from autods.pipelines.distributed import ProcessGroup

#: Settings that only a training has.
_OF_TRAININGS = ("family=", "trainer.", "data.", "network.", "module.")


@dataclass
class NetworkArgsConfig:
    """Size of the network."""

    width: int = MISSING


@dataclass
class NetworkConfig:
    """Settings of ``network``: which one, and its size."""

    args: NetworkArgsConfig = field(default_factory=NetworkArgsConfig)


@dataclass
class DataConfig:
    """Training frames."""

    n_slices: int = MISSING
    size_px: int = MISSING
    batch_size: int = MISSING
    batches_per_epoch: int = MISSING
    validation_batches: int = MISSING
    seed: int = MISSING


@dataclass
class ModuleConfig:
    """Optimization."""

    learning_rate: float = MISSING


@dataclass
class TrainerConfig:
    """Length of the training."""

    max_steps: int | None = MISSING
    max_minutes: float | None = MISSING
    patience: int | None = MISSING
    adapt_minutes: float = MISSING
    warm_start: str | None = MISSING


@dataclass
class Localize3DConfig(MovieConfig, ResultConfig):
    """``conf/localize3d.yaml``."""

    psf: dict[str, Any] = field(default_factory=dict)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    background: str = MISSING
    snr: SnrSettings = field(default_factory=SnrSettings)
    family: str = MISSING
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    module: ModuleConfig = field(default_factory=ModuleConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    passes: int = MISSING
    until: str = MISSING


def run(arguments: Arguments) -> int:
    """Localize one movie in depth into ``--out``."""
    config = _config(arguments)
    settings = _settings(config, arguments)
    movie = arguments.paths[0]
    folder = arguments.out or Path(f"{movie.stem}_autods3d")
    group = make_process_group(config.processes.per_machine, config.processes.machines, config.device)
    try:
        with quiet_unless_first(group):
            _localize(movie, settings, folder, arguments, group)
    except Exception:
        # The first process explains.
        if is_first(group):
            raise
    return DONE


def _localize(
    movie: Path, settings: Localize3DSettings, folder: Path, arguments: Arguments, group: ProcessGroup | None
) -> None:
    start = time.perf_counter()
    command = arguments.equivalent(out=folder)
    if not is_first(group):
        localize3d(movie.absolute(), settings, folder, group=group)
        return
    with progress_bars(movie.name) as progress:
        table = localize3d(
            movie.absolute(), settings, folder, progress=progress, command=command, group=group
        )
    seconds = time.perf_counter() - start
    if table is None:
        print(f"{movie.name}: done up to {settings.until}, {seconds:.1f} s: {folder}")
    else:
        print(f"{movie.name}: {len(table):,} localizations, {seconds:.1f} s: {folder / 'report.html'}")
    note = direction(folder)
    if note is not None:
        print(note)


def localize3d_settings(arguments: Arguments) -> Localize3DSettings:
    """Return the settings of the pipeline.

    Raises
    ------
    UserError
        If a setting is unknown or does not fit.
    """
    return _settings(_config(arguments), arguments)


def _config(arguments: Arguments) -> Localize3DConfig:
    """Compose the configuration, with the preset that suits the device.

    Without a GPU nothing is trained, unless a setting speaks of a training.
    """
    overrides = list(arguments.overrides)
    if not any(word.startswith("preset=") for word in overrides):
        device = next((word.partition("=")[2] for word in overrides if word.startswith("device=")), "auto")
        trains = any(word.startswith(_OF_TRAININGS) for word in overrides)
        overrides.append(f"preset={_usual_preset(device, trains=trains)}")
    return load("localize3d", overrides, Localize3DConfig)


def _usual_preset(device: str, *, trains: bool = False) -> str:
    if pick_device(device).type == "cuda":
        return "default"
    return "cpu_quick" if trains else "instant"


def preset_settings(preset: str | None, device: str) -> tuple[TrainingSettings, int]:
    """Return the training of a preset, and how often the network looks at a frame.

    Parameters
    ----------
    preset
        ``instant``, ``cpu_quick``, ``default`` or ``paper``; None: the one that suits the device.
    device
        As in `Localize3DSettings`.

    Raises
    ------
    UserError
        If there is no such preset or device.
    """
    config = load("localize3d", [f"preset={preset or _usual_preset(device)}"], Localize3DConfig)
    return _training_settings(config), config.passes


def _settings(config: Localize3DConfig, arguments: Arguments) -> Localize3DSettings:
    return Localize3DSettings(
        psf=_psf_settings(config, arguments),
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


def _psf_settings(config: Localize3DConfig, arguments: Arguments) -> PsfSettings:
    formula = dict(config.psf)
    low, high, origin = (formula.pop(name) for name in ("z_min_nm", "z_max_nm", "origin"))
    files = {name: arguments.options.get(f"--{name}") for name in ("beads", "psf", "run")}
    for name, path in files.items():
        if path is not None and not path.exists():
            raise UserError(f"--{name} {path}: there is no such file or folder: correct the path")
    return PsfSettings(
        beads=files["beads"],
        z_step_nm=config.calibration.z_step_nm,
        z_nm=config.calibration.z_nm,
        origin=origin,
        calibration=bead_settings(config.calibration),
        file=files["psf"],
        run=files["run"],
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
