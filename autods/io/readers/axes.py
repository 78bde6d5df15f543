"""Which images of a file are the frames of the movie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.io.base import Choice, ChoiceError

#: A lone channel axis longer than this holds frames that were saved under the wrong name.
MAX_CHANNELS = 7

_NAMES = {"T": "time points", "Z": "z planes", "C": "channels", "P": "stage positions"}
#: What the user may choose from, by axis.
_CHOICES = {"P": "position", "C": "channel"}


def choose_planes(
    axes: str,
    shape: Sequence[int],
    path: Path,
    choice: Choice,
    names: Mapping[str, Sequence[str]] | None = None,
) -> NDArray[np.int64]:
    """Find the images that are the frames of the movie.

    Returns (T,) numbers of the images, counted through all axes with the last running fastest. Raises
    `ChoiceError` if there are channels or positions to choose from and none is chosen; `UserError` if a wrong
    one is chosen, or more than one axis is left.

    Parameters
    ----------
    axes
        What the images are counted by, the slowest first: T time, Z plane, C channel, P stage position; any
        other letter is some further axis.
    shape
        Length of each axis.
    path
        The file, for the message.
    choice
        What the user chose.
    names
        What the file calls the items of an axis, for the message.
    """
    planes = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(tuple(shape))
    left = list(axes)
    missing = []
    for axis, key in _CHOICES.items():
        wanted: int | None = getattr(choice, key)
        n_items = planes.shape[left.index(axis)] if axis in left else 1
        _check_choice(axis, key, wanted, n_items, path, names)
        is_frames = axis == "C" and wanted is None and n_items == planes.size and n_items > MAX_CHANNELS
        if axis not in left or is_frames:
            continue
        if wanted is None and n_items > 1:
            missing.append((axis, key, n_items))
            continue
        planes = np.take(planes, wanted or 0, left.index(axis))
        left.remove(axis)
    if missing:
        found = " and ".join(_described(axis, n, names) for axis, _, n in missing)
        keys = " ".join(f"{key}=0" for _, key, _ in missing)
        message = f"{path} holds {found}: choose with {keys} (counted from 0)"
        raise ChoiceError(message, {key: _item_names(axis, n, names) for axis, key, n in missing})
    long = [(axis, n) for axis, n in zip(left, planes.shape, strict=True) if n > 1]
    if len(long) > 1:
        described = " x ".join(f"{n} {axis_name(axis)}" for axis, n in long)
        raise UserError(f"{path} holds {described}: save one series of frames as a movie of its own")
    return planes.reshape(-1)


def axis_name(axis: str) -> str:
    """Name what an axis counts."""
    return _NAMES.get(axis, f"images along {axis}")


def axis_sizes(axes: str, shape: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Name the axes with their lengths, without those of length one.

    Examples
    --------
    >>> axis_sizes("TCP", (100, 2, 1))
    (('time points', 100), ('channels', 2))
    """
    return tuple((axis_name(axis), int(n)) for axis, n in zip(axes, shape, strict=True) if n > 1)


def split_image_axes(axes: str, shape: Sequence[int], path: Path) -> tuple[str, tuple[int, ...]]:
    """Take rows and columns off the end of an array's axes.

    Returns letters and lengths of the axes that count images. Raises `UserError` if the array does not end in
    rows and columns, or holds colours.
    """
    kept = [(axis, int(n)) for axis, n in zip(axes, shape, strict=False) if axis != "S" or n > 1]
    letters = "".join(axis for axis, _ in kept)
    if "S" in letters:
        raise UserError(f"{path} is a colour (RGB) picture: give the raw grey-level movie of the camera")
    if len(axes) != len(shape) or not letters.endswith("YX"):
        raise UserError(f"{path} holds data with axes {axes or 'none'}, not images: save it as (T, Y, X)")
    return letters[:-2], tuple(n for _, n in kept[:-2])


def _check_choice(
    axis: str,
    key: str,
    wanted: int | None,
    n_items: int,
    path: Path,
    names: Mapping[str, Sequence[str]] | None,
) -> None:
    if wanted is None or 0 <= wanted < n_items:
        return
    if n_items == 1:
        raise UserError(f"{key}={wanted} does not exist: {path} holds one {axis_name(axis).rstrip('s')} only")
    raise UserError(
        f"{key}={wanted} does not exist: {path} holds {_described(axis, n_items, names)}, from 0 to"
        f" {n_items - 1}"
    )


def _item_names(axis: str, n_items: int, names: Mapping[str, Sequence[str]] | None) -> list[str]:
    given = list((names or {}).get(axis, ()))
    return [given[i] if i < len(given) and given[i] else str(i) for i in range(n_items)]


def _described(axis: str, n_items: int, names: Mapping[str, Sequence[str]] | None) -> str:
    given = [name for name in (names or {}).get(axis, ()) if name][:8]
    return f"{n_items} {axis_name(axis)}" + (f" ({', '.join(given)})" if len(given) > 1 else "")
