"""Micro-Manager's image stacks and NDTiff: an index says which image is where; without it each page does."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import FileHandle, TiffFile
from tifffile.tifffile import read_micromanager_metadata, read_ndtiff_index

from autods.core.errors import UserError
from autods.io.folders import continuations
from autods.io.foreign import read_by_library
from autods.io.readers.tiff_layout import Layout
from autods.io.readers.tiff_pages import Pages, read_notes, scan_pages

_STACK, _NDTIFF = 54_773_648, 483_729
_STACK_AXES = {"ChannelIndex": "C", "SliceIndex": "Z", "FrameIndex": "T", "PositionIndex": "P"}
_NDTIFF_AXES = {"time": "T", "channel": "C", "z": "Z", "position": "P"}
_MAX_IMAGES = 1 << 26


def micromanager_kind(path: Path) -> str:
    """Tell a file of Micro-Manager by its header: ``stack``, ``ndtiff`` or nothing."""
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) < 12:
        return ""
    (magic,) = struct.unpack(("<" if head[:2] == b"II" else ">") + "I", head[8:12])
    return {_STACK: "stack", _NDTIFF: "ndtiff"}.get(magic, "")


def stack_layout(path: Path) -> Layout | None:
    """Lay out an image stack and the files that continue it; None when neither index nor pages tell."""
    files, rows, page_of = [scan_pages(part) for part in continuations(path)], [], []
    for number, pages in enumerate(files):
        index = _stack_index(pages)
        if index is not None:
            found = _lookup(pages.ifd, index[:, 4])
            rows.append(index[:, :4])
        else:
            noted = _noted(pages)
            if noted is None:
                return None
            found = np.arange(len(pages))
            rows.append(noted)
        page_of.append(np.stack([np.full(len(found), number), found], 1))
    summary = _summary(path)
    layout = _grid("Micro-Manager stack", "CZTP", np.concatenate(rows), np.concatenate(page_of), files)
    names = summary.get("ChNames")
    layout.names["C"] = [str(name) for name in names] if isinstance(names, list) else []
    planned, axis = summary.get("Frames"), layout.axes.find("T")
    recorded = layout.shape[axis]
    if isinstance(planned, int) and planned > recorded > 0:
        layout.notes.append(f"it holds {recorded} of the {planned} frames that it announces")
    return layout


def _summary(path: Path) -> dict[str, Any]:
    try:
        with FileHandle(str(path)) as file:
            found = read_micromanager_metadata(file, {"Summary"}).get("Summary")
    except Exception:  # noqa: BLE001 a damaged summary leaves names and plan unknown, no more
        return {}
    return found if isinstance(found, dict) else {}


def _stack_index(pages: Pages) -> NDArray[np.int64] | None:
    """Read (channel, slice, frame, position, place of the page) of each image; None without an index."""
    try:
        with FileHandle(str(pages.path)) as file:
            index = read_micromanager_metadata(file, {"IndexMap"}).get("IndexMap")
    except Exception:  # noqa: BLE001 a recording that was stopped has none
        return None
    if index is None or not len(index):
        return None
    return np.asarray(index, np.int64)


def _noted(pages: Pages) -> NDArray[np.int64] | None:
    """Read the coordinates from the note of each page."""
    notes = read_notes(pages)
    try:
        found = [[int(note.get(name, 0)) for name in _STACK_AXES] for note in notes]
    except (TypeError, ValueError):
        return None
    return np.array(found, np.int64) if any("FrameIndex" in note for note in notes) else None


def ndtiff_layout(path: Path) -> Layout | None:
    """Lay out an NDTiff data set by its index, or by the notes of its pages; None when neither tells."""
    index = path.with_name("NDTiff.index")
    found = _ndtiff_index(index, path) if index.is_file() else None
    notes = [] if found else ["its NDTiff.index is missing: the notes of the pages tell their order"]
    if found is None:
        found = _ndtiff_notes(path)
    if found is None:
        return None
    axes, places, files = found
    letters, coordinates, names = _ndtiff_axes(axes)
    layout = _grid("NDTiff", letters, coordinates, places, files)
    layout.names.update(names)
    layout.notes.extend(notes)
    return layout


_Found = tuple[list[Mapping[str, Any]], NDArray[np.int64], list[Pages]]


def _ndtiff_index(index: Path, path: Path) -> _Found | None:
    with read_by_library(f"{index} is damaged: copy it again, or take it out of the folder"):
        entries = list(read_ndtiff_index(index))
    if not entries:
        return None
    names = list(dict.fromkeys(str(entry[1]) for entry in entries))
    missing = [name for name in names if not (path.parent / Path(name).name).is_file()]
    if missing:
        raise UserError(
            f"{path} is one of {len(names)} files and {missing[0]} is missing: put them in one folder"
        )
    files = [scan_pages(path.parent / Path(name).name) for name in names]
    number = {name: i for i, name in enumerate(names)}
    where = np.array([number[str(entry[1])] for entry in entries], np.int64)
    data = np.array([int(entry[2]) for entry in entries], np.int64)
    page = np.full(len(entries), -1, np.int64)
    for i, pages in enumerate(files):
        page[where == i] = _lookup(pages.data, data[where == i])
    return [entry[0] for entry in entries], np.stack([where, page], 1), files


def _ndtiff_notes(path: Path) -> _Found | None:
    files = [scan_pages(part) for part in continuations(path)]
    axes: list[Mapping[str, Any]] = []
    places = []
    for number, pages in enumerate(files):
        for page, note in enumerate(read_notes(pages)):
            if not isinstance(note.get("Axes"), dict):
                return None
            axes.append(note["Axes"])
            places.append((number, page))
    return (axes, np.array(places, np.int64), files) if axes else None


def _ndtiff_axes(entries: Sequence[Mapping[str, Any]]) -> tuple[str, NDArray[np.int64], dict[str, list[str]]]:
    """Number the values of each axis; names (of channels) count in the order in which they come."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    letters, columns, names = "", [], {}
    for key in keys:
        letter = _NDTIFF_AXES.get(key.lower(), "")
        if not letter or letter in letters:
            letter = next(mark for mark in "QHVEOABDFGIJKLMNUW" if mark not in letters)
        letters += letter
        values = [entry.get(key, 0) for entry in entries]
        if all(isinstance(value, int) for value in values):
            columns.append(np.array(values, np.int64))
            continue
        seen = list(dict.fromkeys(str(value) for value in values))
        names[letter] = seen
        order = {value: i for i, value in enumerate(seen)}
        columns.append(np.array([order[str(value)] for value in values], np.int64))
    if not letters:
        return "T", np.arange(len(entries))[:, None], names
    return letters, np.stack(columns, 1), names


