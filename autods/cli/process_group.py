"""Commands that several processes carry out together, of which only the first prints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autods.cli import faults

if TYPE_CHECKING:
    from autods.pipelines.distributed import ProcessGroup


def make_process_group(devices: int, num_nodes: int, device: str) -> ProcessGroup | None:
    """Return the processes that share the frames, None for this one alone.

    Raises `UserError` if they cannot be made.
    """
    if devices == num_nodes == 1:
        return None
    # Lightning takes seconds to import.
    from autods.pipelines.distributed import ProcessGroup

    return ProcessGroup(devices, num_nodes, device)


def is_first(group: ProcessGroup | None) -> bool:
    """Tell whether this process prints and explains."""
    return group is None or group.is_first


@contextmanager
def quiet_unless_first(group: ProcessGroup | None) -> Iterator[None]:
    """Silence the warnings of a process other than the first, which ends silently when it is interrupted."""
    if is_first(group):
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(faults.INTERRUPTED) from None
    finally:
        logging.disable(before)
