"""Jobs are processes of their own, one at a time on each device; their folders hold everything."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from autods.core import UserError
from autods.web import queue as queue_module
from autods.web.jobs import CONSOLE_FILE, Job, JobStore, JobView, last_line, view
from autods.web.queue import Queue
from autods.web.roots import Roots
from autods.web.run_files import tail

#: Stands in for the command: it does what the first word says, and ignores the rest.
SCRIPT = """
import os, sys, time
what = os.path.basename(sys.argv[2])
folder = sys.argv[sys.argv.index("--out") + 1]
print("token:", os.environ.get("AUTODS_TOKEN"), flush=True)
if what == "refuse":
    sys.exit("autods: the movie is empty: give another")
try:
    time.sleep(0 if what == "quick" else 60)
    status = "done"
except KeyboardInterrupt:
    status = "interrupted"
import json
open(folder + "/run.json", "w").write(json.dumps({"status": status, "process": os.getpid()}))
"""


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    found = JobStore(Roots([tmp_path]))
    found.prepare()
    return found


@pytest.fixture
def queue(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """A queue whose command is a script without torch, which starts at once."""
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)
    real = subprocess.Popen

    def start(words: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert words[1:3] == ["-m", "autods.cli.main"]
        return real([sys.executable, str(script), *words[3:]], **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(queue_module.subprocess, "Popen", start)
    return Queue(store)


def add(store: JobStore, what: str, device: str = "cpu") -> Job:
    movie = store.roots.folders[0] / what
    movie.write_text("stands in for a movie")
    job = store.create("localize", movie, [str(movie)], device, queue=True)
    # The clock may not have moved since the last one.
    time.sleep(0.01)
    return job


def wait(store: JobStore, job: Job, wanted: str, advance: Callable[[], None] = lambda: None) -> JobView:
    end = time.monotonic() + 30
    while (now := view(store.load(job.id))).status != wanted:
        assert time.monotonic() < end, f"{now.status}: {now.message}"
        advance()
        time.sleep(0.05)
    return now


def stop(queue: Queue, store: JobStore, job: Job) -> None:
    """Stop a running job, once its script is beyond Python's own start."""
    console = store.load(job.id).folder / CONSOLE_FILE
    end = time.monotonic() + 30
    while "token" not in (console.read_text() if console.exists() else ""):
        assert time.monotonic() < end, "the script does not start"
        time.sleep(0.05)
    queue.stop(store.load(job.id))


def test_one_at_a_time_on_each_device(store: JobStore, queue: Queue) -> None:
    first, second, other = add(store, "slow"), add(store, "quick"), add(store, "slow", "cuda:0")
    queue.advance()
    assert [view(store.load(job.id)).status for job in (first, second, other)] == [
        "running",
        "queued",
        "running",
    ]
    assert queue.position(store.load(second.id)) == 1
    queue.advance()
    assert view(store.load(second.id)).status == "queued"
    stop(queue, store, first)
    assert wait(store, first, "interrupted").run["status"] == "interrupted"
    wait(store, second, "done", queue.advance)
    queue.stop(store.load(other.id), kill=True)
    wait(store, other, "interrupted")


def test_a_restarted_server_sees_the_same(store: JobStore, queue: Queue) -> None:
    job, waiting = add(store, "slow"), add(store, "quick")
    queue.advance()
    later = Queue(JobStore(Roots([store.folder.parent])))
    later.advance()
    assert view(store.load(job.id)).status == "running"
    assert view(store.load(waiting.id)).status == "queued"
    process = psutil.Process(store.load(job.id).pid)
    assert os.getsid(process.pid) == process.pid, "the job must outlive the server's session"
    stop(later, store, job)
    wait(store, job, "interrupted")


def test_a_waiting_job_can_be_withdrawn_and_put_back(store: JobStore, queue: Queue) -> None:
    first, second = add(store, "slow"), add(store, "quick")
    queue.advance()
    queue.stop(second)
    assert view(store.load(second.id)).status == "withdrawn"
    again = (*second.arguments, "frames=0:5")
    store.put_back(store.load(second.id), again)
    assert store.load(second.id).arguments == again
    stop(queue, store, first)
    wait(store, first, "interrupted")
    wait(store, second, "done", queue.advance)


def test_what_the_command_said_is_told(store: JobStore, queue: Queue) -> None:
    job = add(store, "refuse")
    queue.advance()
    assert wait(store, job, "failed").message == "the movie is empty: give another"


def test_secrets_do_not_reach_jobs(store: JobStore, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODS_TOKEN", "very-secret-token")
    job = add(store, "quick")
    queue.advance()
    wait(store, job, "done")
    assert last_line(job.folder) == "token: None"
    assert "very-secret" not in (job.folder / "job.json").read_text()


def test_another_process_of_the_same_number_is_not_the_job(store: JobStore) -> None:
    job = add(store, "slow")
    mine = psutil.Process().create_time()
    assert dataclasses.replace(job, pid=os.getpid(), pid_started=mine).is_alive()
    assert not dataclasses.replace(job, pid=os.getpid(), pid_started=mine - 1000).is_alive()


def test_a_killed_run_can_go_on(store: JobStore) -> None:
    job = dataclasses.replace(add(store, "slow"), order="started", pid=2**22 + 1, pid_started=1.0)
    run = {"status": "running", "process": job.pid, "process_started": 1.0, "host": platform.node()}
    (job.folder / "run.json").write_text(json.dumps(run))
    now = view(job)
    assert now.status == "interrupted"
    assert "ended from outside" in now.message


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "absent", "x" * 200])
def test_names_of_runs_are_checked(store: JobStore, name: str) -> None:
    with pytest.raises(UserError):
        store.load(name)


def test_a_command_is_repeated_as_shown(store: JobStore) -> None:
    job = store.create("localize", Path("a movie.tif"), ["/x/a movie.tif", "roi=0:0:9:9"], "cpu", queue=False)
    assert job.command == f"autods localize '/x/a movie.tif' roi=0:0:9:9 --out {job.folder}"
    assert view(job).status == "draft"


def test_the_end_of_a_text_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {i}\n" for i in range(1000)))
    assert tail(tmp_path, "log.txt", 100).startswith("line ")
    assert len(tail(tmp_path, "log.txt", 100)) <= 100
    assert tail(tmp_path, "absent") == ""
    path.rename(tmp_path / CONSOLE_FILE)
    assert last_line(tmp_path) == "line 999"
