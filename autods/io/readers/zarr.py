"""Zarr arrays and OME-Zarr images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, Movie, MovieMetadata
from autods.io.foreign import read_by_library
from autods.io.readers.axes import axis_sizes, choose_planes, split_image_axes
from autods.io.readers.planes import needs
from autods.io.units import length_nm, pixel_size

_MAX_CHUNK_BYTES = 2**30
_METADATA = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")


def open_zarr(path: Path, choice: Choice | None = None) -> Movie:
    """Open a Zarr array (T, Y, X) or the full-resolution level of an OME-Zarr image.

    Raises `UserError` if zarr is not installed, or the folder is damaged or holds something to choose from.
    """
    with needs("'zarr>=3'", path, "a Zarr movie"):
        import zarr
    choice = choice or Choice()
    with read_by_library(f"{path} is not a readable Zarr folder, copy or save it again"):
        node: Any = zarr.open(store=str(path), mode="r")
        if isinstance(node, zarr.Array):
            return ZarrMovie(path, node, path, _array_axes(node), choice)
        return _open_group(path, node, choice)


def _open_group(path: Path, group: Any, choice: Choice) -> Movie:
    """Open an image of a group: one of its own, or one of the groups ``0``, ``1``, ... of bioformats2raw."""
    images = _images(group.attrs)
    if not images and ("plate" in dict(group.attrs) or "plate" in dict(group.attrs).get("ome", {})):
        raise UserError(f"{path} is a plate of many wells: name one image in it, such as {path.name}/A/1/0")
    places = [(image, group, path) for image in images]
    number = 0
    while not images and str(number) in group:
        inner = group[str(number)]
        places += [(image, inner, path / str(number)) for image in _images(getattr(inner, "attrs", {}))]
        number += 1
    if not places:
        names = ", ".join(sorted(str(name) for name in group.array_keys())[:5])
        found = f" (it holds {names})" if names else ""
        raise UserError(f"{path} is a Zarr group without an OME image: name the array inside it{found}")
    titles = {"P": [str(image.get("name", "")) for image, _, _ in places]}
    positions = choose_planes("P", (len(places),), path, Choice(position=choice.position), titles)
    image, node, folder = places[int(positions[0])]
    return _open_image(path, image, node, folder, Choice(channel=choice.channel), len(places))


def _images(attributes: Any) -> list[dict[str, Any]]:
    plain = dict(attributes)
    found = plain.get("ome", plain).get("multiscales") or []
    return [image for image in found if isinstance(image, dict)]


def _open_image(
    path: Path, image: dict[str, Any], node: Any, folder: Path, choice: Choice, n_images: int
) -> Movie:
    levels = image["datasets"]
    place = str(levels[0]["path"])
    # Version 0.1 and 0.2 have no axes, 0.3 only their names.
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", "tczyx")]
    letters = "".join(str(axis["name"])[:1].upper() for axis in axes)
    if place not in node:
        raise UserError(
            f"{path} lacks its full-resolution level {place!r}: the copy is not complete, copy it again"
        )
    omero = dict(node.attrs)
    channels = (omero.get("ome", omero).get("omero") or {}).get("channels") or []
    names = {"C": [str(channel.get("label", "")) for channel in channels if isinstance(channel, dict)]}
    transforms = [levels[0].get("coordinateTransformations"), image.get("coordinateTransformations")]
    metadata = _scale(transforms, axes)
    kind = f"OME-Zarr of {n_images} images, " if n_images > 1 else "OME-Zarr, "
    kind += f"{len(levels)} level{'s' if len(levels) > 1 else ''}, the first is read"
    return ZarrMovie(path, node[place], folder / place, letters, choice, metadata, kind, names)


def _scale(transforms: Sequence[Any], axes: Sequence[Mapping[str, Any]]) -> MovieMetadata:
    """Multiply the scales of a level and of the whole image into the pixel size."""
    scales = [t["scale"] for level in transforms for t in level or [] if t.get("type") == "scale"]
    if not scales or len(axes) < 2:
        return MovieMetadata()
    product = np.prod([[float(value) for value in scale] for scale in scales], axis=0)
    y_nm, x_nm = (
        length_nm(float(product[i]), str(axes[i]["unit"])) if axes[i].get("unit") else None for i in (-2, -1)
    )
    return pixel_size(x_nm, y_nm, "OME-Zarr")


def _array_axes(array: Any) -> str:
    """Name the axes of a bare array: as it does itself, else (T, Y, X) with anything else before."""
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(names):
        return "".join(str(name)[:1].upper() for name in names)
    return "TZIQV"[: array.ndim - 2] + "YX"


class ZarrMovie(Movie):
    """Movie in a Zarr array.

    Raises `UserError` if the array holds no movie, something to choose from, or nothing at all.

    Parameters
    ----------
    path
        What the user named.
    array
        The ``zarr.Array``.
    folder
        Where its chunks are.
    axes
        A letter for each of its axes, ending in YX.
    choice
        Channel and position.
    metadata
        What the file states.
    kind, names
        The format, and what the file calls its channels, for people.
    """

    def __init__(
        self,
        path: Path,
        array: Any,
        folder: Path,
        axes: str,
        choice: Choice,
        metadata: MovieMetadata | None = None,
        kind: str = "Zarr array",
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        letters, sizes = split_image_axes(axes, array.shape, path)
        planes = choose_planes(letters, sizes, path, choice, names)
        places = np.array(np.unravel_index(planes, sizes)) if sizes else np.zeros((0, 1), np.int64)
        running = np.flatnonzero(places[:, 0] != places[:, -1])
        self._axis = int(running[0]) if len(running) else None
        self._fixed = places[:, 0].tolist()
        n_frames, notes = _recorded(array, folder, self._axis, self._fixed, len(planes), path)
        shape = (n_frames, int(array.shape[-2]), int(array.shape[-1]))
        contents = Contents(kind, axis_sizes(letters, sizes), notes)
        super().__init__(path, shape, array.dtype, metadata or MovieMetadata(), contents)
        self._array = array

    def _read(self, start: int, stop: int) -> Frames:
        index: list[int | slice] = [*self._fixed]
        if self._axis is not None:
            index[self._axis] = slice(start, stop)
        with read_by_library(
            f"{self.path}: frames {start} to {stop - 1} cannot be read, copy or save it again"
        ):
            frames = np.asarray(self._array[tuple(index)], self.dtype)
            return np.array(frames.reshape(stop - start, *self.shape[1:]))


def _recorded(
    array: Any, folder: Path, axis: int | None, fixed: Sequence[int], n_frames: int, path: Path
) -> tuple[int, tuple[str, ...]]:
    """Count the frames up to the last chunk that is there, and note the chunks that are not.

    Only the chunks of the chosen channel and position are looked at.
    """
    blocks = getattr(array, "shards", None) or array.chunks
    n_bytes = int(np.prod(blocks, dtype=object)) * array.dtype.itemsize
    if n_bytes > _MAX_CHUNK_BYTES:
        raise UserError(
            f"{path} claims chunks of {n_bytes:,} bytes: it is damaged, or save it in smaller chunks"
        )
    there = _chunks(folder, array.ndim)
    if not there:
        raise UserError(f"{path} holds no data: the copy is not complete, copy it again")
    counts = [-(-int(size) // int(block)) for size, block in zip(array.shape, blocks, strict=True)]
    chosen = {k: index // int(blocks[k]) for k, index in enumerate(fixed) if k != axis}
    there = [
        place
        for place in there
        if all(i < n for i, n in zip(place, counts, strict=True))
        and all(place[k] == index for k, index in chosen.items())
    ]
    counts = [1 if k in chosen else n for k, n in enumerate(counts)]
    notes = []
    if axis is not None and there:
        last = (max(place[axis] for place in there) + 1) * int(blocks[axis])
        if last < n_frames:
            notes.append(f"it is cut short: {last} of {n_frames} frames are there and read")
            n_frames, counts[axis] = last, last // int(blocks[axis])
    expected = int(np.prod(counts, dtype=object))
    if axis is not None:
        seen = len({place[axis] for place in there})
        if seen < counts[axis]:
            n_missing = (counts[axis] - seen) * int(blocks[axis])
            raise UserError(
                f"{path} lacks the chunks of {n_missing} of {n_frames} frames:"
                " copy it again (or write the chunks of black frames too)"
            )
    if len(there) < expected:
        notes.append(
            f"{expected - len(there)} of its {expected} chunks are not there: they are read as its fill value"
        )
    return n_frames, tuple(notes)


def _chunks(folder: Path, n_axes: int) -> list[tuple[int, ...]]:
    """List the places of the chunks in a folder: ``0.1.2``, ``0/1/2`` or ``c/0/1/2``."""
    found = []
    for file in folder.rglob("*"):
        if file.name in _METADATA or not file.is_file():
            continue
        numbers = re.fullmatch(r"(?:c/)?(\d+(?:[./]\d+)*)", file.relative_to(folder).as_posix())
        place = tuple(int(number) for number in re.split(r"[./]", numbers[1])) if numbers else ()
        if len(place) == n_axes:
            found.append(place)
    return found
