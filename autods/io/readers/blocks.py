"""Uncompressed frames at known places of one or more files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.io.base import Contents, Frames, Movie, MovieMetadata


class BlockMovie(Movie):
    """Movie whose frames lie as plain bytes in files.

    Files are read, not mapped (mapped pages would count as this program's memory), and are opened for each
    read, so that the object can be used by several threads and processes.

    Parameters
    ----------
    path
        What the user named.
    files
        The files that hold the frames.
    file_index
        (T,) index into ``files``.
    offsets
        (T,) first byte of each frame in its file.
    frame_shape
        (Y, X).
    dtype
        Type of the values in the file, with its byte order.
    metadata, contents
        What the file states and holds.
    """

    def __init__(
        self,
        path: Path,
        files: Sequence[Path],
        file_index: NDArray[np.int64],
        offsets: NDArray[np.int64],
        frame_shape: tuple[int, int],
        dtype: np.dtype[Any],
        metadata: MovieMetadata,
        contents: Contents | None = None,
    ) -> None:
        super().__init__(path, (len(offsets), *frame_shape), dtype, metadata, contents)
        self._files = list(files)
        self._stored = dtype
        self._file_index = file_index
        self._offsets = offsets
        frame_bytes = dtype.itemsize * frame_shape[0] * frame_shape[1]
        self._new_run = (np.diff(offsets) != frame_bytes) | (np.diff(file_index) != 0)

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self._stored)
        breaks = np.flatnonzero(self._new_run[start : stop - 1]) + 1
        firsts = np.concatenate(([0], breaks)).tolist()
        lasts = np.concatenate((breaks, [stop - start])).tolist()
        current, file = -1, None
        try:
            for first, last in zip(firsts, lasts, strict=True):
                index = int(self._file_index[start + first])
                if file is None or index != current:
                    if file is not None:
                        file.close()
                    current, file = index, self._files[index].open("rb", buffering=0)
                file.seek(int(self._offsets[start + first]))
                self._fill(file, frames[first:last])
        except OSError as error:
            raise UserError(f"cannot read {self._files[current]}: {error.strerror}") from error
        finally:
            if file is not None:
                file.close()
        return frames.astype(self.dtype, copy=False)

    def _fill(self, file: Any, frames: Frames) -> None:
        """Read until the array is full: one call moves at most 2 GB."""
        left = frames.reshape(-1).view(np.uint8).data
        while len(left):
            count = file.readinto(left)
            if not count:
                raise UserError(f"{file.name} ends too early: it was cut short or is still being written")
            left = left[count:]
