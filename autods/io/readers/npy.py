"""Movies saved by numpy.save."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, Movie, MovieMetadata
from autods.io.readers.axes import choose_planes


def open_npy(path: Path, choice: Choice | None = None) -> Movie:
    """Open a .npy file holding (T, Y, X), or (Y, X) for one frame.

    Raises `UserError` if the file is truncated, holds Python objects or an array with another number of axes.
    """
    array = _map(path)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3:
        raise UserError(f"{path} has {array.ndim} axes: a movie has 3 (frame, row, column), an image 2")
    shape = (array.shape[0], array.shape[1], array.shape[2])
    choose_planes("T", shape[:1], path, choice or Choice())
    rest = path.stat().st_size - array.nbytes
    notes = (
        (f"{rest:,} bytes beside its {array.nbytes:,} are not read",)
        if rest > max(array.nbytes, 2**16)
        else ()
    )
    return NpyMovie(path, shape, array.dtype, MovieMetadata(), Contents("NumPy array", (), notes))


class NpyMovie(Movie):
    """Movie in a .npy file; it is mapped for each read, so that memory does not grow with what was read."""

    def _read(self, start: int, stop: int) -> Frames:
        return np.array(_map(self.path).reshape(self.shape, order="A")[start:stop], self.dtype)


def _map(path: Path) -> Frames:
    try:
        array: Frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        if "pickle" in str(error) or "object" in str(error):
            raise UserError(f"{path} holds Python objects: save a plain array of numbers") from error
        raise UserError(f"{path} is truncated or damaged: copy or save it again") from error
    return array
