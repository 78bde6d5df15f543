"""The queue: starts jobs, one at a time on each device, as processes that outlive the server."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys

import psutil

from autods.core import UserError
from autods.web.jobs import CONSOLE_FILE, Job, JobStore
from autods.web.run_files import create_file
from autods.web.run_index import RunIndex
from autods.web.words import check_words

logger = logging.getLogger(__name__)

#: Variables that a job must not see.
SECRET_VARIABLES = ("AUTODS_TOKEN",)


class Queue:
    """Starts and stops the jobs of a store.

    All state is in the run folders: a restarted server, or a second one on the same folder, sees the same
    queue.

    Parameters
    ----------
    store
        The jobs.
    index
        What is known of them; None for one of its own.
    """

    def __init__(self, store: JobStore, index: RunIndex | None = None) -> None:
        self._store, self._index = store, index or RunIndex(store)
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def advance(self) -> None:
        """Start the oldest waiting job of each device that is free."""
        self._reap()
        with self._store.lock() as is_ours:
            if not is_ours:
                return
            self._index.forget()
            jobs = [now.job for now in self._index.unfinished()]
            busy = {job.device for job in jobs if job.order in ("started", "stopping") and job.is_alive()}
            for job in reversed(jobs):
                if job.order == "queued" and job.device not in busy:
                    busy.add(job.device)
                    self._start(job)

    def position(self, job: Job) -> int:
        """Count the jobs of the same device that come before a waiting one."""
        others = [now.job for now in self._index.unfinished() if now.job.id != job.id]
        return sum(
            other.device == job.device and (other.order != "queued" or other.queued_at < job.queued_at)
            for other in others
        )

    def stop(self, job: Job, *, kill: bool = False) -> None:
        """Interrupt a running job, which keeps what is finished; take a waiting one out of the queue.

        Parameters
        ----------
        job
            The job.
        kill
            End the process at once, for one that does not react.
        """
        with self._store.lock(wait=True):
            job = self._store.load(job.id)
            if job.order == "queued":
                self._store.save(dataclasses.replace(job, order="withdrawn"))
                return
            if not job.is_alive() or job.pid is None:
                return
            self._store.save(dataclasses.replace(job, order="stopping"))
            try:
                os.killpg(job.pid, signal.SIGKILL if kill else signal.SIGINT)
            except ProcessLookupError:
                logger.info("%s had ended already", job.id)

    def _start(self, job: Job) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
        try:
            # On load and not only when it was entered: the folder may have changed since.
            check_words(self._store.roots, job.kind, job.arguments)
            with create_file(job.folder / CONSOLE_FILE) as console:
                child = subprocess.Popen(
                    [sys.executable, "-m", "autods.cli.main", *job.words],
                    cwd=job.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            started = psutil.Process(child.pid).create_time()
        except (OSError, UserError, psutil.Error) as error:
            logger.warning("%s could not be started: %s", job.id, error)
            self._store.save(dataclasses.replace(job, order="withdrawn"))
            return
        self._children[child.pid] = child
        self._store.save(dataclasses.replace(job, order="started", pid=child.pid, pid_started=started))
        logger.info("%s started as process %d", job.id, child.pid)

    def _reap(self) -> None:
        """Let the system forget children that ended."""
        self._children = {pid: child for pid, child in self._children.items() if child.poll() is None}
