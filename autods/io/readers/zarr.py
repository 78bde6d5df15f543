"""Zarr arrays and OME-Zarr images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import BaseMovie, Frames, MovieMetadata
from autods.io.readers.axes import frame_axis
from autods.io.readers.tiff_metadata import plausible_pixel_size


def open_zarr(path: Path) -> BaseMovie:
    """Open a Zarr array (T, Y, X) or the full-resolution level of an OME-Zarr image.

    Raises
    ------
    UserError
        If zarr is not installed, or the folder holds no single-channel movie.
    """
    try:
        import zarr
    except ImportError as error:
        raise UserError(f"{path} is a Zarr movie: run `pip install autods[zarr]` to read it") from error
    node: Any
    try:
        node = zarr.open(store=str(path), mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a readable Zarr folder: copy or save it again") from error
    if isinstance(node, zarr.Array):
        return ZarrMovie(path, node, "TZIQV"[: node.ndim - 2] + "YX", MovieMetadata())
    attributes = dict(node.attrs)
    images = attributes.get("ome", attributes).get("multiscales")
    if not images:
        raise UserError(f"{path} is a Zarr group without an OME image: name the array inside it")
    level = images[0]["datasets"][0]
    # Version 0.1 and 0.2 have no axes, 0.3 only their names.
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in images[0].get("axes", "tczyx")]
    letters = "".join(str(axis["name"])[:1].upper() for axis in axes)
    return ZarrMovie(path, node[level["path"]], letters, _scale(level, axes))


def _scale(level: dict[str, Any], axes: list[dict[str, Any]]) -> MovieMetadata:
    """Read the pixel size of one resolution level."""
    scales = [t["scale"] for t in level.get("coordinateTransformations", []) if t.get("type") == "scale"]
    if not scales or axes[-1].get("unit") is None:
        return MovieMetadata()
    size = plausible_pixel_size(float(scales[0][-1]), str(axes[-1]["unit"]))
    return MovieMetadata(pixel_size_nm=size, source="OME-Zarr")


class ZarrMovie(BaseMovie):
    """Movie in a Zarr array.

    Parameters
    ----------
    path
        What the user named.
    array
        The ``zarr.Array``.
    axes
        A letter for each of its axes, ending in YX.
    metadata
        What the file states.

    Raises
    ------
    UserError
        If the array is no single-channel movie.
    """

    def __init__(self, path: Path, array: Any, axes: str, metadata: MovieMetadata) -> None:
        if len(axes) != array.ndim or not axes.endswith("YX"):
            raise UserError(f"{path} has axes {axes} for {array.ndim} dimensions: save it as (T, Y, X)")
        self._axis = frame_axis(axes, array.shape, path)
        n_frames = 1 if self._axis is None else array.shape[self._axis]
        super().__init__(path, (n_frames, *array.shape[-2:]), array.dtype, metadata)
        self._array = array

    def _read(self, start: int, stop: int) -> Frames:
        index: list[int | slice] = [0] * (self._array.ndim - 2)
        if self._axis is not None:
            index[self._axis] = slice(start, stop)
        frames = np.asarray(self._array[tuple(index)], self.dtype)
        return np.array(frames.reshape(stop - start, *self.shape[1:]))
