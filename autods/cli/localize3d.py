"""``autods localize3d``: the 3D one-click."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.process_group import is_first, make_process_group, quiet_unless_first
from autods.cli.progress import progress_bars
from autods.configuration import convert3d
from autods.pipelines.autods3d import localize3d
from autods.pipelines.psf_source import direction
from autods.pipelines.settings3d import Localize3DSettings

if TYPE_CHECKING:
    from autods.pipelines.distributed import ProcessGroup


def run(arguments: Arguments) -> int:
    """Localize one movie in depth into ``--out``."""
    config = convert3d.compose_localize3d(arguments.overrides)
    settings = convert3d.localize3d_settings(config, sources_of(arguments))
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


def sources_of(arguments: Arguments) -> dict[str, Path | None]:
    """Return the paths of the options that say where the PSF comes from."""
    return {name: arguments.options.get(f"--{name}") for name in ("beads", "psf", "run")}
