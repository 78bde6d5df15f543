"""The record of a run: its folder, ``run.json``, ``log.txt``, stages with times, and what resumes it."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from autods.core import UserError
from autods.io.atomic import write_json
from autods.runs.lock import own_folder
from autods.runs.processes import is_alive, start_time
from autods.runs.provenance import FileDigest, digest_file, to_json, versions

logger = logging.getLogger(__name__)

#: Level of what the user is told on the terminal though nothing is wrong: what was reused, for instance.
NOTICE = logging.INFO + 5
logging.addLevelName(NOTICE, "NOTICE")

#: Called as ``progress(stage, done, total)``; ``total`` is 0 where the length of a stage is not known.
Progress = Callable[[str, int, int], None]

RUN_FILE = "run.json"
LOG_FILE = "log.txt"
#: How far the running stage is; there only while the run goes on.
PROGRESS_FILE = "progress.json"
#: Seconds between two writings of it.
_PROGRESS_PERIOD_S = 0.5
_GOES_ON = "the same command goes on from what is finished"


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore progress: for callers that show none."""


@dataclass
class Stage:
    """One stage of a run."""

    #: What is done, as people read it.
    name: str
    #: UTC time, ISO 8601.
    started: str
    #: Number of steps; 0 when unknown.
    total: int = 0
    #: Seconds after which the stage ends in any case; None for no limit.
    limit_s: float | None = None
    #: ``running``, or how it ended; how long it took; what else is worth knowing, by name.
    status: str = "running"
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    _progress: Progress = field(default=no_progress, repr=False)
    _done: int = 0
    _start: float = field(default=0.0, repr=False)
    _first: tuple[int, float] | None = field(default=None, repr=False)

    def advance(self, steps: int = 1) -> None:
        """Tell that so many more steps are finished."""
        self._done += steps
        now = time.perf_counter()
        if self._first is None:
            self._first = self._done, now
        self._progress(self.name, self._done, self._expected(now))

    def part(self, first: int, last: int) -> Callable[[float], None]:
        """Return what tells, by a share of 0 to 1, how much of the steps from first to last is done."""

        def tell(share: float) -> None:
            steps = first + int(share * (last - first)) - self._done
            if steps > 0:
                self.advance(steps)

        return tell

    def _expected(self, now: float) -> int:
        """Return the steps that there will be: fewer than planned where the time runs out before."""
        if self.limit_s is None or self._first is None or now == self._first[1]:
            return self.total
        # The first steps may be those of an earlier run that this one goes on with.
        pace = (self._done - self._first[0]) / (now - self._first[1])
        left = max(self.limit_s - (now - self._start), 0.0)
        return min(self.total, self._done + round(pace * left))

    def to_dict(self) -> dict[str, Any]:
        """Return what run.json holds of the stage."""
        return {
            "name": self.name,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "status": self.status,
            **self.details,
        }


