"""Several processes that share the frames of one movie, started by Lightning here or by a batch system.

Each process plans the run alike, for a plan depends on movie and settings only, and localizes every n-th
block of frames into the run folder, which all must see. When all are done, the first one merges the blocks
and writes the result: the same table as that of one process. A process that dies takes the others with it;
the blocks that were finished are kept, and the same command goes on from there, with any number of processes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from autods.core import UserError

logger = logging.getLogger(__name__)

#: How long a process waits for the others.
_PATIENCE = timedelta(days=30)


class Team:
    """The processes that share the work; making it starts those that do not run yet.

    Under SLURM (or another launcher that Lightning knows) the processes are there already; elsewhere
    Lightning starts the others with the command line of this one.

    Parameters
    ----------
    devices
        Processes on each machine; on GPUs, one for each.
    num_nodes
        Machines.
    device
        Kind of device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    UserError
        If there are not so many devices, or the batch system runs another number of processes.
    """

    def __init__(self, devices: int, num_nodes: int = 1, device: str = "auto") -> None:
        kind = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}.get(device)
        if kind is None:
            raise UserError(
                f"device={device} is one device: use auto, cpu or cuda with trainer.devices={devices}"
            )
        if devices < 1 or num_nodes < 1:
            raise UserError("trainer.devices and trainer.num_nodes must be at least 1")
        # The processes exchange nothing but "I am done", for which gloo serves on every machine.
        strategy = DDPStrategy(process_group_backend="gloo", timeout=_PATIENCE)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        try:
            self._fabric = Fabric(accelerator=kind, devices=devices, num_nodes=num_nodes, strategy=strategy)
        except (RuntimeError, ValueError) as error:
            cause = " ".join(str(error).split())
            raise UserError(
                f"{num_nodes} x {devices} processes on device={device} cannot be made ({cause}): change"
                " trainer.devices, trainer.num_nodes or device"
            ) from error
        self._fabric.launch()

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

    def share(self, pieces: Iterable[int], work: Callable[[int], object]) -> None:
        """Do this process's part of some pieces of work; return once every process has done its own.

        Parameters
        ----------
        pieces
            The same in every process.
        work
            Does a piece and keeps the result where the first process finds it.

        Raises
        ------
        SystemExit
            In a process other than the first when its work fails: the first one notices and ends, too.
        """
        rank = self._fabric.global_rank
        try:
            for index, piece in enumerate(pieces):
                if index % self.size == rank:
                    work(piece)
        except Exception:
            if self.is_first:
                raise
            logger.exception("process %d of %d failed", rank + 1, self.size)
            raise SystemExit(1) from None
        self._fabric.barrier()
