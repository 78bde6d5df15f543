"""The interface of movies, and what is known of them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError

Frames = NDArray[Any]
_Self = TypeVar("_Self", bound="Movie")

#: Larger frames are claimed by damaged files only; half a GB at 16 bits.
MAX_FRAME_PX = 2**28


@dataclass(frozen=True)
class MovieMetadata:
    """What a file says about its microscope and camera; None where it says nothing."""

    #: Side of a pixel in the sample along the columns, nm.
    pixel_size_nm: float | None = None
    #: Side along the rows where it is another, nm.
    pixel_size_y_nm: float | None = None
    #: Camera, as in `autods.core.Camera`.
    offset_adu: float | None = None
    e_per_adu: float | None = None
    em_gain: float | None = None
    qe: float | None = None
    read_noise_e: float | None = None
    #: Emission wavelength (nm) and numerical aperture.
    wavelength_nm: float | None = None
    na: float | None = None
    #: Exposure of a frame, ms.
    exposure_ms: float | None = None
    #: Which camera, and in which mode: what its numbers depend on; empty where the file does not tell.
    camera: str = ""
    #: Where the values come from, for the report; empty when there are none.
    source: str = ""
    #: What the file states and is not used, with the reason.
    notes: tuple[str, ...] = ()

    def known(self) -> dict[str, float]:
        """Return the values that the file states, by name."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def merge(cls, parts: Sequence[MovieMetadata]) -> MovieMetadata:
        """Take each value from the first part that states it."""
        values: dict[str, float] = {}
        sources = []
        for part in parts:
            new = {name: value for name, value in part.known().items() if name not in values}
            if "pixel_size_nm" in values:
                new.pop("pixel_size_y_nm", None)  # of a second statement about the same pixel
            values.update(new)
            if new:
                sources.append(part.source)
        notes = () if "pixel_size_nm" in values else tuple(note for part in parts for note in part.notes)
        camera = next((part.camera for part in parts if part.camera), "")
        return cls(**values, camera=camera, source=", ".join(sources), notes=notes)

    def square_pixel_nm(self, path: Path) -> float | None:
        """Return the side of a pixel, nm; None when the file does not state it.

        Raises `UserError` if the pixels are not square.
        """
        if self.pixel_size_y_nm is not None:
            raise UserError(
                f"{path} has pixels of {self.pixel_size_nm:g} nm along x and {self.pixel_size_y_nm:g} nm"
                f" along y ({self.source}): resample it to square pixels, or give optics.pixel_size_nm=NM if"
                " that is wrong"
            )
        return self.pixel_size_nm


_NUMBERS = tuple(
    field.name for field in fields(MovieMetadata) if field.name not in ("camera", "source", "notes")
)


@dataclass(frozen=True)
class Choice:
    """Which channel and which stage position of a file is the movie, from 0; None where nothing is said."""

    channel: int | None = None
    position: int | None = None


class ChoiceError(UserError):
    """A file holds several channels or positions, and none is chosen.

    Parameters
    ----------
    message
        One line.
    choices
        What can be chosen: for ``channel`` and ``position`` the names of the items, in their order.
    """

    def __init__(self, message: str, choices: Mapping[str, Sequence[str]]) -> None:
        super().__init__(message)
        self.choices = choices


@dataclass(frozen=True)
class Contents:
    """What was found in a file: everything is read, or named in a note."""

    #: The format, and of how many files.
    kind: str = ""
    #: What the images are counted by, with how many there are: ``(("channels", 2), ("frames", 500))``.
    axes: tuple[tuple[str, int], ...] = ()
    #: What was left out or is not as announced, one sentence each.
    notes: tuple[str, ...] = ()


class Movie(ABC):
    """Frames that are read when they are asked for; a format has only to read them.

    Raises `UserError` if there are no frames, the frames have no pixels or more than any camera has, or the
    values are not plain numbers.

    Parameters
    ----------
    path
        File or folder.
    shape
        (T, Y, X).
    dtype
        Type of the values as stored, in any byte order.
    metadata
        What the file states.
    contents
        What was found in the file.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        metadata: MovieMetadata,
        contents: Contents | None = None,
    ) -> None:
        if 0 in shape:
            raise UserError(
                f"{path} holds no image: its size is {shape[0]} frames of {shape[1]} x {shape[2]} px"
            )
        if dtype.kind not in "uif":
            raise UserError(
                f"{path} holds values of type {dtype}: save it as integers or floating point numbers"
            )
        if shape[1] * shape[2] > MAX_FRAME_PX:
            raise UserError(
                f"{path} claims frames of {shape[1]} x {shape[2]} px, more than a camera has:"
                " it is damaged or no movie"
            )
        self.path = path
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self.metadata = metadata
        self.contents = contents or Contents()
        # A reader seeks in its file: threads that compute blocks of frames read one after the other.
        self._reading: AbstractContextManager[object] = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock behind: another process has its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_reading"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state over, with a lock of its own."""
        self.__dict__.update(state)
        self._reading = threading.RLock()

    def read(self, start: int, stop: int) -> Frames:
        """Read a run of frames.

        Returns (t, Y, X) of the movie's type; the caller may change it. Raises `ValueError` if ``start`` is
        negative or beyond ``stop``; `UserError` if the file can no longer be read.

        Parameters
        ----------
        start, stop
            First frame and the one after the last, from 0; ``stop`` beyond the end means the end.
        """
        stop = min(stop, self.shape[0])
        if not 0 <= start <= stop:
            raise ValueError(f"frames {start}:{stop} of a movie of {self.shape[0]}")
        if start == stop:
            return np.empty((0, *self.shape[1:]), self.dtype)
        with self._reading:
            return self._read(start, stop)

    @abstractmethod
    def _read(self, start: int, stop: int) -> Frames:
        """Read 0 <= start < stop <= T."""

    def close(self) -> None:
        """Release the file; most readers hold none between reads."""
        return

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Count the frames."""
        return self.shape[0]
