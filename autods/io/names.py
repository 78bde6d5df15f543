"""Numbers in file names: which count frames, and which channels, positions and planes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError

#: Words before a number that say what it counts; a single letter only where no other letter is before it.
_WORDS = (
    ("C", r"channel|chan|ch|wavelength|c|w"),
    ("P", r"position|pos|stage|series|scene|field|fov|site|xy|p|s"),
    ("T", r"timepoint|time|frame|img|image|t"),
    ("Z", r"zplane|slice|plane|z"),
)
_LABELS = [(axis, re.compile(rf"(?:^|[^a-z])(?:{words})[_\-= ]?$", re.IGNORECASE)) for axis, words in _WORDS]
#: Micro-Manager 1.4: img_TIME_CHANNEL_SLICE.tif, the channel by its name.
_MICROMANAGER = re.compile(
    r"^(?P<head>img)_(?P<T>\d{9})_(?P<C>.+)_(?P<Z>\d{3})(?P<tail>\.tiff?)$", re.IGNORECASE
)


@dataclass(frozen=True)
class NumberedFiles:
    """Files whose names differ in numbers only, one image each."""

    #: What the numbers count, as in `autods.io.readers.axes`, frames last.
    axes: str
    shape: tuple[int, ...]
    #: For each image, all axes counted through, its file; -1 where there is none.
    index: NDArray[np.int64]
    #: What the names call the channels and positions.
    names: dict[str, list[str]]
    #: Gaps in the numbering.
    notes: tuple[str, ...]


def skeleton(name: str) -> str:
    """Return what files of one numbered series have in common: their name with every number as ``#``.

    Examples
    --------
    >>> skeleton("movie_01.tif") == skeleton("movie_12.tif")
    True
    """
    found = _MICROMANAGER.match(name)
    if found:
        return f"{found['head']}_#_*_#{found['tail']}".lower()
    return re.sub(r"\d+", "#", name)


def arrange(files: Sequence[Path], folder: Path) -> NumberedFiles:
    """Find out what the numbers in the names of a series count.

    Raises `UserError` if numbers differ in several places and the names do not say what each counts.

    Parameters
    ----------
    files
        Files of one `skeleton`, in natural order.
    folder
        What the user named, for messages.
    """
    columns, axes, labels = _columns([file.name for file in files])
    chosen = [i for i in range(len(axes)) if len(np.unique(columns[:, i])) > 1]
    # A number that says nothing counts frames; one that is not needed to tell the files apart (a time stamp
    # beside a counter) counts nothing.
    counting = sorted((i for i in chosen if axes[i] in ("", "T")), key=lambda i: axes[i] == "T")
    for i in counting:
        others = [j for j in chosen if j != i]
        if len(counting) > 1 and any(j in counting for j in others) and _is_unique(columns[:, others]):
            chosen = others
    left = [i for i in chosen if i in counting]
    if len(left) > 1:
        parts = " x ".join(str(len(np.unique(columns[:, i]))) for i in left)
        raise UserError(
            f"{folder} holds images numbered in {len(left)} places ({parts}) that do not say what they count:"
            " put each series in a folder of its own, or write c, p, z or t before the numbers"
        )
    letters = [axes[i] or "T" for i in chosen]
    if len(set(letters)) < len(letters):
        raise UserError(
            f"{folder} holds images whose names count {', '.join(sorted(letters))} twice: put each series in"
            " a folder of its own"
        )
    if not chosen or not _is_unique(columns[:, chosen]):
        raise UserError(
            f"{folder} holds several images of one number: put each series in a folder of its own"
        )
    order = sorted(range(len(chosen)), key=lambda k: "PCZT".index(letters[k]))
    return _grid(columns[:, [chosen[k] for k in order]], "".join(letters[k] for k in order), labels)


def _columns(names: Sequence[str]) -> tuple[NDArray[np.int64], list[str], dict[str, list[str]]]:
    """Take the numbers out of names; also the axis that each names, empty when it names none."""
    found = [_MICROMANAGER.match(name) for name in names]
    if all(found):
        channels = sorted({match["C"] for match in found if match})
        rows = [[int(m["T"]), channels.index(m["C"]), int(m["Z"])] for m in found if m]
        return np.array(rows, np.int64), ["T", "C", "Z"], {"C": channels}
    parts = re.split(r"\d+", names[0])
    axes = [next((axis for axis, label in _LABELS if label.search(part)), "") for part in parts[:-1]]
    rows = [[int(number[-18:]) for number in re.findall(r"\d+", name)] for name in names]
    return np.array(rows, np.int64), axes, {}


def _is_unique(rows: NDArray[np.int64]) -> bool:
    return len(np.unique(rows, axis=0)) == len(rows)


def _grid(columns: NDArray[np.int64], axes: str, labels: dict[str, list[str]]) -> NumberedFiles:
    values = [np.unique(column, return_inverse=True) for column in columns.T]
    shape = tuple(len(unique) for unique, _ in values)
    index = np.full(int(np.prod(shape)), -1, np.int64)
    index[np.ravel_multi_index([inverse.reshape(-1) for _, inverse in values], shape)] = np.arange(
        len(columns)
    )
    notes = []
    for axis, (unique, _) in zip(axes, values, strict=True):
        steps = np.diff(unique)
        if axis == "T" and len(steps) and steps.max() != steps.min():
            step = int(np.median(steps))
            n_missing = int((steps[steps > step] // max(step, 1) - 1).sum())
            first = int(unique[int(np.argmax(steps > step))]) + step
            notes.append(
                f"its frames are numbered {unique[0]} to {unique[-1]}, {n_missing} of them missing,"
                f" such as {first}"
            )
    names = {
        axis: labels.get(axis, [str(n) for n in unique])
        for axis, (unique, _) in zip(axes, values, strict=True)
    }
    return NumberedFiles(
        axes, shape, index, {axis: names[axis] for axis in names if axis in "PC"}, tuple(notes)
    )
