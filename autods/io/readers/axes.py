"""Which axis of an array counts the frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autods.core.errors import UserError

#: A lone channel axis longer than this holds frames that were saved under the wrong name.
MAX_CHANNELS = 7

_NAMES = {
    "T": "time points",
    "Z": "z planes",
    "C": "channels",
    "R": "stage positions",
    "P": "stage positions",
}


def frame_axis(axes: str, shape: Sequence[int], path: Path) -> int | None:
    """Find the axis that counts the frames of a single-channel movie.

    Parameters
    ----------
    axes
        One letter an axis as in OME: Y rows, X columns, S colour samples, T, Z, C, ...
    shape
        Length of each axis.
    path
        The file, for the message.

    Returns
    -------
    int or None
        Index of the axis; None for a single image.

    Raises
    ------
    UserError
        If the file holds colours, channels, or planes and times together.
    """
    if "Y" not in axes or "X" not in axes:
        raise UserError(f"{path} holds data with axes {axes or 'none'}, not images")
    samples = [length for axis, length in zip(axes, shape, strict=True) if axis == "S" and length > 1]
    if samples:
        raise UserError(f"{path} is a colour (RGB) picture: give the raw grey-level movie of the camera")
    long = [
        (i, axis, n)
        for i, (axis, n) in enumerate(zip(axes, shape, strict=True))
        if axis not in "YXS" and n > 1
    ]
    channels = [n for _, axis, n in long if axis == "C"]
    if channels and (len(long) > 1 or channels[0] <= MAX_CHANNELS):
        raise UserError(
            f"{path} has {channels[0]} channels: save the channel to localize as a movie of its own"
        )
    if len(long) > 1 or (long and long[0][1] in "RP"):
        described = " x ".join(f"{n} {_NAMES.get(axis, 'images along ' + axis)}" for _, axis, n in long)
        raise UserError(f"{path} holds {described}: save one series of frames as a movie of its own")
    return long[0][0] if long else None
