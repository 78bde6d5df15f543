"""TIFF, BigTIFF, OME-TIFF, ImageJ and Micro-Manager stacks of one or many files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPage

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, Movie, MovieMetadata
from autods.io.folders import first_of_series
from autods.io.foreign import quiet, read_by_library, short
from autods.io.readers.axes import axis_sizes, choose_planes
from autods.io.readers.blocks import BlockMovie
from autods.io.readers.tiff_layout import Layout, one_file_layout
from autods.io.readers.tiff_metadata import tiff_metadata
from autods.io.readers.tiff_micromanager import micromanager_kind, ndtiff_layout, stack_layout
from autods.io.readers.tiff_ome import is_ome, ome_layout
from autods.io.readers.tiff_pages import PageKind, Pages, scan_pages

#: Bytes of a page's tags and notes, generously.
_PAGE_BYTES = 4000


def open_tiff(path: Path, choice: Choice | None = None, *, with_metadata: bool = True) -> Movie:
    """Open a TIFF movie; frames are read when they are asked for.

    Uncompressed frames are read straight from their place in the file, others are decoded page by page.
    Raises `UserError` if the file is damaged, in colour, holds something to choose from,
    or lacks a file of its series.

    Parameters
    ----------
    path
        The file; of a series of several files, any.
    choice
        Channel and position, where the file holds several.
    with_metadata
        Whether to read what the file states of microscope and camera; most of the time, for a small image.
    """
    choice = choice or Choice()
    with quiet("tifffile"):
        layout = _layout(path, choice)
        planes = choose_planes(layout.axes, layout.shape, path, choice, layout.names)
        file, page, notes = _present(layout, planes, path)
        kind = _one_kind(layout, file, page, path)
        notes += _unread(layout)
        metadata = _metadata(layout.files[0].path, choice) if with_metadata else MovieMetadata()
    contents = Contents(layout.kind, axis_sizes(layout.axes, layout.shape), (*layout.notes, *notes))
    used = np.unique(file)
    files, file = [layout.files[i] for i in used], np.searchsorted(used, file)
    data = _gather(files, file, page, "data")
    if kind.is_plain and (data >= 0).all():
        stored = np.dtype(kind.dtype).newbyteorder("<" if files[0].byteorder == "<" else ">")
        size = (kind.height, kind.width)
        return BlockMovie(path, [each.path for each in files], file, data, size, stored, metadata, contents)
    places = _gather(files, file, page, "ifd")
    return PagedMovie(path, [each.path for each in files], file, places, kind, metadata, contents)


def _layout(path: Path, choice: Choice) -> Layout:
    """Find out how the pages are arranged, from what describes them best."""
    kind = micromanager_kind(path)
    if kind:
        found = stack_layout(path) if kind == "stack" else ndtiff_layout(first_of_series(path))
        if found is not None:
            return found
    pages = scan_pages(path)
    return ome_layout(pages, choice) if is_ome(pages.description) else one_file_layout(pages, choice)


def _present(
    layout: Layout, planes: NDArray[np.int64], path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Take the images that are wholly there; those that a stopped recording or copy lacks are at the end."""
    file, page = layout.file[planes], layout.page[planes]
    whole = page >= 0
    for number, pages in enumerate(layout.files):
        here = (file == number) & whole
        whole[here] = pages.is_whole[page[here]]
    n_whole = int(np.count_nonzero(whole))
    if not n_whole:
        raise UserError(
            f"{path} is truncated: not one of {len(planes)} frames is whole; copy or save it again"
        )
    last = int(np.flatnonzero(whole)[-1]) + 1
    if last > n_whole:
        first = int(np.flatnonzero(~whole)[0])
        raise UserError(
            f"{path} lacks {last - n_whole} of {last} frames, such as frame {first} (from 0): copy or save it"
            " again"
        )
    notes = []
    if n_whole < len(planes):
        notes.append(f"it is cut short: {n_whole} of {len(planes)} frames are whole and read")
    elif any(pages.cut_at for pages in layout.files):
        notes.append(f"it is cut short: its list of pages ends after {n_whole} frames, which are read")
    return file[whole], page[whole], notes


