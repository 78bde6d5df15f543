"""TIFF, BigTIFF, OME-TIFF, ImageJ and Micro-Manager stacks of one or many files."""

from __future__ import annotations

import logging
import lzma
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from tifffile import TiffFile, TiffFileError, TiffPage, TiffPageSeries

from autods.core.errors import UserError
from autods.io.base import BaseMovie, Frames, MovieMetadata
from autods.io.readers.axes import frame_axis
from autods.io.readers.blocks import BlockMovie
from autods.io.readers.tiff_metadata import tiff_metadata

_log = logging.getLogger(__name__)

#: A TiffPage or TiffFrame; tifffile annotates their attributes differently from release to release.
_Page = Any
#: What tifffile raises on files that do not follow the format.
_DAMAGED = (
    *(TiffFileError, struct.error, zlib.error, lzma.LZMAError),
    *(ValueError, IndexError, KeyError, TypeError, ZeroDivisionError),
)


def open_tiff(path: Path) -> BaseMovie:
    """Open a TIFF movie; frames are read when they are asked for.

    Uncompressed frames are read straight from their place in the file, others are decoded page by page.

    Parameters
    ----------
    path
        The file; of a series of several files, the first.

    Returns
    -------
    BaseMovie
        The movie.

    Raises
    ------
    UserError
        If the file is damaged, truncated, in colour or of several channels, or lacks a file of its series.
    """
    with _quiet_tifffile():
        try:
            tif = TiffFile(path)
        except _DAMAGED as error:
            raise UserError(
                f"{path} is not a whole TIFF file ({_short(error)}): copy or save it again"
            ) from error
        with tif:
            try:
                return _build(tif, path)
            except _DAMAGED as error:
                raise UserError(
                    f"{path} is damaged or truncated ({_short(error)}): copy or save it again"
                ) from error


def _build(tif: TiffFile, path: Path) -> BaseMovie:
    _check_first_page(tif, path)
    _check_companions(tif, path)
    series = tif.series[0]
    axis = frame_axis(series.axes, series.shape, path)
    n_frames = 1 if axis is None else series.shape[axis]
    page = tif.pages.first
    frame_shape = (page.imagelength, page.imagewidth)
    metadata = tiff_metadata(tif)
    if series.dataoffset is not None and not _is_encoded(page):
        offsets = series.dataoffset + np.arange(n_frames, dtype=np.int64) * page.nbytes
        _check_length(path, tif.filehandle.size, offsets, page.nbytes)
        where = np.zeros(n_frames, np.int64)
        return BlockMovie(path, [path], where, offsets, frame_shape, _stored_type(tif, page), metadata)
    if series.kind not in ("mmstack", "ndtiff"):  # these have an index instead of a chain
        _check_chain(tif, path)
    pages = _present_pages(series, n_frames, path)
    if all(_is_one_block(frame) for frame in pages):
        return _block_movie(tif, path, pages, frame_shape, metadata)
    return PagedMovie(path, pages, frame_shape, metadata)


class PagedMovie(BaseMovie):
    """Movie whose frames must be decoded (compressed, tiled or packed).

    Parameters
    ----------
    path
        What the user named.
    pages
        One page a frame.
    frame_shape
        (Y, X).
    metadata
        What the file states.

    Raises
    ------
    UserError
        If the compression cannot be decoded here.
    """

    def __init__(
        self, path: Path, pages: Sequence[_Page], frame_shape: tuple[int, int], metadata: MovieMetadata
    ) -> None:
        keyframe = pages[0].keyframe
        super().__init__(path, (len(pages), *frame_shape), np.dtype(keyframe.dtype), metadata)
        self._pages = list(pages)
        self._lock = threading.Lock()
        self._read(0, 1)

    def _read(self, start: int, stop: int) -> Frames:
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        handles = {id(page.parent): page.parent.filehandle for page in self._pages[start:stop]}.values()
        with self._lock, _quiet_tifffile(), ExitStack() as stack:
            for handle in handles:
                self._open(handle)
                stack.callback(handle.close)
            for i in range(start, stop):
                frames[i - start] = self._decode(i)
        return frames

    def _open(self, handle: Any) -> None:
        try:
            handle.open()
        except OSError as error:
            raise UserError(f"cannot read {handle.path}: {error.strerror}") from error

    def _decode(self, frame: int) -> Frames:
        try:
            image: Frames = self._pages[frame].asarray()
            return image.reshape(self.shape[1:])
        except (*_DAMAGED, RuntimeError, OSError) as error:
            raise self._unreadable(frame, error) from error

    def _unreadable(self, frame: int, error: Exception) -> UserError:
        if "imagecodecs" in str(error):
            name = self._pages[0].keyframe.compression.name
            return UserError(
                f"{self.path} is compressed with {name}: `pip install imagecodecs`, or save it uncompressed"
            )
        return UserError(
            f"{self.path}: frame {frame} cannot be decoded ({_short(error)}): copy or save it again"
        )


def _block_movie(
    tif: TiffFile, path: Path, pages: Sequence[_Page], frame_shape: tuple[int, int], metadata: MovieMetadata
) -> BlockMovie:
    """Note where each page's bytes are, in which file."""
    handles = {id(page.parent): page.parent.filehandle for page in pages}
    number = {key: i for i, key in enumerate(handles)}
    where = np.array([number[id(page.parent)] for page in pages], np.int64)
    offsets = np.array([page.dataoffsets[0] for page in pages], np.int64)
    n_bytes = int(np.prod(frame_shape)) * np.dtype(pages[0].keyframe.dtype).itemsize
    files = [Path(handle.path) for handle in handles.values()]
    for i, handle in enumerate(handles.values()):
        size = files[i].stat().st_size if handle.closed else handle.size
        _check_length(files[i], size, offsets[where == i], n_bytes)
    stored = _stored_type(tif, pages[0].keyframe)
    return BlockMovie(path, files, where, offsets, frame_shape, stored, metadata)