def _lookup(sorted_or_not: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find each wanted number; -1 where it is not there."""
    order = np.argsort(sorted_or_not, kind="stable")
    place = np.clip(np.searchsorted(sorted_or_not[order], wanted), 0, len(order) - 1)
    found = order[place]
    return np.where(sorted_or_not[found] == wanted, found, -1)


def _grid(
    kind: str, axes: str, coordinates: NDArray[np.int64], places: NDArray[np.int64], files: list[Pages]
) -> Layout:
    """Arrange images by their coordinates, numbers without an image left out of each axis."""
    # Positions and channels first, frames last.
    order = sorted(range(len(axes)), key=lambda i: "PCZT".find(axes[i]) if axes[i] in "PCZT" else -1)
    values = [np.unique(coordinates[:, i], return_inverse=True) for i in order]
    shape = tuple(len(unique) for unique, _ in values)
    if int(np.prod(shape, dtype=object)) > _MAX_IMAGES:
        raise UserError(f"{files[0].path} has an index of {shape} images: it is damaged")
    flat = np.ravel_multi_index([inverse.reshape(-1) for _, inverse in values], shape)
    file, page = np.full(int(np.prod(shape)), -1, np.int64), np.full(int(np.prod(shape)), -1, np.int64)
    file[flat], page[flat] = places[:, 0], places[:, 1]
    file[page < 0] = -1
    notes = []
    for i, (unique, _) in zip(order, values, strict=True):
        gaps = int(unique[-1] - unique[0]) + 1 - len(unique)
        if axes[i] == "T" and gaps:
            notes.append(f"its frames are numbered {unique[0]} to {unique[-1]}, {gaps} of them missing")
    named = kind if len(files) == 1 else f"{kind} of {len(files)} files"
    return Layout(named, "".join(axes[i] for i in order), shape, files, file, page, notes=notes)


def micromanager_settings(path: Path, tif: TiffFile) -> dict[str, Any]:
    """Join the summary of a file and the settings stored with its first frame."""
    settings = _summary(path) if micromanager_kind(path) else {}
    note = tif.pages.first.tags.valueof(51123)
    if isinstance(note, (str, bytes)):
        import json

        try:
            note = json.loads(note)
        except ValueError:
            note = {}
    return {**settings, **(note if isinstance(note, dict) else {})}
