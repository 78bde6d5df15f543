"""Results that the page shows: made ready in a process of their own, drawn from there on demand."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core import UserError
from autods.pipelines.exports import drift_curve
from autods.pipelines.kept import Kept
from autods.pipelines.live import LiveTable
from autods.pipelines.shown_rows import Look, Rows
from autods.pipelines.sorted_table import Source, has_table, is_sorted, open_sorted
from autods.pipelines.tiles import Painter
from autods.rendering import indexed, shaded
from autods.web.jobs import Job, JobStore
from autods.web.names import shown
from autods.web.queue import SECRET_VARIABLES
from autods.web.run_files import file_stat
from autods.web.run_index import RunIndex

#: Memory of finished pictures, and of what they are drawn from.
_PICTURE_BYTES, _LIGHT_BYTES = 64 << 20, 384 << 20
#: Seconds that making a result ready may take.
_LONGEST_S = 1800.0
_AT_ONCE = 1
#: Runs that go on and are looked at.
_MOST_LIVE = 8
#: Seconds between two pictures of such a run.
_LIVE_S = 3.0
#: Runs that are offered as a second channel.
_OFFERED = 50


@dataclass
class Preparation:
    """A table on its way to being ready."""

    #: How much is done, 0 to 1.
    share: float = 0.0
    #: Ends when it is ready, with the error if it fails.
    task: asyncio.Task[None] = field(init=False)


@dataclass
class Live:
    """What a run that goes on has found."""

    #: Grows with the run.
    table: LiveTable
    #: Draws it as it was when ``version`` was counted up; None before anything was read.
    painter: Painter | None = None
    #: Counted up with what was read.
    version: int = 0
    #: Localizations then.
    count: int = 0
    #: When it may be drawn anew, seconds of the monotonic clock.
    next_s: float = 0.0
    #: Held while it is read.
    lock: threading.Lock = field(default_factory=threading.Lock)


class Results:
    """Painters of results and their latest pictures."""

    def __init__(self, store: JobStore, index: RunIndex) -> None:
        self._store, self._index = store, index
        self._light = Kept(_LIGHT_BYTES)
        self._pictures = Kept(_PICTURE_BYTES)
        self._preparing: dict[tuple[Path, Source], Preparation] = {}
        self._live: OrderedDict[Path, Live] = OrderedDict()
        self._live_lock = threading.Lock()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def load(self, job_id: str) -> Job:
        """Read a run.

        Raises `UserError` if there is none of this name.
        """
        return self._store.load(job_id)

    def others(self, job: Job) -> dict[str, str]:
        """Return the latest finished runs beside one, by what people call them."""
        done = (entry for entry in self._index.entries() if entry.view.status == "done")
        named = {
            entry.view.job.id: entry.notes.title or shown(entry.view.job.id)
            for entry in islice(done, _OFFERED)
        }
        named.pop(job.id, None)
        return named

    def sources(self, job: Job) -> list[Source]:
        """Return the tables that a run has."""
        every: tuple[Source, ...] = ("localizations", "linked")
        return [source for source in every if has_table(job.folder, source)]

    def version(self, job: Job) -> float:
        """Return what changes with the result of a run; 0 where there is none."""
        stats = [file_stat(job.folder, f"localizations.{ending}") for ending in ("csv", "parquet")]
        return max((stat.st_mtime for stat in stats if stat is not None), default=0.0)

    def prepare(self, job: Job, source: Source) -> Preparation | None:
        """Make a table ready, in the background and once however many ask; None where it is."""
        if is_sorted(job.folder, source):
            return None
        key = (job.folder, source)
        found = self._preparing.get(key)
        if found is None:
            found = self._preparing[key] = Preparation()
            found.task = asyncio.create_task(self._sort(key, found))
            found.task.add_done_callback(lambda _: self._preparing.pop(key, None))
        return found

    async def _sort(self, key: tuple[Path, Source], preparation: Preparation) -> None:
        def tell(line: str) -> None:
            with suppress(ValueError):
                preparation.share = float(line)

        async with self._slots:
            await _work(["sort", str(key[0]), key[1]], tell)

    def live(self, job: Job) -> Live:
        """Return what a run that goes on has found, for all who look at it anew every few seconds."""
        with self._live_lock:
            found = self._live.pop(job.folder, None) or Live(LiveTable(job.folder))
            self._live[job.folder] = found
            while len(self._live) > _MOST_LIVE:
                self._live.popitem(last=False)
        with found.lock:
            begun = time.monotonic()
            if begun >= found.next_s and (found.table.update() or found.painter is None):
                found.version += 1
                name = (str(job.folder), "live", found.version)
                found.painter = Painter(Rows(found.table.table(), None, self._light, name), self._light, name)
                found.count = found.table.count
                # Large tables take their time: most of it is for others.
                found.next_s = time.monotonic() + max(_LIVE_S, 10 * (time.monotonic() - begun))
        return found

    def painter(self, job: Job, source: Source) -> Painter:
        """Return what draws a table that is ready.

        Raises `UserError` if it is not.
        """
        version = (str(job.folder), source, self.version(job))

        def make() -> Painter:
            curve = drift_curve(job.folder) if source == "localizations" else None
            rows = Rows(open_sorted(job.folder, source), curve, self._light, version)
            return Painter(rows, self._light, version)

        return self._light.get(("painter", version), make, lambda painter: int(painter.table.first.nbytes))

    def picture(self, key: object, draw: Callable[[], bytes]) -> bytes:
        """Draw a picture, or take it if it was drawn lately."""
        return self._pictures.get(key, draw, len)

    async def table(self, job: Job, source: Source, look: Look, ending: str) -> Path:
        """Write the table that passes a filter to a temporary file, which the caller removes.

        Raises `UserError` if it cannot be written.
        """
        handle, name = tempfile.mkstemp(suffix=f".{ending}", prefix="autods_")
        os.close(handle)
        path = Path(name)
        corrected = "true" if look.is_corrected else "false"
        try:
            async with self._slots:
                words = ["table", str(job.folder), source, look.filter, corrected, str(path)]
                await _work(words, lambda _: None)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


async def _work(words: list[str], tell: Callable[[str], None]) -> None:
    """Run `autods.web.worker`; a page that goes away ends it.

    Raises `UserError` with its own words if it fails, or if it takes too long.
    """
    environment = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "autods.web.worker",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    last = ""

    async def listen(stream: asyncio.StreamReader) -> None:
        nonlocal last
        async for line in stream:
            last = line.decode("utf-8", "replace").strip()
            tell(last)
        await process.wait()

    try:
        await asyncio.wait_for(listen(process.stdout), _LONGEST_S)
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise UserError("this took more than half an hour: use the files of the run instead") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise UserError(last.partition("error:")[2] or "the table could not be read: see the run's log")


def encoded(light: NDArray[np.float32], white: float, colors: str) -> bytes:
    """Encode light (Y, X) for the screen: PNG with a palette; JPEG where colours are mixed, ten times faster.

    Exports do not pass here.
    """
    from PIL import Image

    stream = io.BytesIO()
    if light.ndim == 2:
        index, palette = indexed(light, white, colors if colors != "depth" else "gray")
        image = Image.fromarray(index)
        image.putpalette(palette.tobytes())
        image.save(stream, format="PNG", compress_level=1)
    else:
        Image.fromarray(shaded(light, white)).save(stream, format="JPEG", quality=93, subsampling=0)
    return stream.getvalue()


def media_type(data: bytes) -> str:
    """Return the type of what `encoded` returns."""
    return "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png"
