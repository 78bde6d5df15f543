"""The blocks of a movie, one after the other here or shared with other processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.core.grid import px_to_nm
from autods.io.movie import CroppedMovie
from autods.runs.chunks import ChunkStore
from autods.runs.record import RunRecord, Stage

if TYPE_CHECKING:
    # Lightning takes seconds to import; most runs are of one process.
    from autods.pipelines.distributed import ProcessGroup


class Block(NamedTuple):
    """What is found in a block of frames."""

    #: Localizations; frames and positions are those within the part of the movie.
    table: LocalizationTable
    #: (patches, models) frames that each got; of no size in 3D.
    used: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def later(self, frames: int) -> Block:
        """Return the block so many frames later."""
        return Block(replace(self.table, frame=self.table.frame + frames), self.used)


Result = TypeVar("Result")

#: Called with the share of a block that is done, 0 to 1.
OnShare = Callable[[float], None]
#: Blocks computed at once at most: each takes some 500 MB.
_AT_ONCE = 4


def blocks_at_once(device: torch.device) -> int:
    """Return how many blocks are best computed at the same time.

    Blocks side by side use the cores of a CPU better than single operations do; a GPU is full with one.
    """
    return min(torch.get_num_threads(), _AT_ONCE) if device.type == "cpu" else 1


def side_by_side(calls: Sequence[Callable[[], Result]], at_once: int) -> list[Result]:
    """Return what some calls give, made in threads that share the cores between them."""
    if at_once < 2 or len(calls) < 2:
        return [call() for call in calls]
    cores = torch.get_num_threads()

    def alone(call: Callable[[], Result]) -> Result:
        torch.set_num_threads(max(1, cores // at_once))
        return call()

    try:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(alone, calls))
    finally:
        torch.set_num_threads(cores)


def each_block(
    record: RunRecord,
    store: ChunkStore,
    starts: range,
    compute: Callable[[int, OnShare], Block],
    group: ProcessGroup | None,
    at_once: int = 1,
) -> Iterator[Block]:
    """Yield all blocks in order; those that the store lacks are computed and put there.

    Parameters
    ----------
    record
        The run.
    store
        Finished blocks, seen by all processes of the group.
    starts
        First frames of the blocks; its end is the number of frames.
    compute
        Makes the block of a first frame, and may tell how much of it is done.
    group
        Processes that share the work. The first one yields the blocks, the others none.
    at_once
        Blocks that are computed at the same time, in threads that share the cores between them.
    """

    def get(start: int, tell: OnShare) -> Block:
        name = f"block_{start:09d}"
        block = load_block(store, name)
        if block is None:
            block = compute(start, tell)
            save_block(store, name, block)
        tell(1.0)
        return block

    if group is not None:
        with record.stage(f"localize, {group.size} processes", starts.stop) as stage:
            group.share(starts, get, stage)
        if not group.is_first:
            return
    with record.stage("localize", starts.stop) as stage:
        yield from _in_threads(starts, get, stage, at_once)


def load_block(store: ChunkStore, name: str) -> Block | None:
    """Return a finished block; None where there is none."""
    columns = store.load(name)
    if columns is None:
        return None
    used = columns.pop("used", np.zeros((0, 0))).astype(np.int64)
    return Block(LocalizationTable.build(**columns), used)


def save_block(store: ChunkStore, name: str, block: Block) -> None:
    """Keep a finished block."""
    store.save(name, {**block.table.columns(), "used": block.used})


def _in_threads(
    starts: range, get: Callable[[int, OnShare], Block], stage: Stage, at_once: int
) -> Iterator[Block]:
    """Yield the blocks in order while the next ones are computed."""
    parts = [stage.part(start, min(start + starts.step, starts.stop)) for start in starts]
    if at_once < 2 or len(starts) < 2:
        yield from (get(start, tell) for start, tell in zip(starts, parts, strict=True))
        return
    cores = torch.get_num_threads()

    def alone(number: int) -> Block:
        torch.set_num_threads(max(1, cores // at_once))
        # The first of the blocks at work tells how far it is; those behind it run ahead.
        return get(starts[number], lambda share: parts[number](share) if number == first[0] else None)

    first, waiting = [0], deque[Future[Block]]()
    pool = ThreadPoolExecutor(at_once)
    try:
        for number in range(len(starts)):
            waiting.append(pool.submit(alone, number))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
                parts[first[0]](1.0)
                first[0] += 1
        while waiting:
            yield waiting.popleft().result()
            parts[first[0]](1.0)
            first[0] += 1
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)


def merge(
    blocks: list[Block], part: CroppedMovie, pixel_size_nm: float, max_uncertainty_nm: float | None
) -> LocalizationTable:
    """Join blocks, which are in order and are taken out of the list.

    Returns `LocalizationTable`, in coordinates of the full frame and of the whole movie.

    Parameters
    ----------
    blocks
        All blocks of the part.
    part
        The part of the movie.
    pixel_size_nm
        Of the movie, nm.
    max_uncertainty_nm
        Localizations of larger lateral uncertainty are dropped, nm; None keeps all.
    """
    parts = [block.table.columns() for block in blocks]
    blocks.clear()
    # Popping keeps only one column twice in memory.
    columns = {name: np.concatenate([columns.pop(name) for columns in parts]) for name in list(parts[0])}
    y0, x0 = part.origin_px
    columns["frame"] = columns["frame"] + part.first_frame
    columns["x_nm"] = columns["x_nm"] + px_to_nm(float(x0), pixel_size_nm)
    columns["y_nm"] = columns["y_nm"] + px_to_nm(float(y0), pixel_size_nm)
    table = LocalizationTable.build(**columns)
    return (
        table if max_uncertainty_nm is None else table.select(table.uncertainty_xy_nm <= max_uncertainty_nm)
    )
