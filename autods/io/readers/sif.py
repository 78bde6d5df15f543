"""Andor SIF movies; the optional package sif_parser understands the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, MovieMetadata
from autods.io.foreign import read_by_library
from autods.io.readers.axes import choose_planes
from autods.io.readers.blocks import BlockMovie
from autods.io.readers.planes import needs


class _EndingFile:
    """A file that raises at its end: the parser reads on for ever where nothing comes."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Read some bytes."""
        return self._some(self._file.read(size))

    def readline(self) -> bytes:
        """Read a line."""
        return self._some(self._file.readline())

    def seek(self, place: int) -> int:
        """Go to a place."""
        return int(self._file.seek(place))

    def tell(self) -> int:
        """Return the place."""
        return int(self._file.tell())

    def _some(self, content: bytes) -> bytes:
        if not content:
            raise EOFError("the header does not end")
        return content


def open_sif(path: Path, choice: Choice | None = None) -> BlockMovie:
    """Open a SIF movie, its rows as the file has them.

    Raises `UserError` if the package is not installed, or the file is damaged.
    """
    with needs("sif_parser", path, "a SIF movie"):
        from sif_parser._sif_open import _open
    with path.open("rb") as file, read_by_library(f"{path} is damaged or truncated, copy or save it again"):
        tiles, (width, height), announced, info = _open(_EndingFile(file))
        start = int(tiles[0][2])
    frame_bytes = 4 * int(width) * int(height)
    n_frames = min(int(announced), max(path.stat().st_size - start, 0) // max(frame_bytes, 1))
    if n_frames < 1:
        raise UserError(f"{path} is truncated: not one frame is whole; copy or save it again")
    notes: tuple[str, ...] = ()
    if n_frames < announced:
        notes = (f"it is cut short: {n_frames} of {announced} frames are whole and read",)
    choose_planes("T", (n_frames,), path, choice or Choice())
    exposure = float(info.get("ExposureTime", 0)) * 1e3
    metadata = MovieMetadata(exposure_ms=exposure or None, source="SIF")
    offsets = start + frame_bytes * np.arange(n_frames, dtype=np.int64)
    where, size = np.zeros(n_frames, np.int64), (int(height), int(width))
    contents = Contents("Andor SIF", (), notes)
    return BlockMovie(path, [path], where, offsets, size, np.dtype("<f4"), metadata, contents)