def _one_kind(layout: Layout, file: NDArray[np.int64], page: NDArray[np.int64], path: Path) -> PageKind:
    """Return the kind that all frames are of.

    Raises `UserError` if a frame is of another size or type, or they are colours.
    """
    first = layout.files[file[0]]
    kind: PageKind = first.kinds[first.kind[page[0]]]
    if kind.samples > 1:
        raise UserError(f"{path} is a colour (RGB) picture: give the raw grey-level movie of the camera")
    if not kind.dtype:
        raise UserError(f"{path} holds no readable image: save it as a grey-level TIFF of 8, 16 or 32 bits")
    for number, pages in enumerate(layout.files):
        is_other = np.array([each != kind for each in pages.kinds])
        strange = page[file == number][is_other[pages.kind[page[file == number]]]]
        if len(strange):
            raise UserError(
                f"{pages.path}: page {strange[0]} (counted from 0) is {pages.kinds[pages.kind[strange[0]]]},"
                f" others are {kind}: save frames of one size, type and compression as a movie of their own"
            )
    return kind


def _unread(layout: Layout) -> list[str]:
    """Note the bytes of a file that none of its pages accounts for."""
    notes = []
    for pages in layout.files:
        described = int(pages.n_stored.sum())
        rest = pages.size - described
        usual = _PAGE_BYTES * len(pages) + max(pages.kinds[pages.kind[0]].n_bytes, 2**20)
        if not pages.cut_at and rest > described + usual:
            notes.append(
                f"{pages.path.name} holds {rest:,} bytes beside the {described:,} of its {len(pages)} pages"
            )
    return notes


def _metadata(path: Path, choice: Choice) -> MovieMetadata:
    """Read microscope and camera; what cannot be read there never keeps the frames from being read."""
    try:
        with TiffFile(path) as tif:
            return tiff_metadata(tif, path, choice.channel or 0)
    except Exception as error:  # noqa: BLE001 tifffile raises anything over damaged tags
        return MovieMetadata(
            notes=(f"what it says of microscope and camera cannot be read ({short(error)})",)
        )


def _gather(
    files: list[Pages], file: NDArray[np.int64], page: NDArray[np.int64], name: str
) -> NDArray[np.int64]:
    values = np.empty(len(file), np.int64)
    for number, pages in enumerate(files):
        here = file == number
        values[here] = getattr(pages, name)[page[here]]
    return values


class PagedMovie(Movie):
    """Movie whose frames must be decoded (compressed, tiled or packed).

    Raises `UserError` if the compression cannot be decoded here.

    Parameters
    ----------
    path
        What the user named.
    files
        The files that hold the frames.
    file_index, places
        (T,) file of each frame, and where its page is there.
    kind
        Size, type and compression of every frame.
    metadata, contents
        What the file states and holds.
    """

    def __init__(
        self,
        path: Path,
        files: Sequence[Path],
        file_index: NDArray[np.int64],
        places: NDArray[np.int64],
        kind: PageKind,
        metadata: MovieMetadata,
        contents: Contents,
    ) -> None:
        super().__init__(
            path, (len(places), kind.height, kind.width), np.dtype(kind.dtype), metadata, contents
        )
        self._files = list(files)
        self._file_index = file_index
        self._places = places
        self._compression = kind.compression
        self._read(0, 1)

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        with quiet("tifffile"):
            for number in np.unique(self._file_index[start:stop]).tolist():
                wanted = start + np.flatnonzero(self._file_index[start:stop] == number)
                self._fill(self._files[number], wanted.tolist(), frames, start)
        return frames

    def _fill(self, path: Path, wanted: list[int], frames: Frames, start: int) -> None:
        """Decode some frames of one file."""
        with read_by_library(f"cannot read {path}"):
            tif = TiffFile(path)
        with tif:
            for i in wanted:
                frames[i - start] = self._decode(tif, i)

    def _decode(self, tif: TiffFile, frame: int) -> Frames:
        try:
            tif.filehandle.seek(int(self._places[frame]))
            image: Frames = TiffPage(tif, frame).asarray()
            return np.asarray(image.reshape(self.shape[1:]), self.dtype)
        except Exception as error:
            raise self._unreadable(frame, error) from error

    def _unreadable(self, frame: int, error: Exception) -> UserError:
        if "imagecodecs" in str(error):
            return UserError(
                f"{self.path} is compressed (TIFF's kind {self._compression}): `pip install imagecodecs`,"
                " or save it uncompressed"
            )
        return UserError(
            f"{self.path}: frame {frame} cannot be decoded ({short(error)}): copy or save it again"
        )
