"""Short commands that a page waits for: measuring a movie, trying a few frames."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from autods.core import UserError
from autods.runs.steps import Step, step_key
from autods.web.jobs import CONSOLE_FILE, last_line
from autods.web.queue import SECRET_VARIABLES
from autods.web.run_files import create_file

FOLDER = ".short_commands"
_STEP_FILE = "short_command.json"
_LONGEST_S = 600.0
_AT_ONCE = 2
_KEPT_S = 7 * 86400.0


class ShortCommands:
    """Runs short commands outside of the queue, each once: a result that is there is taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}

    def clean(self) -> None:
        """Remove results that are older than a week."""
        for path in self._folder.glob("*"):
            if path.stat().st_mtime < time.time() - _KEPT_S:
                shutil.rmtree(path, ignore_errors=True)

    async def run(self, command: str, movie: Path, words: Sequence[str]) -> Path:
        """Run ``autods COMMAND MOVIE WORDS --out FOLDER`` and return the folder.

        Raises `UserError` with the command's own words, if it fails; or if it takes more than ten minutes.
        """
        stat = movie.stat()
        inputs = [command, str(movie), stat.st_size, stat.st_mtime_ns, *words]
        folder = self._folder / step_key(inputs)
        step = Step(folder / _STEP_FILE, inputs)
        async with self._locks.setdefault(folder.name, asyncio.Lock()), self._slots:
            if step.results() is None:
                await self._start([command, str(movie), *words, "--out", str(folder)], folder)
                step.finish({})
        return folder

    async def _start(self, words: list[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
        with create_file(folder / CONSOLE_FILE) as console:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "autods.cli.main",
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                code = await asyncio.wait_for(process.wait(), _LONGEST_S)
            except (TimeoutError, asyncio.TimeoutError, asyncio.CancelledError) as error:
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, asyncio.CancelledError):
                    raise
                raise UserError("this took more than ten minutes: take fewer frames or a region") from error
        if code:
            message = last_line(folder).removeprefix("autods:").strip()
            raise UserError(message or f"{words[0]} ended with code {code}")
