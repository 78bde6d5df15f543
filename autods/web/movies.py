"""Movies that the page looks at: opened once, read by one request at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autods.io.movie import Choice, Movie, open_movie
from autods.pipelines.view import contrast_limits

_KEPT = 4
_ANY = Choice()


@dataclass(frozen=True)
class MovieFacts:
    """What a movie's file tells.

    Parameters
    ----------
    path
        The file.
    shape
        (T, Y, X).
    dtype
        Type of the values.
    known
        Instrument numbers that the file states.
    source
        Where they come from.
    limits
        Grey values for black and white.
    choice
        Channel and position of the file that are looked at.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: str
    known: dict[str, float]
    source: str
    limits: tuple[float, float]
    choice: Choice = _ANY


@dataclass
class _Opened:
    movie: Movie
    facts: MovieFacts
    lock: threading.Lock


class Movies:
    """A few open movies."""

    def __init__(self) -> None:
        self._opened: OrderedDict[tuple[Path, int, Choice], _Opened] = OrderedDict()
        self._lock = threading.Lock()

    def facts(self, path: Path, choice: Choice = _ANY) -> MovieFacts:
        """Tell what a movie is.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        with self.reading(path, choice) as (_, facts):
            return facts

    @contextmanager
    def reading(self, path: Path, choice: Choice = _ANY) -> Iterator[tuple[Movie, MovieFacts]]:
        """Lend a movie for reading.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        opened = self._open(path, choice)
        with opened.lock:
            yield opened.movie, opened.facts

    def _open(self, path: Path, choice: Choice) -> _Opened:
        key = (path, path.stat().st_mtime_ns if path.exists() else 0, choice)
        with self._lock:
            found = self._opened.pop(key, None)
            if found is None:
                movie = open_movie(path, channel=choice.channel, position=choice.position)
                facts = MovieFacts(
                    path,
                    movie.shape,
                    str(movie.dtype),
                    dict(movie.metadata.known()),
                    movie.metadata.source,
                    contrast_limits(movie),
                    choice,
                )
                found = _Opened(movie, facts, threading.Lock())
            self._opened[key] = found
            while len(self._opened) > _KEPT:
                _, oldest = self._opened.popitem(last=False)
                with oldest.lock:
                    oldest.movie.close()
        return found
