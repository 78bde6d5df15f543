"""Commands that hand everything to Hydra: trainings and sweeps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from autods.cli.arguments import Arguments
from autods.cli.compose import compose_checked
from autods.cli.faults import DONE
from autods.cli.sweeps import run_job
from autods.core import UserError
from autods.core.resources import conf_dir


def run_hydra(arguments: Arguments, function: Callable[[DictConfig], Any]) -> int:
    """Run a function as Hydra would run a script, sweeps and launchers included.

    Parameters
    ----------
    arguments
        The command line; its command names the configuration.
    function
        Called with each composed configuration; what it returns goes to Hydra's sweeper.

    Raises
    ------
    UserError
        If the settings do not compose.
    """
    config = arguments.command.config
    assert config is not None
    if not arguments.multirun:
        compose_checked(config, arguments.overrides)
    GlobalHydra.instance().clear()
    program = [sys.argv[0], arguments.command.name]

    def job(composed: DictConfig) -> Any:
        return run_job(composed, function, program)

    app = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config)(job)
    words = [*arguments.overrides, *(["--multirun"] if arguments.multirun else [])]
    with _process_arguments([f"autods {arguments.command.name}", *words]), _errors_reach_us():
        try:
            app()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"the settings do not fit together: {error}") from error
    return DONE


@contextmanager
def _process_arguments(words: list[str]) -> Iterator[None]:
    """Set the words that Hydra reads from the process."""
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _errors_reach_us() -> Iterator[None]:
    """Let Hydra raise errors instead of printing them and leaving."""
    import os

    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
