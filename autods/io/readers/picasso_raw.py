"""Picasso's .raw movies with their .yaml side file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, MovieMetadata
from autods.io.readers.axes import choose_planes
from autods.io.readers.blocks import BlockMovie
from autods.io.side_files import read_yaml
from autods.io.units import pixel_size

_TYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")


def open_picasso_raw(path: Path, choice: Choice | None = None) -> BlockMovie:
    """Open a .raw movie by its own name or that of its .yaml file.

    Raises `UserError` if one of the two files is missing, the description is incomplete or not of a file of
    this size.
    """
    raw = path if path.suffix.lower() == ".raw" else path.with_suffix(".raw")
    info = _read_info(raw)
    side = raw.with_suffix(".yaml")
    try:
        n_frames, height, width = int(info["Frames"]), int(info["Height"]), int(info["Width"])
        order: Any = info.get("Byte Order", "<")
        dtype = np.dtype(str(info["Data Type"])).newbyteorder(order)
    except Exception as error:
        raise UserError(
            f"{side} lacks one of Frames, Height, Width, Data Type: save the movie again"
        ) from error
    if min(n_frames, height, width) < 1:
        raise UserError(f"{side} states {n_frames} frames of {height} x {width} px: correct it")
    size, frame_bytes = raw.stat().st_size, height * width * dtype.itemsize
    whole = size // max(frame_bytes, 1)
    if not whole:
        raise UserError(f"{raw} is truncated: not one frame is whole; copy or save it again")
    if size > n_frames * frame_bytes:
        raise UserError(
            f"{raw} holds {size} bytes, {side.name} describes {n_frames * frame_bytes} ({n_frames} frames of"
            f" {height} x {width} px {dtype.name}): correct {side.name}"
            f"{_better_type(size, n_frames * height * width)}"
        )
    notes: tuple[str, ...] = ()
    if whole < n_frames:
        notes = (f"it is cut short: {whole} of {n_frames} frames are whole and read",)
    choose_planes("T", (whole,), raw, choice or Choice())
    n_frames = min(n_frames, whole)
    offsets = np.arange(n_frames, dtype=np.int64) * frame_bytes
    where = np.zeros(n_frames, np.int64)
    contents = Contents("Picasso .raw", (), notes)
    return BlockMovie(raw, [raw], where, offsets, (height, width), dtype, picasso_metadata(info), contents)


def _better_type(size: int, n_values: int) -> str:
    """Guess the type of values that a file of this size holds."""
    fitting = [name for name in _TYPES if n_values * np.dtype(name).itemsize == size]
    return f" (Data Type {' or '.join(fitting[:2])}?)" if fitting else ""


def picasso_metadata(info: Mapping[str, Any]) -> MovieMetadata:
    """Translate the camera of Picasso's side file.

    Picasso computes ``photons = (adu - Baseline) * Sensitivity / (Gain * Qe)``, with a gain of 1 for a camera
    without an electron-multiplying register.
    """

    def number(name: str) -> float | None:
        value: Any = info.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if is_number and math.isfinite(value) else None

    gain, size = number("Gain"), pixel_size(number("Pixelsize"), None, "Picasso yaml")
    camera = MovieMetadata(
        offset_adu=number("Baseline"),
        e_per_adu=number("Sensitivity"),
        em_gain=None if gain == 1 else gain,
        qe=number("Qe"),
        source="Picasso yaml",
    )
    return replace(MovieMetadata.merge([size, camera]), source="Picasso yaml", notes=size.notes)


def _read_info(raw: Path) -> dict[str, Any]:
    side = raw.with_suffix(".yaml")
    if not side.exists():
        raise UserError(f"{raw} needs {side.name} beside it (Picasso's description of the movie)")
    info = read_yaml(side)
    if not raw.exists():
        raise UserError(f"{side} describes {raw.name}, which is not beside it: name the movie itself")
    return info
