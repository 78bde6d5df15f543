"""``autods localize``: the 2D one-click for one movie, several, or a folder of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from autods.cli import faults
from autods.cli.arguments import Arguments
from autods.cli.folders import run_folders
from autods.cli.process_group import is_first, make_process_group, quiet_unless_first
from autods.cli.progress import progress_bars
from autods.cli.research import sweep
from autods.cli.sweeps import write_result
from autods.configuration.compose import load
from autods.configuration.convert import localize_settings
from autods.configuration.schema import LocalizeConfig
from autods.core import UserError
from autods.io.folders import find_movies
from autods.pipelines.autods import localize
from autods.pipelines.follow import follow
from autods.pipelines.settings import LocalizeSettings

if TYPE_CHECKING:
    from autods.io.result_tables import Row
    from autods.pipelines.distributed import ProcessGroup


def run(arguments: Arguments) -> int:
    """Localize each movie into a folder of its own; a movie that fails does not stop the others.

    Returns 0 when all are done; 2 when a movie could not be localized; 1 when that was a fault of ours.
    """
    if arguments.multirun:
        return sweep(arguments, run)
    config = load(LocalizeConfig, arguments.overrides)
    wanted = localize_settings(config)
    group = make_process_group(config.processes.per_machine, config.processes.machines, config.device)
    codes: list[int] = []
    if "--follow" in arguments.flags:
        return _follow(arguments, wanted, config.follow.idle_s, group)
    rows: list[Row] = []
    movies = [movie for path in arguments.paths for movie in _find(path, codes)]
    is_batch = len(arguments.paths) > 1 or movies not in ([], [arguments.paths[0]])
    for movie, folder in zip(movies, run_folders(movies, arguments.out, is_batch=is_batch), strict=True):
        codes.append(_attempt(movie, folder, wanted, arguments, group, rows))
    write_result(rows)
    if is_batch and is_first(group):
        print(f"{codes.count(faults.DONE)} of {len(codes)} done")
    return next((code for code in (faults.OUR_FAULT, faults.USER_ERROR) if code in codes), faults.DONE)


def _follow(arguments: Arguments, wanted: LocalizeSettings, idle_s: float, group: ProcessGroup | None) -> int:
    """Localize one movie while it grows."""
    if len(arguments.paths) != 1 or group is not None:
        raise UserError("--follow takes one movie and one process")
    movie = arguments.paths[0]
    (folder,) = run_folders([movie], arguments.out, is_batch=False)
    command = arguments.equivalent(out=folder)
    with progress_bars(movie.name) as progress:
        table = follow(movie.absolute(), wanted, folder, idle_s=idle_s, progress=progress, command=command)
    print(f"{movie.name}: {len(table):,} localizations: {folder / 'report.html'}")
    return faults.DONE


def _find(path: Path, codes: list[int]) -> list[Path]:
    """Return the movies of a path; where there is none, say so and append the exit code."""
    try:
        return find_movies(path)
    except UserError as error:
        codes.append(faults.explain(error))
        return []


def _attempt(
    movie: Path,
    folder: Path,
    wanted: LocalizeSettings,
    arguments: Arguments,
    group: ProcessGroup | None,
    rows: list[Row],
) -> int:
    """Localize a movie, explain what fails, and return the exit code; Ctrl-C ends the batch."""
    try:
        with quiet_unless_first(group):
            found = _localize_one(movie, folder, wanted, arguments, group)
            rows.append({"movie": movie.name, "localizations": found, "out": str(folder)})
    except Exception as error:  # noqa: BLE001 the other movies of the batch go on
        return faults.explain(error, folder) if is_first(group) else faults.DONE
    return faults.DONE


def _localize_one(
    movie: Path, folder: Path, wanted: LocalizeSettings, arguments: Arguments, group: ProcessGroup | None
) -> int:
    """Localize a movie, tell how many localizations there are, and return their number."""
    start = time.perf_counter()
    command = arguments.equivalent(paths=[movie], out=folder)
    if not is_first(group):
        return len(localize(movie.absolute(), wanted, folder, group=group))
    with progress_bars(movie.name) as progress:
        table = localize(movie.absolute(), wanted, folder, progress=progress, command=command, group=group)
    seconds = time.perf_counter() - start
    print(f"{movie.name}: {len(table):,} localizations, {seconds:.1f} s: {folder / 'report.html'}")
    return len(table)
