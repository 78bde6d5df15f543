"""Commands and sweeps that Hydra runs: trainings, and any command with ``-m``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.sweeps import GatherResults, command_line, exit_codes, run_job, write_exit_code
from autods.configuration.compose import compose_checked, expand_shorthands, search_path
from autods.configuration.registry import store_made
from autods.core import UserError
from autods.core.resources import config_dirs


def run_hydra(arguments: Arguments, function: Callable[[DictConfig], Any]) -> int:
    """Run a function as Hydra would run a script, sweeps and launchers included.

    Raises `UserError` if the settings do not compose.

    Parameters
    ----------
    arguments
        The command line; its command names the configuration.
    function
        Called with each composed configuration; what it returns goes to Hydra's sweeper.
    """
    config = arguments.command.config
    if not arguments.multirun:
        compose_checked(config, arguments.overrides)
    program = [sys.argv[0], arguments.command.name]
    folder = _sweep_folder(arguments) if arguments.multirun else None
    _run_app(arguments, config, lambda composed: run_job(composed, function, program), folder)
    return DONE


def sweep(arguments: Arguments, entry: Callable[[Arguments], int]) -> int:
    """Run a command once for each combination of comma-separated values, each in a folder of its own.

    Returns the first exit code that is not 0. Raises `UserError` if the settings do not compose.

    Parameters
    ----------
    arguments
        The command line; ``--out`` is the folder of the sweep.
    entry
        The command, called with one combination at a time.
    """
    config = arguments.command.config
    folder = _sweep_folder(arguments)

    def job(_: DictConfig) -> int:
        hydra_config = HydraConfig.get()
        out = {**arguments.options, "--out": Path(hydra_config.runtime.output_dir)}
        words = tuple(hydra_config.overrides.task)
        code = entry(replace(arguments, overrides=words, options=out, multirun=False))
        write_exit_code(code)
        return code

    _run_app(arguments, config, job, folder)
    return next((code for code in exit_codes(folder) if code), DONE)


def _sweep_folder(arguments: Arguments) -> Path:
    """Return the folder of a sweep: of Hydra's word for it, of ``--out``, or one named after the time."""
    for word in arguments.overrides:
        if word.startswith("hydra.sweep.dir="):
            return Path(word.partition("=")[2]).resolve()
    if arguments.out is not None:
        return arguments.out.resolve()
    return Path("multirun", *time.strftime("%Y-%m-%d %H-%M-%S").split()).resolve()


def _run_app(
    arguments: Arguments, config: str, job: Callable[[DictConfig], Any], folder: Path | None = None
) -> None:
    """Let Hydra run a function with the settings of a command line, once or in a sweep."""
    failures: list[Exception] = []

    def guarded(composed: DictConfig) -> Any:
        # Hydra would print its own account of a failure.
        try:
            return job(composed)
        except Exception as error:
            if arguments.multirun:
                raise
            failures.append(error)
            return None

    store_made(config)
    words = [*search_path(config), *expand_shorthands(config, arguments.overrides)]
    if arguments.multirun:
        words.append(f"+hydra.callbacks.gather._target_={GatherResults.__module__}.GatherResults")
        if folder is not None:
            words.append(f"hydra.sweep.dir='{folder}'")
        words.append("--multirun")
    GlobalHydra.instance().clear()
    app = hydra.main(version_base="1.3", config_path=str(config_dirs(config)[0]), config_name=config)(guarded)
    with command_line([f"autods {arguments.command.name}", *words]), _errors_reach_us():
        try:
            app()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"the settings do not fit together: {error}") from error
    if failures:
        raise failures[0]


@contextmanager
def _errors_reach_us() -> Iterator[None]:
    """Let Hydra raise errors instead of printing them and leaving."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
