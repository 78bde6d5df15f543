"""Writes Micro-Manager image stacks for the tests, after micro-manager.org/Micro-Manager_File_Formats."""

import json
import struct
from pathlib import Path

import numpy as np


def write_mmstack(path: Path, frames: np.ndarray, first: int, total: int, **settings: object) -> None:
    """Write frames ``first``... of a movie of ``total`` frames as one file of the series."""
    prefix = path.name.split("_MMStack")[0]
    summary = {"MicroManagerVersion": "2.0", "Frames": total, "Slices": 1, "Channels": 1, "Positions": 1}
    head = json.dumps({**summary, "Prefix": prefix, "TimeFirst": False, "SlicesFirst": True}).encode()
    notes = json.dumps(settings).encode()
    start = 40 + len(head)
    pages, offsets, position = [], [], start
    for i, frame in enumerate(frames):
        offsets.append(position)
        after = position + 162 + frame.nbytes
        following = after + 16 + len(notes) if i + 1 < len(frames) else 0
        pages.append(_page(frame, position, following, notes))
        position += len(pages[-1])
    index = struct.pack("<II", 3453623, len(frames))
    for i, offset in enumerate(offsets):
        index += struct.pack("<5I", 0, 0, first + i, 0, offset)
    header = struct.pack("<2sHI", b"II", 42, start) + struct.pack("<II", 54773648, position)
    header += struct.pack("<IIIIII", 483765892, 0, 99384722, 0, 2355492, len(head))
    path.write_bytes(header + head + b"".join(pages) + index)


def write_ndtiff(folder: Path, images: list[tuple[dict[str, int | str], np.ndarray]], files: int = 1) -> Path:
    """Write an NDTiff data set of several files with its index; return the first file."""
    index, names = b"", ["NDTiffStack.tif", *(f"NDTiffStack_{i}.tif" for i in range(1, files))]
    summary = json.dumps({"PixelSizeUm": 0.108}).encode()
    for number, name in enumerate(names):
        part = images[number::files]
        header = struct.pack("<2sHI", b"II", 42, 28 + len(summary))
        header += struct.pack("<5I", 483729, 3, 3, 2355492, len(summary)) + summary
        position, pages = len(header), []
        for i, (axes, frame) in enumerate(part):
            note = json.dumps({"Axes": axes}).encode()
            following = position + 162 + frame.nbytes + 16 + len(note) if i + 1 < len(part) else 0
            pages.append(_page(frame, position, following, note))
            text, label = json.dumps(axes).encode(), name.encode()
            index += struct.pack("<I", len(text)) + text + struct.pack("<I", len(label)) + label
            meta = position + 162 + frame.nbytes + 16
            height, width = frame.shape
            index += struct.pack("<IiiiiIii", position + 162, width, height, 1, 0, meta, len(note), 0)
            position += len(pages[-1])
        (folder / name).write_bytes(header + b"".join(pages))
    (folder / "NDTiff.index").write_bytes(index)
    return folder / names[0]


def _page(frame: np.ndarray, position: int, following: int, notes: bytes) -> bytes:
    height, width = frame.shape
    data = position + 162
    extra = data + frame.nbytes
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, data),
        (277, 3, 1, 1),
        (278, 3, 1, height),
        (279, 4, 1, frame.nbytes),
        (282, 5, 1, extra),
        (283, 5, 1, extra + 8),
        (296, 3, 1, 3),
        (51123, 2, len(notes), extra + 16),
    ]
    ifd = struct.pack("<H", 13) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    ifd += struct.pack("<I", following)
    return ifd + frame.astype("<u2").tobytes() + struct.pack("<4I", 1, 1, 1, 1) + notes
