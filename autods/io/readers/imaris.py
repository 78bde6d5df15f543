"""Imaris .ims movies: HDF5 with a group for each resolution, time point and channel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, MovieMetadata
from autods.io.readers.axes import axis_sizes, choose_planes
from autods.io.readers.planes import PlaneMovie, movie_of_planes
from autods.io.units import length_nm, pixel_size

_MAX_CHUNK_BYTES = 2**30


def open_imaris(path: Path, choice: Choice | None = None) -> PlaneMovie:
    """Open the full resolution of an Imaris 5.5 file.

    Raises `UserError` if the file is of another kind, damaged or holds something to choose from.
    """
    complaint = "is no whole HDF5 file of Imaris"
    return movie_of_planes(path, lambda: h5py.File(path, "r"), _movie, choice, complaint)


def _movie(path: Path, file: Any, choice: Choice) -> PlaneMovie:
    if "DataSet" not in file or "ResolutionLevel 0" not in file["DataSet"]:
        raise UserError(f"{path} is an HDF5 file, but not a movie of Imaris: save it as TIFF")
    times = file["DataSet/ResolutionLevel 0"]
    n_times = sum(name.startswith("TimePoint ") for name in times)
    n_channels = sum(name.startswith("Channel ") for name in times["TimePoint 0"])
    first = times["TimePoint 0/Channel 0/Data"]
    info = _attributes(file["DataSetInfo/Image"]) if "DataSetInfo/Image" in file else {}
    # Blocks are padded; the attributes say how much of them is image.
    stated = [
        int(info[axis]) if info.get(axis, "").isdigit() else n
        for axis, n in zip("ZYX", first.shape, strict=True)
    ]
    depth, height, width = (min(a, b) for a, b in zip(stated, first.shape, strict=True))
    if math.prod(first.chunks or first.shape) * first.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise UserError(f"{path} claims blocks of more than a GB: it is damaged")
    shape = (n_times, depth, n_channels)
    planes = choose_planes("TZC", shape, path, choice)

    def read_plane(plane: int) -> Frames:
        time, z, channel = (int(index) for index in np.unravel_index(plane, shape))
        image: Frames = times[f"TimePoint {time}/Channel {channel}/Data"][z, :height, :width]
        return image

    levels = len(file["DataSet"])
    contents = Contents(f"Imaris, {levels} levels, the first is read", axis_sizes("TZC", shape))
    metadata = _metadata(info, width, height)
    dtype = np.dtype(first.dtype)
    return PlaneMovie(
        path, planes.tolist(), (height, width), dtype, read_plane, file.close, metadata, contents
    )


def _attributes(group: Any) -> dict[str, str]:
    """Read attributes, which are arrays of single characters."""
    return {
        str(name): b"".join(np.asarray(value).reshape(-1).tolist()).decode("latin-1")
        for name, value in group.attrs.items()
        if np.asarray(value).dtype.kind == "S"
    }


def _metadata(info: dict[str, str], width: int, height: int) -> MovieMetadata:
    """Read the pixel size from the extent of the image."""
    try:
        x, y = (
            (float(info[f"ExtMax{i}"]) - float(info[f"ExtMin{i}"])) / n for i, n in enumerate((width, height))
        )
    except (KeyError, ValueError):
        return MovieMetadata()
    unit = info.get("Unit", "um")
    return pixel_size(length_nm(x, unit), length_nm(y, unit), "Imaris")
