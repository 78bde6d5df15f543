"""What the pages of a TIFF file are: which is which frame, channel and position."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from autods.core.errors import UserError
from autods.io.base import Choice
from autods.io.foreign import read_by_library
from autods.io.readers.tiff_pages import LOST_DESCRIPTION, Pages

#: tifffile's letters of axes that go by another letter here.
_LETTERS = {"R": "P", "P": "Q", "I": "T"}
_IMAGEJ = re.compile(r"^(images|channels|slices|frames)=(\d+)\s*$", re.MULTILINE)
#: Bytes between the last image and the list of pages after it, at most.
_GAP = 64


@dataclass(frozen=True)
class Layout:
    """The images of a TIFF movie of one or several files."""

    #: The format, for people.
    kind: str
    #: What the images are counted by, as in `autods.io.readers.axes`, the slowest first.
    axes: str
    shape: tuple[int, ...]
    #: The pages of each file.
    files: list[Pages]
    #: For each image, all axes counted through, its file and the page there; -1 where it is missing.
    file: NDArray[np.int64]
    page: NDArray[np.int64]
    #: What the file calls its channels and positions.
    names: dict[str, list[str]] = field(default_factory=dict)
    #: What was left out or is not as announced.
    notes: list[str] = field(default_factory=list)


def one_file_layout(pages: Pages, choice: Choice) -> Layout:
    """Lay out a file that needs no other one and has no description of its own kind."""
    count = len(pages)
    is_lost = pages.description == LOST_DESCRIPTION
    lost = ["what describes its images lies in the part that is missing"] if is_lost else []
    for find in (_imagej, _shaped, _metamorph):
        found = find(pages)
        if found is not None:
            return found
    joined = _images_before_the_list(pages)
    if joined > 1:
        pages = pages.extended(joined, int(pages.data[0]))
        note = f"its list of pages is cut off after page {count}: the {joined} images before it are read"
        return consecutive("TIFF", "T", (joined,), pages, [note, *lost])
    return plain_layout(pages, choice, notes=lost)


def consecutive(kind: str, axes: str, shape: tuple[int, ...], pages: Pages, notes: list[str]) -> Layout:
    """Lay out images that are the pages of one file in their order; those beyond its end are missing."""
    n_images = int(np.prod(shape, dtype=np.int64))
    page = np.arange(n_images)
    page[len(pages) :] = -1
    return Layout(kind, axes, shape, [pages], np.where(page < 0, -1, 0), page, notes=notes)


def plain_layout(pages: Pages, choice: Choice, kind: str = "TIFF", notes: Sequence[str] = ()) -> Layout:
    """Lay out pages without any description: those of one size and type that follow each other are the movie.

    Raises `UserError` if there are several such series, or another page lies between their frames.
    """
    notes = list(notes)
    reduced = np.array([kind.is_reduced for kind in pages.kinds])[pages.kind]
    if reduced.any() and not reduced.all():
        notes.append(
            f"{np.count_nonzero(reduced)} of {len(pages)} pages are small versions of others and left out"
        )
    order = np.flatnonzero(~reduced) if not reduced.all() else np.arange(len(pages))
    numbers = pages.kind[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    runs = np.split(order, starts[1:])
    series = [run for run in runs if len(run) > 1]
    if choice.position is not None and len(runs) > 1:
        return _series(pages, runs, kind, notes)
    if len(runs) == 1:
        chosen = runs[0]
    elif len(series) == 1 and len(order) - len(series[0]) <= len(series[0]):
        chosen = series[0]
        others = [run for run in runs if run is not chosen]
        left_out = ", ".join(f"page {run[0]} of {pages.kinds[pages.kind[run[0]]]}" for run in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        n_out, size = len(order) - len(chosen), pages.kinds[pages.kind[chosen[0]]]
        notes.append(f"{n_out} of {len(order)} pages left out: {left_out}{more} beside frames of {size}")
    else:
        return _refuse_mixture(pages, runs, series, kind, notes)
    return Layout(kind, "T", (len(chosen),), [pages], np.zeros_like(chosen), chosen, notes=notes)


def _refuse_mixture(
    pages: Pages, runs: list[NDArray[np.int64]], series: list[NDArray[np.int64]], kind: str, notes: list[str]
) -> Layout:
    """Refuse pages of several kinds: a foreign page among frames, or several series to choose from."""
    lengths = dict.fromkeys(range(len(pages.kinds)), 0)
    for run in runs:
        lengths[int(pages.kind[run[0]])] += len(run)
    usual = max(lengths, key=lambda number: lengths[number])
    foreign = next(run for run in runs if pages.kind[run[0]] != usual)
    if sum(int(pages.kind[run[0]]) == usual for run in runs) > 1 or not series:
        raise UserError(
            f"{pages.path}: page {foreign[0]} (counted from 0) is {pages.kinds[pages.kind[foreign[0]]]},"
            f" others are {pages.kinds[usual]}: save the frames of one size and type as a movie of their own"
        )
    return _series(pages, runs, kind, notes)


def _series(pages: Pages, runs: list[NDArray[np.int64]], kind: str, notes: list[str]) -> Layout:
    """Lay out series of different size as positions of which one is chosen."""
    longest = max(len(run) for run in runs)
    page = np.full((len(runs), longest), -1, np.int64)
    for row, run in zip(page, runs, strict=True):
        row[: len(run)] = run
    names = [f"{len(run)} of {pages.kinds[pages.kind[run[0]]]}" for run in runs]
    flat = page.reshape(-1)
    return Layout(kind, "PT", page.shape, [pages], np.where(flat < 0, -1, 0), flat, {"P": names}, notes)


def _imagej(pages: Pages) -> Layout | None:
    """ImageJ states channels, slices and frames; above 4 GB it writes one page with all images after it."""
    if not pages.description.startswith("ImageJ="):
        return None
    stated = {name: max(int(value), 1) for name, value in _IMAGEJ.findall(pages.description[:10_000])}
    n_images = stated.get("images", 1)
    shape = tuple(stated.get(name, 1) for name in ("frames", "slices", "channels"))
    axes = "TZC"
    if np.prod(shape, dtype=object) != n_images:
        axes, shape = "T", (n_images,)
    return _announced("ImageJ TIFF", axes, shape, pages)


def _shaped(pages: Pages) -> Layout | None:
    """Read the shape that tifffile notes in the description of the first page."""
    if not pages.description.startswith('{"shape":'):
        return None
    try:
        stated = json.loads(pages.description)
        shape = tuple(int(n) for n in stated["shape"])
        axes = str(stated.get("axes", ""))
    except (ValueError, TypeError, KeyError):
        return None
    size = (pages.kinds[pages.kind[0]].height, pages.kinds[pages.kind[0]].width)
    if shape[-2:] != size or len(shape) < 3:
        return None
    if len(axes) != len(shape) or not axes.endswith("YX"):
        long = sum(n > 1 for n in shape[:-2])
        axes = ("T" if long < 2 else "Q") * (len(shape) - 2) + "YX"
    letters = "".join(_LETTERS.get(axis, axis) for axis in axes[:-2])
    return _announced("TIFF", letters, shape[:-2], pages)


def _announced(kind: str, axes: str, shape: tuple[int, ...], pages: Pages) -> Layout | None:
    """Lay out as many images as the description announces; None when it does not fit the pages."""
    n_images = int(np.prod(shape, dtype=object))
    first = pages.kinds[pages.kind[0]]
    is_alone = len(pages) == 1 and n_images > 1 and pages.data[0] >= 0
    after_all = pages.cut_at == 0 or pages.cut_at >= pages.data[0] + n_images * first.n_bytes
    if is_alone and after_all:
        room = max(pages.size - int(pages.data[0]), 0) // first.n_bytes
        pages = pages.extended(min(n_images, room), int(pages.data[0]))
        if not len(pages):
            raise UserError(
                f"{pages.path} is truncated: not one of {n_images} frames is whole; copy it again"
            )
        return consecutive(kind, axes, shape, pages, [])
    if n_images < len(pages) or len(np.unique(pages.kind)) > 1:
        return None
    # Far fewer pages than announced: the description is not of this file.
    return consecutive(kind, axes, shape, pages, []) if n_images < 1000 * len(pages) else None


def _metamorph(pages: Pages) -> Layout | None:
    """MetaMorph's .stk holds one page with all images after it; tifffile knows how many."""
    if len(pages) > 1 or pages.path.suffix.lower() != ".stk":
        return None
    with read_by_library(f"{pages.path} is no readable MetaMorph stack"), TiffFile(pages.path) as tif:
        series = tif.series[0] if tif.is_stk else None
        if series is None or series.dataoffset is None or not series.axes.endswith("YX"):
            return None
        shape, start, axes = tuple(series.shape[:-2]), int(series.dataoffset), series.axes[:-2]
    n_images = int(np.prod(shape, dtype=object))
    room = max(pages.size - start, 0) // pages.kinds[pages.kind[0]].n_bytes
    letters = "".join(_LETTERS.get(axis, axis) for axis in axes)
    return consecutive("MetaMorph stack", letters, shape, pages.extended(min(n_images, room), start), [])


def _images_before_the_list(pages: Pages) -> int:
    """Count the images that lie between the first page and a list of pages that was cut off; 0 if unknown.

    ImageJ and tifffile write all images in a row and the pages of all but the first after them.
    """
    each = pages.kinds[pages.kind[0]].n_bytes
    if len(pages) != 1 or not pages.cut_at or pages.data[0] < 0:
        return 0
    span = pages.cut_at - int(pages.data[0])
    n_images = span // each
    if n_images < 2 or span - n_images * each > _GAP:
        return 0
    return int(min(n_images, max(pages.size - int(pages.data[0]), 0) // each))
