"""Several processes that share the frames of one movie, started by Lightning here or by a batch system.

Each process plans the run alike, for a plan depends on movie and settings only (in depth, the first one
calibrates, measures and trains, and the others read what it left), and localizes every n-th block of frames
into the run folder, which all must see. When all are done, the first one merges the blocks and writes the
result: the same table as that of one process. When a process dies the others end, too, and the run is
interrupted; the blocks that were finished are kept, and the same command goes on from there, with any number
of processes.
"""

from __future__ import annotations

import logging
import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from autods.core import Interrupted, UserError
from autods.pipelines.blocks import OnShare
from autods.runs.record import Stage

logger = logging.getLogger(__name__)

#: How long a process waits for the others.
_PATIENCE = timedelta(days=30)


class ProcessGroup:
    """The processes that share the work; making it starts those that do not run yet.

    Under SLURM (or another launcher that Lightning knows) the processes are there already; elsewhere
    Lightning starts the others with the command line of this one. Raises `UserError` if there are not so many
    devices, or the batch system runs another number of processes.

    Parameters
    ----------
    devices
        Processes on each machine; on GPUs, one for each.
    num_nodes
        Machines.
    device
        Kind of device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, devices: int, num_nodes: int = 1, device: str = "auto") -> None:
        kind = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}.get(device)
        if kind is None:
            raise UserError(
                f"device={device} is one device: use auto, cpu or cuda with processes.per_machine={devices}"
            )
        if devices < 1 or num_nodes < 1:
            raise UserError("processes.per_machine and processes.machines must be at least 1")
        # The processes exchange nothing but "I am done", for which gloo serves on every machine.
        strategy = DDPStrategy(process_group_backend="gloo", timeout=_PATIENCE)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        try:
            self._fabric = Fabric(accelerator=kind, devices=devices, num_nodes=num_nodes, strategy=strategy)
        except (RuntimeError, ValueError) as error:
            cause = " ".join(str(error).split())
            raise UserError(
                f"{num_nodes} x {devices} processes on device={device} cannot be made ({cause}): change"
                " processes.per_machine, processes.machines or device"
            ) from error
        self._threads = torch.get_num_threads()
        self._fabric.launch()
        self._parent = os.getppid()
        self._started: list[subprocess.Popen[bytes]] = _take_over(strategy)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the result."""
        return self._fabric.global_rank == 0

    @property
    def size(self) -> int:
        """Number of processes."""
        return int(self._fabric.world_size)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._fabric.device

    def share(self, starts: range, work: Callable[[int, OnShare], object], stage: Stage) -> None:
        """Do this process's part of the blocks; return once every process has done its own.

        Raises `Interrupted` when a process has died, in all others; `UserError` or `RuntimeError` when the
        work of another process has failed; the message tells how.

        Parameters
        ----------
        starts
            First frames of the blocks, the same in every process; its end is the number of frames.
        work
            Does a block, tells how much of it is done, and keeps the result where the first process finds it.
        stage
            Told of the frames that are done, as if all processes kept the pace of this one.
        """
        with self._together():
            for start in starts[self._fabric.global_rank :: self.size]:
                self._look_after()
                first = start - self._fabric.global_rank * starts.step
                work(start, stage.part(first, min(first + self.size * starts.step, starts.stop)))

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Let the first process carry out the block while the others wait before theirs.

        Raises `Interrupted` when a process has died, in all others; `UserError` or `RuntimeError` in the
        others, when the block of the first has failed; the message tells how.
        """
        if self.is_first:
            with self._together(), self._all_threads():
                yield
        else:
            with self._together():
                pass
            yield

    @contextmanager
    def _all_threads(self) -> Iterator[None]:
        """Compute with as many threads as a process without a group: Lightning gives each its share."""
        share = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(share)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Wait for the others at the end of the block, also when it fails, and learn whether theirs did."""
        try:
            own: _Failure | None = None
            try:
                yield
            except Exception as error:
                own = _Failure(self._fabric.global_rank, error)
                self._exchange(own)
                raise
            failures = [failure for failure in self._exchange(None) if failure is not None]
        except KeyboardInterrupt:
            for process in self._started:
                process.terminate()
            raise
        if failures:
            raise failures[0].explain(self.size)

    def _exchange(self, own: _Failure | None) -> list[_Failure | None]:
        """Tell all how it went, and return how it went in each, in order."""
        heard: list[_Failure | None] = [None] * self.size
        try:
            torch.distributed.all_gather_object(heard, own)
        except RuntimeError as error:
            logger.debug("the connection is lost: %s", error)
            raise Interrupted("another process of the run has ended") from None
        return heard

    def _look_after(self) -> None:
        """Notice that a process that this one has started, or that has started this one, is gone."""
        for rank, process in enumerate(self._started, start=1):
            if process.poll() is not None:
                raise Interrupted(f"process {rank + 1} of {self.size} has ended")
        if os.getppid() != self._parent:
            raise Interrupted("the process that started this one has ended")


class _Failure:
    """What went wrong in a process, for the others."""

    def __init__(self, rank: int, error: Exception) -> None:
        self._rank, self._message = rank, str(error)
        self._traceback = None if isinstance(error, UserError) else "".join(traceback.format_exception(error))

    def explain(self, size: int) -> Exception:
        """Return what another process is to raise."""
        message = f"process {self._rank + 1} of {size}: {self._message}"
        if self._traceback is None:
            return UserError(message)
        logger.error("%s\n%s", message, self._traceback)
        return RuntimeError(message)


def _take_over(strategy: DDPStrategy) -> list[subprocess.Popen[bytes]]:
    """Return the processes that Lightning has started here, and take them out of its care.

    It would kill this process as soon as one of them dies, before it could say so and leave its record.
    """
    started = getattr(strategy.launcher, "procs", [])
    taken = list(started)
    started.clear()
    return taken
