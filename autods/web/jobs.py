"""Jobs: run folders with a ``job.json`` that says what to run; everything known of a job is in its folder."""

from __future__ import annotations

import dataclasses
import hmac
import re
import shlex
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from autods.core import UserError
from autods.io.atomic import write_json, write_text
from autods.runs.processes import is_alive
from autods.runs.record import LOG_FILE, PROGRESS_FILE, RUN_FILE, settled
from autods.web.roots import Roots, safe_name
from autods.web.run_files import read_json, tail
from autods.web.signing import load_key, signature

JOB_FILE = "job.json"
CONSOLE_FILE = "console.txt"
RUNS_FOLDER = "autods_runs"

Kind = Literal["localize", "localize3d"]
Order = Literal["queued", "started", "stopping", "withdrawn", "draft"]
Status = Literal["queued", "running", "stopping", "done", "failed", "interrupted", "withdrawn", "draft"]

#: A job in one of these states occupies or awaits its device.
UNFINISHED: frozenset[Status] = frozenset({"queued", "running", "stopping"})
_WAITING: dict[Order, Status] = {"queued": "queued", "withdrawn": "withdrawn", "draft": "draft"}
_LOCK_FILE = ".queue.lock"
_ID = re.compile(r"[A-Za-z0-9_+][\w.+-]{0,150}")


@dataclass(frozen=True)
class Job:
    """What ``job.json`` holds."""

    #: The run folder.
    folder: Path
    #: Command that is run.
    kind: Kind
    #: The movie.
    movie: str
    #: Everything after the command's name, without ``--out``.
    arguments: tuple[str, ...]
    #: The device that it needs for itself: ``cpu``, ``cuda:0``, ...
    device: str
    #: What was last decided about it.
    order: Order = "queued"
    #: When it was put into the queue, seconds since 1970.
    queued_at: float = 0.0
    #: The process and the time of its start, once started.
    pid: int | None = None
    pid_started: float | None = None
    #: Whether the user's key has signed it for this folder; of others nothing is started or ended.
    is_ours: bool = True

    @property
    def id(self) -> str:
        """Name of the folder, which names the job in addresses."""
        return self.folder.name

    @property
    def words(self) -> list[str]:
        """The command line after ``autods``."""
        return [self.kind, *self.arguments, "--out", str(self.folder)]

    @property
    def command(self) -> str:
        """The equivalent shell line."""
        return shlex.join(["autods", *self.words])

    def is_alive(self) -> bool:
        """Tell whether its process is running; another process that got the same number does not count."""
        return self.is_ours and is_alive(self.pid, self.pid_started)


@dataclass(frozen=True)
class JobView:
    """What a page shows of a job, read from its folder at one moment."""

    job: Job
    status: Status
    message: str
    run: dict[str, Any]
    progress: dict[str, Any]

    @property
    def is_unfinished(self) -> bool:
        """Whether it runs or waits."""
        return self.status in UNFINISHED

    @property
    def fraction(self) -> float | None:
        """Share of the running stage that is done, 0 to 1; None when not known."""
        done, total = self.progress.get("done"), self.progress.get("total")
        return min(done / total, 1.0) if isinstance(done, int) and isinstance(total, int) and total else None

    @property
    def stage(self) -> str:
        """What is being done."""
        return str(self.progress.get("stage", ""))


