"""Movies that a library reads image by image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, Movie, MovieMetadata
from autods.io.foreign import read_by_library


@contextmanager
def needs(package: str, path: Path, kind: str) -> Iterator[None]:
    """Say what to install where the import of an optional package fails.

    Raises `UserError` if it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(f"{path} is {kind}: run `pip install {package}` to read it") from error


def movie_of_planes(
    path: Path,
    open_file: Callable[[], Any],
    make: Callable[[Path, Any, Choice], PlaneMovie],
    choice: Choice | None,
    complaint: str = "is damaged or truncated",
) -> PlaneMovie:
    """Open a file with a library and make a movie of it, which closes it; what is no movie is closed at once.

    Raises `UserError` if the library cannot read it.
    """
    with ExitStack() as stack:
        with read_by_library(f"{path} {complaint}, copy or save it again"):
            file = open_file()
            stack.callback(file.close)
            movie = make(path, file, choice or Choice())
        stack.pop_all()
    return movie


class PlaneMovie(Movie):
    """Movie whose frames are read one at a time, by one thread at a time.

    Raises `UserError` if there are no frames or the values are not plain numbers.

    Parameters
    ----------
    path
        What the user named.
    planes
        (T,) number of the image that is each frame.
    size
        (Y, X).
    dtype
        Type of the values.
    read_plane
        Returns an image (Y, X) by its number.
    close
        Releases the file.
    metadata, contents
        What the file states and holds.
    """

    def __init__(
        self,
        path: Path,
        planes: Sequence[int],
        size: tuple[int, int],
        dtype: np.dtype[Any],
        read_plane: Callable[[int], Any],
        close: Callable[[], None],
        metadata: MovieMetadata,
        contents: Contents,
    ) -> None:
        super().__init__(path, (len(planes), *size), dtype, metadata, contents)
        self._planes = list(planes)
        self._read_plane = read_plane
        self._close = close
        self._lock = threading.Lock()

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        with self._lock:
            for i, plane in enumerate(self._planes[start:stop]):
                with read_by_library(f"{self.path}: frame {start + i} cannot be read, copy or save it again"):
                    frames[i] = np.asarray(self._read_plane(plane)).reshape(self.shape[1:])
        return frames

    def close(self) -> None:
        """Close the file; once."""
        close, self._close = self._close, lambda: None
        close()
