"""Nikon ND2 movies, read by the optional package nd2."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import BaseMovie, Choice, Contents, Frames, MovieMetadata
from autods.io.foreign import read_by_library
from autods.io.readers.axes import axis_sizes, choose_planes, split_image_axes
from autods.io.units import pixel_size


def open_nd2(path: Path, choice: Choice | None = None) -> BaseMovie:
    """Open an ND2 movie.

    Raises
    ------
    UserError
        If the package nd2 is not installed, or the file is damaged or holds something to choose from.
    """
    try:
        import nd2
    except ImportError as error:
        raise UserError(f"{path} is an ND2 movie: run `pip install autods[nd2]` to read it") from error
    with ExitStack() as stack:
        with read_by_library(f"{path} is damaged or truncated, copy or save it again"):
            movie = Nd2Movie(path, stack.enter_context(nd2.ND2File(str(path))), choice or Choice())
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
    choice
        Channel and position.

    Raises
    ------
    UserError
        If it holds colours, or something to choose from.
    """

    def __init__(self, path: Path, file: Any, choice: Choice) -> None:
        sizes = {name: int(n) for name, n in dict(file.sizes).items()}
        # Channels lie within what the package reads as one frame.
        loops = [name for name in sizes if name not in "CYXS"]
        order = [*loops, *(name for name in "CSYX" if name in sizes)]
        axes, shape = split_image_axes(
            "".join(name[0] for name in order), [sizes[name] for name in order], path
        )
        channels = getattr(file.metadata, "channels", None) or []
        names = {"C": [str(getattr(each.channel, "name", "")) for each in channels]}
        planes = choose_planes(axes, shape, path, choice, names)
        n_channels = sizes.get("C", 1)
        # A stopped recording keeps the planned number in its loops.
        recorded = planes // n_channels < int(file.attributes.sequenceCount)
        notes: tuple[str, ...] = ()
        if not recorded.all():
            notes = (
                f"it is cut short: {np.count_nonzero(recorded)} of {len(planes)} frames are there and read",
            )
        planes = planes[recorded]
        size = (len(planes), sizes["Y"], sizes["X"])
        contents = Contents("ND2", axis_sizes(axes, shape), notes)
        super().__init__(path, size, np.dtype(file.dtype), _metadata(file, choice.channel or 0), contents)
        self._sequence = (planes // n_channels).tolist()
        self._channel = int(planes[0] % n_channels) if len(planes) else 0
        self._n_channels = n_channels
        self._file = file
        self._lock = threading.Lock()

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        with (
            self._lock,
            read_by_library(f"{self.path}: frames {start} to {stop - 1} cannot be read, copy it again"),
        ):
            for i in range(start, stop):
                images = np.asarray(self._file.read_frame(self._sequence[i]))
                frames[i - start] = images.reshape(self._n_channels, *self.shape[1:])[self._channel]
        return frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _metadata(file: Any, channel: int) -> MovieMetadata:
    """Read pixel size, objective and emission of a channel."""
    channels = getattr(file.metadata, "channels", None) or []
    wavelength = na = None
    if channel < len(channels):
        wavelength = getattr(channels[channel].channel, "emissionLambdaNm", None)
        na = getattr(channels[channel].microscope, "objectiveNumericalAperture", None)
    voxel = file.voxel_size()
    size = pixel_size(float(voxel.x) * 1e3, float(voxel.y) * 1e3, "ND2")
    others = MovieMetadata(wavelength_nm=wavelength or None, na=na or None, source="ND2")
    return MovieMetadata.merge([size, others])
