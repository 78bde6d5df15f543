"""Nikon ND2 movies, read by the optional package nd2."""

from __future__ import annotations

import struct
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import BaseMovie, Frames, MovieMetadata
from autods.io.readers.axes import frame_axis
from autods.io.readers.tiff_metadata import plausible_pixel_size

#: What the package raises on files that do not follow the format.
_DAMAGED = (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError)


def open_nd2(path: Path) -> BaseMovie:
    """Open an ND2 movie.

    Raises
    ------
    UserError
        If the package nd2 is not installed, or the file is damaged or of several channels.
    """
    try:
        import nd2
    except ImportError as error:
        raise UserError(f"{path} is an ND2 movie: run `pip install autods[nd2]` to read it") from error
    with ExitStack() as stack:
        try:
            movie = Nd2Movie(path, stack.enter_context(nd2.ND2File(str(path))))
        except _DAMAGED as error:
            short = " ".join(str(error).split())[:100]
            raise UserError(f"{path} is damaged or truncated ({short}): copy or save it again") from error
        stack.pop_all()  # the movie closes the file
    return movie


class Nd2Movie(BaseMovie):
    """Movie in an open ``nd2.ND2File``.

    Parameters
    ----------
    path
        The file.
    file
        The open file; closed with the movie.

    Raises
    ------
    UserError
        If it holds colours or several channels.
    """

    def __init__(self, path: Path, file: Any) -> None:
        sizes = dict(file.sizes)
        axis = frame_axis("".join(name[0] for name in sizes), list(sizes.values()), path)
        planned = 1 if axis is None else list(sizes.values())[axis]
        # A stopped recording keeps the planned number in its loops.
        n_frames = min(planned, int(file.attributes.sequenceCount))
        shape = (n_frames, sizes["Y"], sizes["X"])
        super().__init__(path, shape, np.dtype(file.dtype), _metadata(file))
        self._file = file
        self._lock = threading.Lock()

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        with self._lock:
            for i in range(start, stop):
                frames[i - start] = self._file.read_frame(i).reshape(self.shape[1:])
        return frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _metadata(file: Any) -> MovieMetadata:
    """Read pixel size, objective and emission of the first channel."""
    channels = getattr(file.metadata, "channels", None) or []
    wavelength = na = None
    if channels:
        wavelength = getattr(channels[0].channel, "emissionLambdaNm", None)
        na = getattr(channels[0].microscope, "objectiveNumericalAperture", None)
    size = plausible_pixel_size(float(file.voxel_size().x), "um")
    return MovieMetadata(pixel_size_nm=size, wavelength_nm=wavelength or None, na=na or None, source="ND2")
