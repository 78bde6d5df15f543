"""One movie in many files of one image each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autods.core.errors import UserError
from autods.io.base import BaseMovie, Frames
from autods.io.readers.tiff import open_tiff


def open_sequence(folder: Path, images: Sequence[Path]) -> BaseMovie:
    """Open numbered TIFF images as one movie; each file is looked at when its frame is read.

    Parameters
    ----------
    folder
        What the user named.
    images
        The files in order.

    Raises
    ------
    UserError
        If the first image cannot be read; at reading, if one has another size or type.
    """
    return SequenceMovie(folder, images)


class SequenceMovie(BaseMovie):
    """Movie whose frames are TIFF files; parameters as in `open_sequence`."""

    def __init__(self, folder: Path, images: Sequence[Path]) -> None:
        first = open_tiff(images[0])
        super().__init__(folder, (len(images), *first.shape[1:]), first.dtype, first.metadata)
        self._images = list(images)

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for i, path in enumerate(self._images[start:stop]):
            image = open_tiff(path)
            if image.shape != (1, *self.shape[1:]) or image.dtype != self.dtype:
                raise UserError(
                    f"{path} holds {image.shape} {image.dtype}, not {self.shape[1:]} {self.dtype}"
                    " as the first image: take it out of the folder"
                )
            frames[i] = image.read(0, 1)[0]
        return frames
