"""Movies that the page looks at: each read by one request at a time, none waiting for another movie."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autods.core import UserError
from autods.io.movie import Choice, Movie, open_movie
from autods.pipelines.view import contrast_limits
from autods.web.names import shown

_KEPT = 4
#: Movies that are read at once; a slow disk holds one thread a movie.
_THREADS = 24
#: Seconds that a page waits for a movie to open, and for a frame.
OPEN_S, FRAME_S = 300.0, 30.0
_ANY = Choice()
Value = TypeVar("Value")


@dataclass(frozen=True)
class MovieFacts:
    """What a movie's file tells."""

    #: The file.
    path: Path
    #: (T, Y, X).
    shape: tuple[int, int, int]
    #: Type of the values.
    dtype: str
    #: Instrument numbers that the file states.
    known: dict[str, float]
    #: Where they come from.
    source: str
    #: Grey values for black and white.
    limits: tuple[float, float]
    #: Channel and position of the file that are looked at.
    choice: Choice = _ANY
    #: Which camera and mode; '' where the file does not tell.
    camera: str = ""


_Key = tuple[Path, Choice]


class Movies:
    """A few open movies."""

    def __init__(self) -> None:
        self._opened: OrderedDict[_Key, tuple[int, Movie, MovieFacts]] = OrderedDict()
        self._locks: dict[_Key, asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="movie")

    async def facts(self, path: Path, choice: Choice = _ANY) -> MovieFacts:
        """Tell what a movie is.

        Raises `UserError` if it cannot be read, or takes longer than some minutes.
        """
        return await self.reading(path, choice, lambda _, facts: facts, OPEN_S)

    async def reading(
        self,
        path: Path,
        choice: Choice,
        use: Callable[[Movie, MovieFacts], Value],
        longest_s: float = FRAME_S,
    ) -> Value:
        """Read of a movie in a thread, when nobody else does.

        Raises `UserError` if it cannot be read, or takes too long.

        Parameters
        ----------
        path, choice
            The movie.
        use
            Called with it there.
        longest_s
            Seconds after which the page gives up; what has begun goes on, so that a later visit finds it.
        """
        key, start = (path, choice), time.monotonic()
        lock = self._locks.setdefault(key, asyncio.Lock())
        late = UserError(
            f"{shown(path.name)} takes longer than {longest_s:.0f} s to read: wait and open it again, "
            "or copy it to a disk of this machine"
        )
        try:
            await asyncio.wait_for(lock.acquire(), longest_s)
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise late from error
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._read, key, use)
        # A thread cannot be ended: the movie stays locked until it has.
        work.add_done_callback(lambda done: self._release(lock, done))
        try:
            left = longest_s - (time.monotonic() - start)
            return await asyncio.wait_for(asyncio.shield(work), max(left, 0.05))
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise late from error

    @staticmethod
    def _release(lock: asyncio.Lock, work: asyncio.Future[Value]) -> None:
        lock.release()
        if not work.cancelled():
            work.exception()  # whoever gave up does not ask for it any more

    def _read(self, key: _Key, use: Callable[[Movie, MovieFacts], Value]) -> Value:
        path, choice = key
        changed = path.stat().st_mtime_ns if path.exists() else 0
        found = self._opened.pop(key, None)
        if found is None or found[0] != changed:
            if found is not None:
                found[1].close()
            movie = open_movie(path, channel=choice.channel, position=choice.position)
            found = (changed, movie, _facts(path, movie, choice))
        try:
            return use(found[1], found[2])
        finally:
            self._opened[key] = found
            self._close_oldest()

    def _close_oldest(self) -> None:
        """Close what was not used for longest and is not in use: those in use are taken out meanwhile."""
        while len(self._opened) > _KEPT:
            try:
                _, (_, movie, _) = self._opened.popitem(last=False)
            except KeyError:  # another thread was faster
                return
            movie.close()


def _facts(path: Path, movie: Movie, choice: Choice) -> MovieFacts:
    return MovieFacts(
        path,
        movie.shape,
        str(movie.dtype),
        dict(movie.metadata.known()),
        movie.metadata.source,
        contrast_limits(movie),
        choice,
        movie.metadata.camera,
    )
