"""The pages of a TIFF file, each with its own size and type: one walk along the chain, linear in its length.

tifffile's own list of pages either parses every tag of a page, which is slow on long movies, or assumes that
all pages are like the first one, which fills pages of another size with foreign bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER = 256, 257, 258, 259, 266
_DESCRIPTION, _STRIP_OFFSETS, _SAMPLES, _STRIP_BYTES = 270, 273, 277, 279
_PREDICTOR, _TILE_OFFSETS, _TILE_BYTES, _FORMAT, _SUBFILE, _OLD_SUBFILE = 317, 324, 325, 339, 254, 255
_MICROMANAGER = 51123
_KIND_TAGS = (
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES, _PREDICTOR, _FORMAT, _SUBFILE),
    _OLD_SUBFILE,
)
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
#: A list of tags is longer in damaged files only.
_MAX_TAGS = 1000
_MAX_PIECES = 1 << 22
#: Bytes that one byte can stand for: zstd writes 128 KiB of one value in 4.
_MAX_RATIO = 40_000
_FIRST_READ = 512
_FARTHEST = 2**62
#: Stands for a description that lay in the part of the file that is missing.
LOST_DESCRIPTION = "lost"
_PLAIN_BITS = (8, 16, 32, 64)


@dataclass(frozen=True)
class PageKind:
    """What pages have in common that can be frames of one movie."""

    #: Size, pixels.
    height: int
    width: int
    #: NumPy's name of the type of the values, such as ``u2``; empty when there is none.
    dtype: str
    #: Values per pixel.
    samples: int
    #: TIFF's number of it; 1 is none.
    compression: int
    #: Whether the stored bytes are the values themselves.
    is_plain: bool
    #: Whether the page says that it is a small version of another one.
    is_reduced: bool

    @property
    def n_bytes(self) -> int:
        """Bytes of an image in memory."""
        size = np.dtype(self.dtype).itemsize if self.dtype else 1
        return self.height * self.width * self.samples * size

    def __str__(self) -> str:
        name = np.dtype(self.dtype).name if self.dtype else "unknown type"
        colours = f" x {self.samples} colours" if self.samples > 1 else ""
        return f"{self.height} x {self.width} px{colours} {name}"


@dataclass(frozen=True)
class Pages:
    """The pages of one file."""

    #: The file and its length, bytes.
    path: Path
    size: int
    #: ``<`` or ``>``.
    byteorder: str
    #: The kinds of page that occur.
    kinds: list[PageKind]
    #: (N,) index into ``kinds``.
    kind: NDArray[np.int64]
    #: (N,) place of the page's tags in the file; -1 of a page that has none of its own.
    ifd: NDArray[np.int64]
    #: (N,) first byte of the image, -1 where it lies in pieces; the byte after its last; bytes stored.
    data: NDArray[np.int64]
    end: NDArray[np.int64]
    n_stored: NDArray[np.int64]
    #: (N, 2) place and length of Micro-Manager's note; 0 without one.
    note: NDArray[np.int64]
    #: Of the first page.
    description: str
    #: Where the next page should have been when the file ends before it; 0 when the list ends as it should.
    cut_at: int = 0

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def is_whole(self) -> NDArray[np.bool_]:
        """(N,) whether the image was written and lies in the file."""
        return (self.n_stored > 0) & (self.end <= self.size)

    def extended(self, n_pages: int, start: int) -> Pages:
        """Return ``n_pages`` pages like the first one, whose images follow each other from byte ``start``."""
        each = self.kinds[self.kind[0]].n_bytes
        data = start + each * np.arange(n_pages, dtype=np.int64)
        none = np.full(n_pages, -1, np.int64)
        return Pages(
            self.path,
            self.size,
            self.byteorder,
            self.kinds,
            np.full(n_pages, self.kind[0]),
            none,
            data,
            data + each,
            np.full(n_pages, each, np.int64),
            np.zeros((n_pages, 2), np.int64),
            self.description,
        )


class _BeyondTheEnd(Exception):  # noqa: N818 no error: the file was cut off
    """A tag points beyond the end of the file."""


@dataclass
class _Layout:
    """How the words of a file are written: plain TIFF or BigTIFF, in one of two byte orders."""

    order: str
    is_big: bool
    tag: struct.Struct = field(init=False)
    count: struct.Struct = field(init=False)
    offset: struct.Struct = field(init=False)

    def __post_init__(self) -> None:
        self.tag = struct.Struct(self.order + ("HHQ8s" if self.is_big else "HHI4s"))
        self.count = struct.Struct(self.order + ("Q" if self.is_big else "H"))
        self.offset = struct.Struct(self.order + ("Q" if self.is_big else "I"))


def scan_pages(path: Path) -> Pages:
    """Walk along the chain of pages of a TIFF file.

    Raises `UserError` if the file has no page, a page points back to an earlier one, or claims more than the
    file can hold.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        layout, first = _layout(file, path)
        return _Walk(path, file, size, layout).pages(first)


