"""One movie in many files of one image each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, Movie
from autods.io.names import arrange
from autods.io.readers.axes import axis_sizes, choose_planes
from autods.io.readers.tiff import open_tiff
from autods.io.readers.tiff_ome import names_other_files


def open_sequence(folder: Path, images: Sequence[Path], choice: Choice | None = None) -> Movie:
    """Open numbered TIFF images as one movie; each file is looked at when its frame is read.

    Raises `UserError` if the names leave open what is a frame, an image is missing, or the first one cannot
    be read; at reading, if one has another size or type.
    """
    if names_other_files(images[0]):
        return open_tiff(images[0], choice)
    arranged = arrange(images, folder)
    planes = choose_planes(arranged.axes, arranged.shape, folder, choice or Choice(), arranged.names)
    chosen = arranged.index[planes]
    if (chosen < 0).any():
        raise UserError(
            f"{folder} lacks {np.count_nonzero(chosen < 0)} of {len(chosen)} images that the numbers of the"
            " others tell of: copy it again"
        )
    files = [images[i] for i in chosen]
    contents = Contents(
        f"folder of {len(images)} TIFF images", axis_sizes(arranged.axes, arranged.shape), arranged.notes
    )
    return SequenceMovie(folder, files, contents)


class SequenceMovie(Movie):
    """Movie whose frames are TIFF files."""

    def __init__(self, folder: Path, images: Sequence[Path], contents: Contents) -> None:
        first = open_tiff(images[0])
        super().__init__(folder, (len(images), *first.shape[1:]), first.dtype, first.metadata, contents)
        self._images = list(images)

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for i, path in enumerate(self._images[start:stop]):
            image = open_tiff(path, with_metadata=False)
            if image.shape != (1, *self.shape[1:]) or image.dtype != self.dtype:
                raise UserError(
                    f"{path} holds {image.shape} {image.dtype}, not {self.shape[1:]} {self.dtype}"
                    " as the first image: take it out of the folder"
                )
            frames[i] = image.read(0, 1)[0]
        return frames