class JobStore:
    """The jobs of a data folder.

    Parameters
    ----------
    roots
        The allowed folders; run folders lie in ``autods_runs`` of the first.
    """

    def __init__(self, roots: Roots) -> None:
        # The folder itself may lead to another disk, if that is one of the allowed ones.
        self.folder = roots.inside(roots.folders[0] / RUNS_FOLDER)
        self.roots = roots
        self._key = load_key()
        self._written: set[str] = set()

    def prepare(self) -> None:
        """Make the folder of the runs.

        Raises `UserError` if it cannot be made or written.
        """
        write_text(self.folder / ".written", "")

    def create(self, kind: Kind, movie: Path, arguments: list[str], device: str, *, queue: bool) -> Job:
        """Make a run folder and put the job into the queue, or only keep it (``queue=False``).

        Raises `UserError` if the folder cannot be written.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}_{safe_name(movie.name, 60)}_{uuid.uuid4().hex[:4]}"
        order: Order = "queued" if queue else "draft"
        job = Job(self.folder / name, kind, str(movie), tuple(arguments), device, order, time.time())
        self.save(job)
        return job

    def save(self, job: Job) -> None:
        """Write ``job.json``.

        Raises `UserError` if it cannot be written.
        """
        content = dataclasses.asdict(job)
        del content["folder"], content["is_ours"]
        content["signature"] = signature(self._key, job.folder, {**content, "arguments": list(job.arguments)})
        write_json(job.folder / JOB_FILE, content)
        self.note_written(job.id)

    def note_written(self, job_id: str) -> None:
        """Remember that a run was changed."""
        self._written.add(job_id)

    def take_written(self) -> set[str]:
        """Return the runs that were changed here since the last call."""
        written, self._written = self._written, set()
        return written

    def load(self, job_id: str) -> Job:
        """Read a job.

        Raises `UserError` if there is none of this name.
        """
        if not _ID.fullmatch(job_id):
            raise UserError(f"{job_id!r} is no name of a run: choose one from the list")
        folder = self.folder / job_id
        content = {} if folder.is_symlink() else read_json(folder, JOB_FILE)
        try:
            signed = str(content.pop("signature", ""))
            is_ours = hmac.compare_digest(signed.encode(), signature(self._key, folder, content).encode())
            return _job(folder, content, is_ours=is_ours)
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"there is no run {job_id}: choose one from the list") from error

    def jobs(self) -> list[Job]:
        """Return all jobs, the latest first; folders that are no jobs are left out."""
        found = []
        for path in self.folder.glob(f"*/{JOB_FILE}"):
            with suppress(UserError):
                found.append(self.load(path.parent.name))
        return sorted(found, key=lambda job: job.queued_at, reverse=True)

    def put_back(self, job: Job, arguments: tuple[str, ...] | None = None, device: str | None = None) -> Job:
        """Queue a job that does not run, to go on or with other arguments; others stay as they are.

        A job that was not ours becomes ours: the caller has been asked for it by a person.
        """
        with self.lock(wait=True):
            # What the caller saw may be of some time ago, and another page may have been faster.
            job = self.load(job.id)
            if view(job).is_unfinished:
                return job
            again = dataclasses.replace(
                job,
                arguments=job.arguments if arguments is None else arguments,
                device=device or job.device,
                order="queued",
                queued_at=time.time(),
                pid=None,
                pid_started=None,
                is_ours=True,
            )
            self.save(again)
            return again

    @contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[bool]:
        """Let only one server, and one of its threads, change jobs at a time; yields whether this one may.

        Raises `UserError` if the lock cannot be written.
        """
        lock = FileLock(self.folder / _LOCK_FILE, timeout=-1 if wait else 0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        except PermissionError as error:
            raise UserError(f"cannot write {self.folder}: correct the permissions of the folder") from error
        try:
            yield True
        finally:
            lock.release()


def _job(folder: Path, content: dict[str, Any], *, is_ours: bool) -> Job:
    """Read the content of ``job.json``; an order that is not ours is none.

    Raises `KeyError` or `TypeError` or `ValueError` if it is none.
    """
    numbers = (content.get("queued_at", 0.0), content.get("pid") or 0, content.get("pid_started") or 0.0)
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError(numbers)
    arguments = tuple(str(word) for word in content["arguments"])
    if is_ours:
        return Job(folder=folder, **{**content, "arguments": arguments})
    kind = get_args(Kind)[get_args(Kind).index(content["kind"])]
    movie, device = str(content["movie"]), str(content["device"])
    return Job(folder, kind, movie, arguments, device, "withdrawn", float(numbers[0]), is_ours=False)


def view(job: Job) -> JobView:
    """Read what is known of a job from its folder."""
    run = settled(read_json(job.folder, RUN_FILE))
    if not job.is_ours:
        return _foreign(job, run)
    if job.order in ("queued", "withdrawn", "draft"):
        return JobView(job, _WAITING[job.order], "", run, {})
    if job.is_alive():
        progress = read_json(job.folder, PROGRESS_FILE)
        own = progress if progress.get("process") == job.pid else {}
        return JobView(job, "stopping" if job.order == "stopping" else "running", "", run, own)
    status, message = _ended(job, run)
    return JobView(job, status, message, run, {})


def _foreign(job: Job, run: dict[str, Any]) -> JobView:
    """Show the result of a run of another server, user or place of the data; the rest is not believed."""
    status = run.get("status")
    told = "This run was not started by this server; Go on takes it over." if status != "done" else ""
    return JobView(job, "done" if status == "done" else "withdrawn", told, run, {})


def _ended(job: Job, run: dict[str, Any]) -> tuple[Status, str]:
    """Tell how a process ended: from its record, and where that is another's, from what it printed."""
    status, printed = run.get("status"), last_line(job.folder)
    if run.get("process") == job.pid:
        if status in ("done", "failed", "interrupted"):
            return status, str(run.get("error", ""))
        return "interrupted", "The process was ended from outside; resume goes on from what is finished."
    if printed.startswith("autods:"):
        interrupted = printed.startswith("autods: interrupted")
        return ("interrupted", "") if interrupted else ("failed", printed.removeprefix("autods:").strip())
    # A finished run of the same settings is taken as it is: its record stays that of the earlier process.
    if status == "done" and printed:
        return "done", ""
    return "interrupted", printed or "The process ended before it began."


def last_line(folder: Path) -> str:
    """Return the last line of a command's output that says how it ended; '' where there is none."""
    told = ("autods: note:", "autods: warning:")
    lines = [
        line
        for line in tail(folder, CONSOLE_FILE, 4096).splitlines()
        if line.strip() and not line.startswith(told)
    ]
    return lines[-1].strip() if lines else ""


def log_text(job: Job) -> str:
    """Return the end of a run's log, or of what the process printed where it left no log."""
    return tail(job.folder, LOG_FILE) or tail(job.folder, CONSOLE_FILE)
