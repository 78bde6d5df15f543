"""Leica LIF movies, read by the optional package liffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, MovieMetadata
from autods.io.readers.axes import axis_sizes, choose_planes, split_image_axes
from autods.io.readers.planes import PlaneMovie, movie_of_planes, needs
from autods.io.units import pixel_size


def open_lif(path: Path, choice: Choice | None = None) -> PlaneMovie:
    """Open a LIF movie; the images of the file are its positions.

    Raises `UserError` if the package is not installed, or the file is damaged, in colour or holds something
    to choose from.
    """
    with needs("liffile", path, "a LIF file"):
        import liffile
    return movie_of_planes(path, lambda: liffile.LifFile(str(path)), _movie, choice)


def _movie(path: Path, file: Any, choice: Choice) -> PlaneMovie:
    images = [image for image in file.images if {"Y", "X"} <= set(image.sizes)]
    if not images:
        raise UserError(f"{path} holds no image")
    choose_planes(
        "P", (len(images),), path, Choice(position=choice.position), {"P": [i.name for i in images]}
    )
    image = images[choice.position or 0]
    labels = list(image.sizes)
    axes, shape = split_image_axes("".join(label[0] for label in labels), list(image.sizes.values()), path)
    planes = choose_planes(axes, shape, path, Choice(channel=choice.channel))
    size = (int(image.sizes["Y"]), int(image.sizes["X"]))

    def read_plane(plane: int) -> Frames:
        at = dict(zip(labels, np.unravel_index(plane, shape), strict=False)) if shape else {}
        frame: Frames = image.frame(**{label: int(index) for label, index in at.items()})
        return frame

    found = (("images", len(images)),) if len(images) > 1 else ()
    contents = Contents("LIF", (*found, *axis_sizes(axes, shape)))
    dtype = np.dtype(image.dtype)
    return PlaneMovie(path, planes.tolist(), size, dtype, read_plane, file.close, _metadata(image), contents)


def _metadata(image: Any) -> MovieMetadata:
    """Read the pixel size from the coordinates, which are in m."""
    sides = []
    for axis in "XY":
        places = image.coords.get(axis)
        sides.append(float(places[1] - places[0]) * 1e9 if places is not None and len(places) > 1 else None)
    return pixel_size(sides[0], sides[1], "LIF")
