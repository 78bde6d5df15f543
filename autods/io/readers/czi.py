"""Zeiss CZI movies, read by the optional package pylibCZIrw of Zeiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from autods.core.errors import UserError
from autods.io.base import Choice, Contents, Frames, MovieMetadata
from autods.io.readers.axes import axis_sizes, choose_planes
from autods.io.readers.planes import PlaneMovie, movie_of_planes, needs
from autods.io.units import pixel_size

_TYPES = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4"}


def open_czi(path: Path, choice: Choice | None = None) -> PlaneMovie:
    """Open a CZI movie; scenes are its positions.

    Raises `UserError` if the package is not installed, or the file is damaged, in colour or holds something
    to choose from.
    """
    with needs("pylibCZIrw", path, "a CZI movie"):
        from pylibCZIrw import czi
    return movie_of_planes(path, lambda: czi.CziReader(str(path)), _movie, choice)


def _movie(path: Path, file: Any, choice: Choice) -> PlaneMovie:
    bounds = file.total_bounding_box_no_pyramid
    scenes = dict(sorted(file.scenes_bounding_rectangle_no_pyramid.items()))
    others = [axis for axis in bounds if axis not in "XYSTCZ" and bounds[axis][1] - bounds[axis][0] > 1]
    if others:
        raise UserError(
            f"{path} holds images along {', '.join(others)}: save one series as a movie of its own"
        )
    axes = "PTZC"
    firsts = {axis: bounds[axis][0] for axis in "TZC" if axis in bounds}
    shape = (
        max(len(scenes), 1),
        *(bounds[axis][1] - bounds[axis][0] if axis in bounds else 1 for axis in "TZC"),
    )
    planes = choose_planes(axes, shape, path, choice)
    scene = list(scenes)[choice.position or 0] if scenes else None
    area = scenes[scene] if scene is not None else file.total_bounding_rectangle_no_pyramid
    channel = choice.channel or 0
    kind = file.get_channel_pixel_type(channel)
    if kind not in _TYPES:
        raise UserError(f"{path} holds values of type {kind}: give the raw grey-level movie of the camera")
    recorded = _recorded(file)
    wanted = int(np.prod(shape))
    notes = (
        (f"{wanted - recorded} of its {wanted} images are missing and read as 0",)
        if recorded < wanted
        else ()
    )

    def read_plane(plane: int) -> Frames:
        place = dict(zip("TZC", np.unravel_index(plane, shape)[1:], strict=True))
        at = {axis: int(index) + firsts.get(axis, 0) for axis, index in place.items()}
        image: Frames = file.read(roi=tuple(area), plane=at, scene=scene, pixel_type=kind)
        return image[..., 0]

    contents = Contents("CZI", axis_sizes(axes, shape), notes)
    size, dtype = (int(area[3]), int(area[2])), np.dtype(_TYPES[kind])
    metadata = _metadata(file.raw_metadata, channel)
    return PlaneMovie(path, planes.tolist(), size, dtype, read_plane, file.close, metadata, contents)


def _recorded(file: Any) -> int:
    """Count the images that are in the file, whatever the number of tiles and the small versions of each."""
    found: set[tuple[Any, ...]] = set()

    def take(_: int, block: Any) -> bool:
        if block.physicalSize.w == block.logicalRect.w and block.physicalSize.h == block.logicalRect.h:
            found.add(tuple(sorted(block.coordinate.to_dict().items())))
        return True

    file.enumerate_subblocks(take)
    return len(found)


def _metadata(xml: str, channel: int) -> MovieMetadata:
    """Read pixel size, objective and emission."""
    root = ElementTree.fromstring(xml)

    def number(path: str, index: int = 0) -> float | None:
        nodes = root.findall(path)
        try:
            return float(nodes[index].text or "") if index < len(nodes) else None
        except ValueError:
            return None

    x, y = (number(f".//Scaling/Items/Distance[@Id='{axis}']/Value") for axis in "XY")
    size = pixel_size(None if x is None else x * 1e9, None if y is None else y * 1e9, "CZI")
    others = MovieMetadata(
        wavelength_nm=number(".//Dimensions/Channels/Channel/EmissionWavelength", channel),
        na=number(".//Objectives/Objective/LensNA"),
        source="CZI",
    )
    return MovieMetadata.merge([size, others])
