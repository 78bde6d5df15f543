"""Opening movies of any format, cutting them, checking their frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autods.core.errors import UserError, require_type
from autods.io.base import Choice, ChoiceError, Contents, Frames, Movie, MovieMetadata
from autods.io.folders import find_movies, is_zarr, numbered_images
from autods.io.readers.czi import open_czi
from autods.io.readers.imaris import open_imaris
from autods.io.readers.lif import open_lif
from autods.io.readers.nd2 import open_nd2
from autods.io.readers.npy import open_npy
from autods.io.readers.picasso_raw import open_picasso_raw
from autods.io.readers.sequence import open_sequence
from autods.io.readers.sif import open_sif
from autods.io.readers.tiff import open_tiff
from autods.io.readers.zarr import open_zarr

__all__ = [
    "MOVIE_FORMATS",
    "ArrayMovie",
    "Choice",
    "ChoiceError",
    "Contents",
    "CroppedMovie",
    "Frames",
    "Movie",
    "MovieMetadata",
    "check_frames",
    "find_movies",
    "open_movie",
]

_log = logging.getLogger(__name__)

#: What a file is called, its first bytes, and who reads it.
_READERS: list[tuple[str, tuple[bytes, ...], Callable[[Path, Choice], Movie]]] = [
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), open_tiff),
    ("ND2", (b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP  "), open_nd2),
    ("CZI", (b"ZISRAWFI",), open_czi),
    ("LIF", (b"\x70\0\0\0",), open_lif),
    ("SIF", (b"Andor Te",), open_sif),
    ("Imaris", (b"\x89HDF",), open_imaris),
    (".npy", (b"\x93NUMPY",), open_npy),
]

#: What is read, for a sentence; a folder and a file of bare numbers have no first bytes.
MOVIE_FORMATS = ", ".join(name for name, *_ in _READERS) + ", Zarr and Picasso .raw"

_FOREIGN = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"PK\3\4": "a ZIP archive",
    b"SIMPLE": "a FITS file",
    b"RIFF": "an AVI video",
    b"%PDF": "a PDF document",
}


class ArrayMovie(Movie):
    """Movie over an array in memory.

    Raises `UserError` if the array is no movie.

    Parameters
    ----------
    array
        (T, Y, X), or (Y, X) for one frame; integers or real numbers.
    metadata
        Pixel size and camera where known.
    path
        What to call it in messages.
    """

    def __init__(
        self, array: Frames, metadata: MovieMetadata | None = None, path: str | Path = "array"
    ) -> None:
        require_type("array", array, np.ndarray)
        if array.ndim not in (2, 3):
            raise UserError(f"{path} has {array.ndim} axes: a movie has 3 (frame, row, column), an image 2")
        frames = array if array.ndim == 3 else array[None]
        n_frames, height, width = frames.shape
        super().__init__(Path(path), (n_frames, height, width), frames.dtype, metadata or MovieMetadata())
        self._frames = frames

    def _read(self, start: int, stop: int) -> Frames:
        return np.array(self._frames[start:stop], self.dtype)


class CroppedMovie(Movie):
    """Part of a movie; it owns the movie and closes it.

    Raises `UserError` if the range or the region does not lie in the movie.

    Parameters
    ----------
    movie
        The whole.
    frames
        Range of frames ``slice(start, stop)``, from 0; None for all.
    roi
        Region (y0, x0, y1, x1) in pixels, ends excluded; None for the whole frame.

    Attributes
    ----------
    first_frame
        Frame of the whole movie that is frame 0 here.
    origin_px
        (y0, x0): pixel of the whole frame that is pixel (0, 0) here.
    """

    def __init__(
        self, movie: Movie, frames: slice | None = None, roi: tuple[int, int, int, int] | None = None
    ) -> None:
        n_frames, height, width = movie.shape
        start, stop = _frame_range(frames, n_frames, movie.path)
        y0, x0, y1, x1 = roi or (0, 0, height, width)
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise UserError(
                f"roi={y0}:{x0}:{y1}:{x1} does not lie in the frames of {movie.path}:"
                f" give Y0:X0:Y1:X1 within 0:0:{height}:{width}"
            )
        shape = (stop - start, y1 - y0, x1 - x0)
        super().__init__(movie.path, shape, movie.dtype, movie.metadata, movie.contents)
        self.first_frame = start
        self.origin_px = (y0, x0)
        self._movie = movie
        self._window = (slice(y0, y1), slice(x0, x1))

    def _read(self, start: int, stop: int) -> Frames:
        whole = self._movie.read(start + self.first_frame, stop + self.first_frame)
        return np.ascontiguousarray(whole[:, self._window[0], self._window[1]])

    def close(self) -> None:
        """Close the movie underneath."""
        self._movie.close()


def _frame_range(frames: slice | None, n_frames: int, path: Path) -> tuple[int, int]:
    if frames is None:
        return 0, n_frames
    start = 0 if frames.start is None else frames.start
    stop = n_frames if frames.stop is None else frames.stop
    if frames.step not in (None, 1) or not 0 <= start < stop <= n_frames:
        raise UserError(
            f"frames={start}:{stop} does not lie in {path}: give START:STOP within 0:{n_frames}, no step"
        )
    return start, stop


def check_frames(frames: Frames, path: str | Path) -> None:
    """Refuse frames that carry no signal.

    Raises `UserError` if every value is NaN, some are infinite, or all are the same.

    Parameters
    ----------
    frames
        (T, Y, X) sample of a movie.
    path
        The movie, for the message.
    """
    if frames.dtype.kind == "f":
        if np.isinf(frames).any():
            raise UserError(f"{path} has infinite values: save the camera's own numbers")
        if np.isnan(frames).all():
            raise UserError(f"{path} has only NaN (not a number) values: save the camera's own numbers")
    low, high = np.nanmin(frames), np.nanmax(frames)
    if low == high:
        raise UserError(f"{path} is constant (every pixel is {low:g}): is the camera's shutter closed?")


def open_movie(path: str | Path, *, channel: int | None = None, position: int | None = None) -> Movie:
    """Open a movie of any known format, told by its content and not its name.

    What the file holds beyond the frames is said in a warning. Frames are read when asked for; use it
    in ``with``. Raises `UserError` if there is no readable movie; the message says why.

    Parameters
    ----------
    path
        A file, a Zarr folder, a folder of numbered images, or a folder with one movie.
    channel, position
        Which channel and which stage position, from 0, of a file that holds several.
    """
    require_type("path", path, str, os.PathLike)
    require_type("channel", channel, int, np.integer, type(None))
    require_type("position", position, int, np.integer, type(None))
    path = Path(path)
    choice = Choice(channel, position)
    try:
        movie = _open_folder(path, choice) if path.is_dir() else _open_file(path, choice)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: check the name") from error
    except PermissionError as error:
        raise UserError(f"no permission to read {path}: ask for it or copy the file") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    for note in (*movie.contents.notes, *movie.metadata.notes):
        _log.warning("%s: %s", path, note)
    return movie


def _open_folder(path: Path, choice: Choice) -> Movie:
    if is_zarr(path):
        return open_zarr(path, choice)
    images = numbered_images(path)
    if images:
        return open_sequence(path, images, choice)
    movies = find_movies(path)
    if len(movies) > 1:
        raise UserError(f"{path} holds {len(movies)} movies: name one of them, such as {movies[0].name}")
    return _open_folder(movies[0], choice) if movies[0].is_dir() else _open_file(movies[0], choice)


def _open_file(path: Path, choice: Choice) -> Movie:
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise UserError(f"{path} is empty (0 bytes): copy or save it again")
    for _, magics, reader in _READERS:
        if start.startswith(magics):
            return reader(path, choice)
    if path.suffix.lower() in (".raw", ".yaml", ".yml"):
        return open_picasso_raw(path, choice)
    kind = next((name for magic, name in _FOREIGN.items() if start.startswith(magic)), "of another kind")
    raise UserError(f"{path} is {kind}, not a movie: autods reads {MOVIE_FORMATS}")
