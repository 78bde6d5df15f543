"""What ``autods benchmark`` does in a clone: a suite of measurements, written as tables and figures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.research import sweep
from autods.cli.sweeps import write_result
from autods.configuration.compose import compose_checked, refuse_code
from autods.configuration.type_checks import check_calls
from autods.core import UserError
from benchmarks.history import append_history
from benchmarks.own_rules import own_rules
from benchmarks.page import write_page
from benchmarks.suite import SuiteResult, run_suite


def command(arguments: Arguments) -> int:
    """Run ``autods benchmark``; with ``-m`` once for each combination of values."""
    if arguments.multirun:
        return sweep(arguments, command)
    refuse_code(arguments.overrides)
    config = compose_checked("benchmark", arguments.overrides)
    if arguments.out is not None:
        config.out = str(arguments.out)
    run(config, arguments.equivalent())
    return DONE


def run(config: DictConfig, command_line: str) -> None:
    """Run the suite of a configuration, or its suites, and print the main tables and where the rest is.

    Parameters
    ----------
    config
        Composition of ``benchmarks/conf/benchmark.yaml``.
    command_line
        The line that repeats it.

    Raises
    ------
    UserError
        If the suite lacks something that it needs; of several suites, the others go on.
    """
    check_calls(config)
    with own_rules(config.rules):
        _run_suites(config, command_line)


def _run_suites(config: DictConfig, command_line: str) -> None:
    suites = list(_suites(config))
    results: list[SuiteResult] = []
    for folder, settings in suites:
        try:
            with _findings_on_stderr():
                result = run_suite(_build(settings), folder, command_line)
        except UserError as error:
            if len(suites) == 1:
                raise
            print(f"{settings.name} is left out: {error}")
            continue
        print(f"{result.tables[0].to_markdown()}\n")
        print(*(f"* {note}" for note in result.notes), sep="\n")
        print(folder / "results.md")
        results.append(result)
        if config.history is not None:
            append_history(Path(config.history), settings.name, result)
            print(config.history)
    if results:
        print(write_page(Path(config.out)))
    write_result([row for result in results for row in result.tables[0].rows])


class _FindingsHandler(logging.Handler):
    """Print what a suite tells of each of its measurements, while it goes on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print information; warnings are printed for all commands."""
        if record.levelno == logging.INFO:
            print(record.getMessage(), file=sys.stderr, flush=True)


@contextmanager
def _findings_on_stderr() -> Iterator[None]:
    handler, logger = _FindingsHandler(), logging.getLogger("benchmarks")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _suites(config: DictConfig) -> Iterator[tuple[Path, DictConfig]]:
    """Yield folder and settings of each suite; one that holds others gives a folder to each."""
    out = Path(config.out)
    if "suites" not in config.suite:
        yield out, config.suite
        return
    for name, settings in config.suite.suites.items():
        yield out / str(name), settings


def _build(settings: DictConfig) -> Any:
    try:
        return instantiate(settings, _convert_="all")
    except InstantiationException as error:
        raise UserError(f"suite {settings.name}: {' '.join(str(error).split())}") from error