class RunRecord:
    """A run folder and its account, kept up to date on disk while the run goes on.

    Use as a context manager: entering makes the folder and starts ``log.txt``; leaving writes the final
    status: ``done``, ``interrupted`` (Ctrl-C, `autods.core.Interrupted`) or ``failed`` (with the error's line
    in ``run.json`` and, unless it is a `UserError`, its traceback in ``log.txt``). The exception goes on to
    the caller.

    Parameters
    ----------
    folder
        The run folder; made when absent.
    kind
        Which pipeline: ``localize``, ``demo``, ``simulate``, ...
    command
        The command line that repeats the run.
    key
        See `autods.runs.steps.step_key`: an interrupted run with the same key resumes.
    progress
        Told of each step of each stage.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        *,
        command: str = "",
        key: str = "",
        progress: Progress = no_progress,
    ) -> None:
        self.folder = folder
        self.status = "running"
        self.warnings: list[str] = []
        self.stages: list[Stage] = []
        self._progress = _ProgressFile(folder / PROGRESS_FILE, progress)
        self._start = time.perf_counter()
        self._handler: logging.Handler | None = None
        self._owned = ExitStack()
        self._facts: dict[str, Any] = {
            "kind": kind,
            "command": command,
            "key": key,
            "started": _now(),
            "process": os.getpid(),
            "process_started": start_time(),
            "host": platform.node(),
            "versions": versions(),
            "inputs": [],
            "weights": {},
            "results": {},
        }

    def __enter__(self) -> RunRecord:
        """Make the folder, take it, start the log.

        Raises `UserError` if the folder cannot be made or written, or another process is at work there.
        """
        self._owned.enter_context(own_folder(self.folder))
        with ExitStack() as undone:
            undone.push(self._owned)
            self._write()
            self._handler = _log_to(self.folder / LOG_FILE)
            undone.pop_all()
        logger.info("%s: %s", self._facts["kind"], self._facts["command"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the final status; errors go on to the caller."""
        if error is None:
            self.status = "done"
        elif isinstance(error, KeyboardInterrupt):
            self.status = "interrupted"
            if str(error):
                self._facts["error"] = _one_line(error)
            logger.info(
                "interrupted%s: the same command goes on from here", f", {error}" if str(error) else ""
            )
        else:
            self.status = "failed"
            self._facts["error"] = _one_line(error)
            logger.error("%s", self._facts["error"], exc_info=None if isinstance(error, UserError) else error)
        try:
            self._write()
        except UserError as unwritten:
            # The first error explains more; a full disk fails here a second time.
            if error is None:
                raise
            logger.warning("%s", unwritten)
        finally:
            self._progress.remove()
            _stop_log(self._handler)
            self._owned.close()

    @contextmanager
    def stage(self, name: str, total: int = 0, limit_s: float | None = None) -> Iterator[Stage]:
        """Time a stage and report its progress.

        Parameters
        ----------
        name, total, limit_s
            See `Stage`; the steps are counted by :meth:`Stage.advance`.
        """
        stage = Stage(name, _now(), total, limit_s, _progress=self._progress, _start=time.perf_counter())
        self.stages.append(stage)
        self._progress(name, 0, total)
        self._write()
        try:
            yield stage
            stage.status = "done"
        except KeyboardInterrupt:
            stage.status = "interrupted"
            raise
        except BaseException:
            stage.status = "failed"
            raise
        finally:
            stage.seconds = time.perf_counter() - stage._start
            logger.info("%s: %s after %.2f s", name, stage.status, stage.seconds)
        self._progress(name, stage.total or 1, stage.total or 1)

    def add_input(self, path: Path, digest: FileDigest | None = None) -> FileDigest:
        """Note an input file with its digest, computed here unless it is given."""
        digest = digest or digest_file(path)
        self._facts["inputs"].append(to_json(digest))
        return digest

    def add_weights(self, name: str, sha256: str) -> None:
        """Note the weights of a model that was used."""
        self._facts["weights"][name] = sha256

    def add_results(self, **results: object) -> None:
        """Note key numbers of the result, for ``run.json``."""
        self._facts["results"].update(to_json(results))

    def warn(self, message: str) -> None:
        """Note something that the user should know; it goes to the log, ``run.json`` and the report."""
        if message not in self.warnings:
            self.warnings.append(message)
            logger.warning("%s", message)

    @property
    def command(self) -> str:
        """The command line that repeats the run."""
        return str(self._facts["command"])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``run.json``."""
        return {
            "status": self.status,
            **self._facts,
            "seconds": round(time.perf_counter() - self._start, 3),
            "stages": [stage.to_dict() for stage in self.stages],
            "warnings": self.warnings,
        }

    def _write(self) -> None:
        write_json(self.folder / RUN_FILE, self.to_dict())


def read_run(folder: Path) -> dict[str, Any] | None:
    """Read a run folder's ``run.json`` as `settled` sees it; None when there is none that can be read."""
    return None if (run := _read_json(folder / RUN_FILE)) is None else settled(run)


def settled(run: dict[str, Any]) -> dict[str, Any]:
    """Return a record as interrupted if it calls itself running while its process, of this machine, is gone.

    A process that was ended from outside cannot say so. Of those of other machines nothing is known.
    """
    if run.get("status") != "running" or run.get("host") != platform.node():
        return run
    if is_alive(run.get("process"), run.get("process_started")):
        return run
    error = f"the process was ended from outside; {_GOES_ON}"
    end = {"status": "interrupted"}
    ended = [done | (end if done.get("status") == "running" else {}) for done in run.get("stages", [])]
    return {**run, "status": "interrupted", "error": error, "stages": ended}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def is_finished(folder: Path, key: str, files: tuple[str, ...] = ()) -> bool:
    """Tell whether a folder holds the finished run of this key, with all the named files, and say so."""
    run = read_run(folder)
    if run is None or run.get("status") != "done" or run.get("key") != key:
        return False
    if not all((folder / name).exists() for name in files):
        return False
    how = "%s holds the result for these inputs, of %s: it is taken as it is"
    logger.log(NOTICE, how, folder, run["started"])
    return True


class _ProgressFile:
    """Pass progress on, and leave it in a file for those who watch the run from outside."""

    def __init__(self, path: Path, then: Progress) -> None:
        self._path, self._then = path, then
        self._stage = ""
        self._started = self._written = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._then(stage, done, total)
        now = time.perf_counter()
        if stage != self._stage:
            self._stage, self._started, self._written = stage, now, 0.0
        if now - self._written >= _PROGRESS_PERIOD_S and self._path.parent.is_dir():
            self._written = now
            self._write(done, total, now - self._started)

    def _write(self, done: int, total: int, seconds: float) -> None:
        content = {
            "process": os.getpid(),
            "stage": self._stage,
            "done": done,
            "total": total,
            "seconds": round(seconds, 1),
            "seconds_left": round(seconds * (total - done) / done, 1) if 0 < done <= total else None,
        }
        # Not through atomic_path: that waits for the disk, and a lost line of progress is no loss.
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            part.write_text(json.dumps(content) + "\n", encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            logger.debug("%s could not be written: %s", self._path, error)

    def remove(self) -> None:
        """Remove the file, if there is one that can be removed."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.debug("%s could not be removed: %s", self._path, error)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _log_to(path: Path) -> logging.Handler:
    """Append the package's log, from INFO on, to a file."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}: choose another folder") from error
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    package = logging.getLogger("autods")
    if package.getEffectiveLevel() > logging.INFO:
        package.setLevel(logging.INFO)
    package.addHandler(handler)
    return handler


def _stop_log(handler: logging.Handler | None) -> None:
    if handler is not None:
        logging.getLogger("autods").removeHandler(handler)
        handler.close()
