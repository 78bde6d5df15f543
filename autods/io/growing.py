"""Movies that are still being written: how many whole frames there are by now."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autods.core.errors import UserError
from autods.io.base import Frames, Movie
from autods.io.movie import open_movie

logger = logging.getLogger(__name__)

#: Opening again may take this share of the time at most: long files of many pages are looked at less often.
_SHARE = 0.2


class GrowingMovie:
    """A movie that another program writes: a file or folder of any format that `open_movie` reads.

    Whatever the format announces, a frame counts when it can be read and is not all one value (the zeros of a
    file that was laid out in advance), and so do all before it. The last one is held back until the next is
    there or nothing has changed for a while: it may be half written.

    Parameters
    ----------
    path
        The file or folder; it need not be there yet.
    channel, position
        Which channel and stage position of a file that holds several.
    """

    def __init__(self, path: Path, channel: int | None = None, position: int | None = None) -> None:
        self._path, self._channel, self._position = path, channel, position
        self._movie: Movie | None = None
        self._state: tuple[int, int] | None = None
        self._changed = self._opened = time.monotonic()
        self._open_s = 0.0
        self._whole = 0
        self.n_frames = 0

    @property
    def movie(self) -> Movie | None:
        """What was opened last; None where nothing could be opened yet."""
        return self._movie

    @property
    def quiet_s(self) -> float:
        """Seconds since something changed."""
        return time.monotonic() - self._changed

    def poll(self, settled_s: float) -> int:
        """Look again and return the number of frames that may be used.

        Parameters
        ----------
        settled_s
            Once nothing has changed for so many seconds, the last frame counts too.
        """
        now = time.monotonic()
        if now - self._opened >= self._open_s / _SHARE:
            state = _state(self._path)
            if state is not None and state != self._state:
                self._state, self._changed = state, now
                self._open()
        held_back = 0 if self.quiet_s >= settled_s else 1
        self.n_frames = max(self.n_frames, self._whole - held_back)
        return self.n_frames

    def read(self, start: int, stop: int) -> Frames:
        """Read frames that `poll` has counted."""
        assert self._movie is not None
        return self._movie.read(start, stop)

    def close(self) -> None:
        """Close the movie."""
        if self._movie is not None:
            self._movie.close()

    def _open(self) -> None:
        start = time.monotonic()
        try:
            with _quiet():
                movie = open_movie(self._path, channel=self._channel, position=self._position)
        except UserError as error:
            # A header that is half written; the next look sees more.
            logger.debug("%s cannot be opened yet: %s", self._path, error)
        else:
            self.close()
            self._movie = movie
            self._whole = max(self._whole, _count_whole(movie, self._whole))
        self._opened = time.monotonic()
        self._open_s = self._opened - start


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is said of unfinished files from being said at every look."""
    readers = logging.getLogger("autods.io")
    level = readers.level
    readers.setLevel(logging.ERROR)
    try:
        yield
    finally:
        readers.setLevel(level)


def _count_whole(movie: Movie, known: int) -> int:
    """Return the number of frames at the start that are there, of which so many are known."""
    low, high = known, movie.shape[0]
    if high > low and _is_there(movie, high - 1):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if _is_there(movie, middle - 1):
            low = middle
        else:
            high = middle
    return low


def _is_there(movie: Movie, frame: int) -> bool:
    try:
        values = movie.read(frame, frame + 1)
    except UserError:
        return False
    return bool(values.min() != values.max())


def _state(path: Path) -> tuple[int, int] | None:
    """Return a number of files and bytes that changes when the movie grows; None where there is nothing."""
    try:
        if path.is_dir():
            sizes = [item.stat().st_size for item in path.rglob("*") if item.is_file()]
        else:
            # A movie of several files grows in the last of them.
            sizes = [item.stat().st_size for item in path.parent.glob(f"*{path.suffix}")]
            path.stat()
    except OSError:
        return None
    return len(sizes), sum(sizes)
