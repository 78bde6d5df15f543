"""``autods finish``: from a table to a finished picture."""

from __future__ import annotations

from pathlib import Path

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.progress import progress_bars
from autods.configuration.compose import load
from autods.configuration.convert import finish_settings
from autods.configuration.schema import FinishConfig
from autods.pipelines.finish_table import finish_table


def run(arguments: Arguments) -> int:
    """Filter, correct, link, draw and export a table."""
    config = load(FinishConfig, arguments.overrides)
    (path,) = arguments.paths
    folder = arguments.out or Path(f"{path.stem}_finished")
    with progress_bars(path.name) as progress:
        finished = finish_table(
            path,
            finish_settings(config),
            folder,
            pixel_size_nm=config.optics.pixel_size_nm,
            render_pixel_size_nm=config.render.pixel_size_nm,
            progress=progress,
            command=arguments.equivalent(out=folder),
        )
    dropped = f", {finished.n_dropped:,} dropped by the filter" if finished.n_dropped else ""
    print(f"{len(finished.table):,} localizations{dropped}, {len(finished.linked):,} events")
    print(f"drift: {finished.drift.note}")
    print(f"Look at {folder / 'report.html'}")
    return DONE
