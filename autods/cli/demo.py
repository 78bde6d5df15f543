"""``autods demo``: simulate, localize, score."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.progress import progress_bars
from autods.configuration.compose import load
from autods.configuration.convert import selection_arguments, simulation_settings
from autods.configuration.schema import DemoConfig
from autods.core import LocalizationTable, UserError
from autods.io.atomic import write_json
from autods.io.tables import read_table
from autods.metrics.evaluation import evaluate
from autods.pipelines.autods import localize
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings
from autods.pipelines.simulate import TRUTH_FILE, SimulationSettings, simulate_to_folder
from autods.pipelines.two_targets import demonstrate

_FOLDER = Path("autods_demo")
_TWO_TARGETS = "two_targets"
#: Scores to print: name in the evaluation, name for people, unit.
_SCORES = (
    ("jaccard", "Jaccard index", ""),
    ("precision", "precision", ""),
    ("recall", "recall", ""),
    ("rmse_lateral_nm", "lateral RMSE", " nm"),
    ("psnr", "PSNR", " dB"),
)


def run(arguments: Arguments) -> int:
    """Simulate into ``simulation/``, localize with known optics and camera, print the score."""
    config = load(DemoConfig, arguments.overrides)
    simulated = simulation_settings(config.simulate)
    folder = arguments.out or _FOLDER
    start = time.perf_counter()
    if arguments.paths:
        if str(arguments.paths[0]) != _TWO_TARGETS:
            raise UserError(f"there is no demo {str(arguments.paths[0])!r}: give {_TWO_TARGETS}, or nothing")
        command = replace(arguments, paths=()).equivalent().replace(" demo", f" demo {_TWO_TARGETS}", 1)
        return _two_targets(config, simulated, folder, command)
    with progress_bars("demo") as progress:
        movie = simulate_to_folder(
            simulated, folder / "simulation", command=arguments.equivalent(), progress=progress
        )
        wanted = _wanted(config, simulated)
        table = localize(movie.absolute(), wanted, folder, progress=progress, command=arguments.equivalent())
    truth = read_table(movie.parent / TRUTH_FILE)
    scores = _score(truth, table, simulated.side_nm, config.radius_nm)
    write_json(folder / "evaluation.json", scores)
    print(f"{len(table):,} localizations of {len(truth):,} emitters, {time.perf_counter() - start:.1f} s")
    for name, label, unit in _SCORES:
        print(f"  {label:<14} {scores[name]:.3g}{unit}" if scores[name] is not None else f"  {label:<14} -")
    print(f"Look at {folder / 'report.html'} and {folder / 'preview.png'}")
    return DONE


def _two_targets(config: DemoConfig, simulated: SimulationSettings, folder: Path, command: str) -> int:
    """Show two structures in two colours, and how well their channels were registered."""
    start = time.perf_counter()
    with progress_bars("demo") as progress:
        wanted = _wanted(config, simulated)
        scores = demonstrate(simulated, wanted, folder, progress=progress, command=command)
    write_json(folder / "evaluation.json", scores)
    first, second = scores["localizations"]
    print(f"{first:,} and {second:,} localizations, {time.perf_counter() - start:.1f} s")
    print(f"  registration   {scores['registration']['note']}")
    print(f"  distortion     {scores['distortion_nm']:.0f} nm")
    print(f"  left of it     {scores['registration_error_nm']:.1f} nm")
    print(f"Look at {folder / 'preview.png'}")
    return DONE


def _wanted(config: DemoConfig, simulated: SimulationSettings) -> LocalizeSettings:
    return LocalizeSettings(
        **_known(simulated),
        **selection_arguments(config.selection),
        zoo=None if config.zoo is None else Path(config.zoo),
        device=config.device,
    )


def _known(simulated: SimulationSettings) -> dict[str, Any]:
    """Return what a user would know of the simulated instrument."""
    optics, camera = simulated.optics, simulated.camera
    return {
        "optics": OpticsSettings(**vars(optics)),
        "camera": CameraSettings.of(camera),
    }


def _score(
    truth: LocalizationTable, table: LocalizationTable, side_nm: float, radius_nm: float
) -> dict[str, Any]:
    report = evaluate(truth, table, radius_nm=radius_nm, shape_nm=(side_nm, side_nm))
    return {**report["detection"], **report["image"], "resolution": report["resolution"]}