def _check_first_page(tif: TiffFile, path: Path) -> None:
    """Refuse what the first page already tells: colour, no image, a chain of pages that leaves the file."""
    try:
        page: _Page = tif.pages.first
    except IndexError as error:
        raise UserError(f"{path} is a TIFF file without a whole image: copy or save it again") from error
    if not isinstance(page, TiffPage) or page.dtype is None:
        raise UserError(f"{path} holds no readable image: save it as a grey-level TIFF of 8, 16 or 32 bits")
    if page.samplesperpixel > 1:
        raise UserError(f"{path} is a colour (RGB) picture: give the raw grey-level movie of the camera")
    size = tif.filehandle.size
    images = int((tif.imagej_metadata or {}).get("images", 1))
    is_virtual = images > 1 and not _next_page(tif, page)
    chain_is_cut = _next_page(tif, page) > size
    if not page.is_contiguous or not (is_virtual or chain_is_cut):
        if chain_is_cut:
            raise UserError(f"{path} is truncated after the first frame: copy or save it again")
        return
    whole = max(size - page.dataoffsets[0], 0) // page.nbytes
    declared = images if images > 1 else _shaped_count(page)
    if chain_is_cut or whole < declared:
        raise _truncated(path, whole, declared)


def _shaped_count(page: _Page) -> int:
    """Count the frames that tifffile noted in the description; 0 when it did not."""
    if not page.is_shaped:
        return 0
    noted = page.parent.shaped_metadata or ()
    return int(np.prod(noted[0]["shape"][:-2])) if noted else 0


def _check_companions(tif: TiffFile, path: Path) -> None:
    """Refuse an OME series that names files which are not there."""
    if tif.ome_metadata is None or "FileName" not in tif.ome_metadata:
        return
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return
    named = {element.get("FileName", "") for element in root.iter() if element.tag.endswith("UUID")}
    missing = sorted(name for name in named if name and not (path.parent / name).exists())
    # A renamed file still names itself in its metadata.
    if missing and len(named) > 1:
        raise UserError(
            f"{path} is one of {len(named)} files and {missing[0]} is missing: put them in one folder"
        )


def _present_pages(series: TiffPageSeries, n_frames: int, path: Path) -> list[_Page]:
    """List the pages, without those that a stopped recording never wrote."""
    pages: list[_Page | None] = list(series.pages)[:n_frames]
    present = [page for page in pages if page is not None and page.dataoffsets and page.dataoffsets[0] > 0]
    if not present:
        raise UserError(f"{path} holds no frame: it was cut short while it was written")
    if len(present) < n_frames:
        if any(page is not None for page in pages[len(present) :]):
            raise UserError(
                f"{path} lacks {n_frames - len(present)} of its {n_frames} frames: copy or save it again"
            )
        _log.warning("%s holds %d of the %d frames that it announces", path, len(present), n_frames)
    return present


def _check_chain(tif: TiffFile, path: Path) -> None:
    """Refuse a file whose list of pages points beyond its end."""
    pages: Sequence[_Page] = tif.pages
    size = tif.filehandle.size
    if _next_page(tif, pages[-1]) > size:
        ends = [page.dataoffsets[-1] + page.databytecounts[-1] for page in pages]
        raise _truncated(path, sum(end <= size for end in ends), _shaped_count(pages[0]))


def _check_length(path: Path, size: int, offsets: np.ndarray[Any, Any], frame_bytes: int) -> None:
    """Refuse a file that ends before its last frame does."""
    whole = int(np.count_nonzero(offsets + frame_bytes <= size))
    if whole < len(offsets):
        raise _truncated(path, whole, len(offsets))


def _truncated(path: Path, whole: int, declared: int) -> UserError:
    count = f"{whole} of {declared} frames are" if declared > whole else f"{whole} frames are"
    return UserError(f"{path} is truncated: only {count} whole; copy or save it again")


def _next_page(tif: TiffFile, page: _Page) -> int:
    """Read where the file says that the page after this one is; 0 for none."""
    layout, file = tif.tiff, tif.filehandle
    try:
        file.seek(page.offset)
        (n_tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
        file.seek(page.offset + layout.tagnosize + n_tags * layout.tagsize)
        (offset,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    except struct.error:
        return 0
    return int(offset)


def _is_encoded(page: _Page) -> bool:
    """Whether the stored bytes are not the values themselves."""
    key = page.keyframe
    return (
        key.compression != 1
        or key.predictor != 1
        or key.fillorder != 1
        or key.dtype is None
        or key.bitspersample != 8 * np.dtype(key.dtype).itemsize
    )


def _is_one_block(page: _Page) -> bool:
    """Whether the page's values lie in the file as one run of bytes."""
    if _is_encoded(page) or page.keyframe.is_tiled:
        return False
    starts, counts = page.dataoffsets, page.databytecounts
    joined = all(a + n == b for a, n, b in zip(starts, counts, starts[1:], strict=False))
    return joined and sum(counts) >= page.keyframe.nbytes


def _stored_type(tif: TiffFile, page: _Page) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(page.dtype)
    return dtype.newbyteorder("<" if tif.byteorder == "<" else ">")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


@contextmanager
def _quiet_tifffile() -> Iterator[None]:
    """Keep tifffile's own log lines from the screen: what matters becomes our error."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