def _layout(file: BinaryIO, path: Path) -> tuple[_Layout, int]:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise UserError(f"{path} is not a whole TIFF file: copy or save it again")
    (version,) = struct.unpack(order + "H", head[2:4])
    if version == 43 and len(head) == 16:
        return _Layout(order, True), int(struct.unpack(order + "Q", head[8:16])[0])
    return _Layout(order, False), int(struct.unpack(order + "I", head[4:8])[0])


class _Walk:
    """One walk; it holds what is needed at every page."""

    def __init__(self, path: Path, file: BinaryIO, size: int, layout: _Layout) -> None:
        self.path, self.file, self.size, self.layout = path, file, size, layout
        self.kinds: list[PageKind] = []
        self.known: dict[tuple[tuple[int, int, bytes] | None, ...], int] = {}

    def pages(self, offset: int) -> Pages:
        """Collect the pages from the one at ``offset`` on."""
        rows: list[tuple[int, ...]] = []
        seen: set[int] = set()
        description, cut_at = "", 0
        while offset:
            if offset in seen:
                raise UserError(
                    f"{self.path} is damaged: after page {len(rows)} its list of pages runs in a circle"
                )
            seen.add(offset)
            found = self._tags(offset)
            if found is None:
                cut_at = offset
                break
            tags, following = found
            try:
                rows.append(self._page(offset, tags))
                if len(rows) == 1:
                    description = self._text(tags.get(_DESCRIPTION))
            except _BeyondTheEnd:
                cut_at = offset
                break
            except (struct.error, ValueError) as error:
                raise UserError(
                    f"{self.path}: page {len(rows)} is damaged ({error}): copy or save it again"
                ) from error
            offset = following
        if not rows:
            raise UserError(f"{self.path} is a TIFF file without a whole image: copy or save it again")
        kind, ifd, data, end, stored, note, length = np.array(rows, np.int64).T
        return Pages(
            self.path,
            self.size,
            self.layout.order,
            self.kinds,
            kind,
            ifd,
            data,
            end,
            stored,
            np.stack([note, length], 1),
            description,
            cut_at,
        )

    def _tags(self, offset: int) -> tuple[dict[int, tuple[int, int, bytes]], int] | None:
        """Read the tags of a page and where the next one is; None where the file ends or has no page yet."""
        layout = self.layout
        if offset >= self.size:
            return None
        self.file.seek(offset)
        head = self.file.read(_FIRST_READ)
        if len(head) < layout.count.size:
            return None
        (n_tags,) = layout.count.unpack_from(head)
        end = layout.count.size + n_tags * layout.tag.size
        if n_tags > _MAX_TAGS:
            raise UserError(f"{self.path} is damaged: a page claims {n_tags} tags; copy or save it again")
        if not n_tags or offset + end > self.size:
            return None
        if len(head) < end + layout.offset.size:
            self.file.seek(offset)
            head = self.file.read(end + layout.offset.size)
        tags = {
            code: (dtype, count, value)
            for code, dtype, count, value in layout.tag.iter_unpack(head[layout.count.size : end])
        }
        if len(head) < end + layout.offset.size:
            return tags, 0
        return tags, int(layout.offset.unpack_from(head, end)[0])

    def _page(self, offset: int, tags: Mapping[int, tuple[int, int, bytes]]) -> tuple[int, ...]:
        key = tuple(tags.get(code) for code in _KIND_TAGS)
        if key not in self.known:
            self.known[key] = len(self.kinds)
            self.kinds.append(self._kind(tags))
        number = self.known[key]
        kind = self.kinds[number]
        is_tiled = _TILE_OFFSETS in tags
        starts = self._values(tags.get(_TILE_OFFSETS if is_tiled else _STRIP_OFFSETS))
        counts = self._values(tags.get(_TILE_BYTES if is_tiled else _STRIP_BYTES))
        if len(starts) == 1 and not counts:
            counts = [kind.n_bytes]  # some writers leave out the length of the only strip
        if len(starts) != len(counts) or not starts:
            raise ValueError("its image has no place in the file")
        _, length, where = tags.get(_MICROMANAGER, (0, 0, b""))
        note = int(self.layout.offset.unpack(where)[0]) if length > self.layout.offset.size else 0
        if note + length > self.size:
            note, length = 0, 0
        stored, end = sum(counts), max(start + count for start, count in zip(starts, counts, strict=True))
        joined = not is_tiled and all(
            start + count == following
            for start, count, following in zip(starts, counts, starts[1:], strict=False)
        )
        in_one_piece = joined and kind.is_plain
        if end > _FARTHEST or stored > _FARTHEST:
            raise ValueError("its image lies beyond any file")
        if stored and starts[0] and kind.is_plain and stored < kind.n_bytes:
            raise ValueError(f"its image of {kind} has {stored} bytes only")
        if kind.n_bytes > 2**20 and kind.n_bytes > _MAX_RATIO * max(stored, 1) and end <= self.size:
            raise UserError(f"{self.path} is damaged: page claims {kind} in {stored} bytes")
        if in_one_piece:
            end = starts[0] + kind.n_bytes
        is_written = starts[0] > 0
        return (number, offset, starts[0] if in_one_piece else -1, end, stored * is_written, note, length)

    def _kind(self, tags: Mapping[int, tuple[int, int, bytes]]) -> PageKind:
        def one(code: int, default: int) -> int:
            values = self._values(tags.get(code))
            return values[0] if values else default

        width, height, bits = one(_WIDTH, 0), one(_HEIGHT, 0), one(_BITS, 1)
        samples, compression, value_format = one(_SAMPLES, 1), one(_COMPRESSION, 1), one(_FORMAT, 1)
        if not (width and height and samples):
            raise ValueError("it has no size")
        is_plain = compression == 1 and one(_PREDICTOR, 1) == 1 and one(_FILL_ORDER, 1) == 1
        return PageKind(
            height,
            width,
            _dtype(bits, value_format),
            samples,
            compression,
            is_plain and bits in _PLAIN_BITS and samples == 1,
            bool(one(_SUBFILE, 0) & 1) or one(_OLD_SUBFILE, 1) == 2,
        )

    def _values(self, tag: tuple[int, int, bytes] | None) -> list[int]:
        """Return the numbers of a tag, read where it says that they are."""
        if tag is None:
            return []
        dtype, count, raw = tag
        code = _TYPES.get(dtype)
        if code is None or not 0 < count <= _MAX_PIECES:
            raise ValueError(f"a tag of {count} values of type {dtype}")
        n_bytes = struct.calcsize(code) * count
        if n_bytes > len(raw):
            raw = self._bytes(raw, n_bytes)
        return list(struct.unpack_from(f"{self.layout.order}{count}{code}", raw))

    def _text(self, tag: tuple[int, int, bytes] | None) -> str:
        if tag is None:
            return ""
        _, count, raw = tag
        try:
            content = raw[:count] if count <= len(raw) else self._bytes(raw, count)
        except _BeyondTheEnd:
            return LOST_DESCRIPTION
        return content.rstrip(b"\0").decode("utf-8", errors="replace")

    def _bytes(self, place: bytes, n_bytes: int) -> bytes:
        (offset,) = self.layout.offset.unpack(place)
        if offset + n_bytes > self.size:
            raise _BeyondTheEnd
        self.file.seek(offset)
        return self.file.read(n_bytes)


def _dtype(bits: int, value_format: int) -> str:
    """Name the type of values of so many bits; packed ones are widened when they are decoded."""
    if value_format == 3:
        return {16: "f2", 32: "f4", 64: "f8"}.get(bits, "")
    if value_format in (5, 6):
        return {64: "c8", 128: "c16"}.get(bits, "")
    if bits == 1:
        return "?"
    size = next((size for size in (8, 16, 32, 64) if bits <= size), 0)
    return f"{'i' if value_format == 2 else 'u'}{size // 8}" if size else ""


def read_notes(pages: Pages) -> list[dict[str, Any]]:
    """Read Micro-Manager's note of each page; empty where there is none or it is no JSON."""
    import json

    notes = []
    with pages.path.open("rb") as file:
        for place, length in pages.note.tolist():
            note: Any = {}
            if place and place + length <= pages.size:
                file.seek(place)
                try:
                    note = json.loads(file.read(length).rstrip(b"\0"))
                except ValueError:
                    note = {}
            notes.append(note if isinstance(note, dict) else {})
    return notes
