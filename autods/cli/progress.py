"""Progress of a run on the terminal, or line by line where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from autods.runs.record import Progress

#: Seconds between two lines of one stage in the log of a batch system.
_LINE_PERIOD_S = 60.0


@contextmanager
def progress_bars(title: str) -> Iterator[Progress]:
    """Show bars on standard error while the block runs; where that is no terminal, a line for each stage.

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
    if not console.is_terminal:
        yield _Lines(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        tasks = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(f"{title}: {stage}", total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield show


class _Lines:
    """Prints a line when a stage begins and, while it lasts, one a minute."""

    def __init__(self, title: str) -> None:
        self._title, self._stage, self._printed = title, "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._printed < _LINE_PERIOD_S:
            return
        share = f", {done} of {total}" if done and total else ""
        print(f"{time.strftime('%H:%M:%S')} {self._title}: {stage}{share}", file=sys.stderr, flush=True)
        self._stage, self._printed = stage, now
