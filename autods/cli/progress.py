"""Progress of a run on the terminal, or line by line where there is none."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from autods.runs.record import Progress

#: Seconds between two lines of one stage in the log of a batch system.
_LINE_PERIOD_S = 60.0
#: Seconds that a command may take without any.
_QUIET_S = 10.0


@contextmanager
def progress_bars(title: str) -> Iterator[Progress]:
    """Show bars on standard error while the block runs; where that is no terminal, a line for each stage.

    Yields
    ------
    Progress
        ``progress(stage, done, total)`` for a pipeline.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        lines = _Lines(title)
        try:
            yield lines
        finally:
            lines.close()
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
    """Prints a line when a stage begins and, while it lasts, one a minute.

    What ends within seconds prints none of them: a mistake is told in one line.
    """

    def __init__(self, title: str) -> None:
        self._title, self._stage, self._printed = title, "", 0.0
        self._waiting: list[str] | None = []
        self._timer = threading.Timer(_QUIET_S, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._printed < _LINE_PERIOD_S:
            return
        share = f", {done} of {total}" if done and total else ""
        line = f"{time.strftime('%H:%M:%S')} {self._title}: {stage}{share}"
        self._stage, self._printed = stage, now
        if self._waiting is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._waiting.append(line)

    def _begin(self) -> None:
        """Print what has waited; from now on lines are printed at once."""
        waiting, self._waiting = self._waiting or [], None
        for line in waiting:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End without printing what still waits."""
        self._timer.cancel()
