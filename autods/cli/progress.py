"""Progress of a run on the terminal: the stage, how far it is, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from autods.runs.record import Progress


@contextmanager
def progress_bars(title: str) -> Iterator[Progress]:
    """Show bars on standard error while the block runs; nothing where that is no terminal.

    Parameters
    ----------
    title
        What is being processed; stands before the stages.

    Yields
    ------
    Progress
        ``progress(stage, done, total)`` for a pipeline.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(f"{title}: {stage}", total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield show
