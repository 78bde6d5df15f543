"""Picasso's .raw movies with their .yaml side file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from autods.core.errors import UserError
from autods.io.base import MovieMetadata
from autods.io.readers.blocks import BlockMovie
from autods.io.readers.tiff_metadata import plausible_pixel_size


def open_picasso_raw(path: Path) -> BlockMovie:
    """Open a .raw movie by its own name or that of its .yaml file.

    Raises
    ------
    UserError
        If one of the two files is missing, the description is incomplete or the movie is truncated.
    """
    raw = path if path.suffix.lower() == ".raw" else path.with_suffix(".raw")
    info = _read_info(raw)
    try:
        n_frames, height, width = int(info["Frames"]), int(info["Height"]), int(info["Width"])
        dtype = np.dtype(info["Data Type"]).newbyteorder(info.get("Byte Order", "<"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{raw.with_suffix('.yaml')} lacks one of Frames, Height, Width, Data Type: save the movie again"
        ) from error
    frame_bytes = height * width * dtype.itemsize
    whole = raw.stat().st_size // max(frame_bytes, 1)
    if whole < n_frames:
        raise UserError(
            f"{raw} is truncated: only {whole} of {n_frames} frames are whole; copy or save it again"
        )
    offsets = np.arange(n_frames, dtype=np.int64) * frame_bytes
    where = np.zeros(n_frames, np.int64)
    return BlockMovie(raw, [raw], where, offsets, (height, width), dtype, picasso_metadata(info))


def picasso_metadata(info: Mapping[str, Any]) -> MovieMetadata:
    """Translate the camera of Picasso's side file.

    Picasso computes ``photons = (adu - Baseline) * Sensitivity / (Gain * Qe)``, with a gain of 1 for a camera
    without an electron-multiplying register.
    """

    def number(name: str) -> float | None:
        value = info.get(name)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    gain, size = number("Gain"), number("Pixelsize")
    return MovieMetadata(
        pixel_size_nm=None if size is None else plausible_pixel_size(size, "nm"),
        offset_adu=number("Baseline"),
        e_per_adu=number("Sensitivity"),
        em_gain=None if gain == 1 else gain,
        qe=number("Qe"),
        source="Picasso yaml",
    )


def _read_info(raw: Path) -> dict[str, Any]:
    side = raw.with_suffix(".yaml")
    if not side.exists():
        raise UserError(f"{raw} needs {side.name} beside it (Picasso's description of the movie)")
    try:
        documents = list(yaml.safe_load_all(side.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{side} is not readable YAML: save the movie again") from error
    if not raw.exists():
        raise UserError(f"{side} describes {raw.name}, which is not beside it: name the movie itself")
    info: dict[str, Any] = {}
    for document in documents:
        info.update(document if isinstance(document, dict) else {})
    return info
