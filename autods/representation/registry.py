"""Representations by name, as cards and configurations call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autods.core import UserError
from autods.representation.base import Representation
from autods.representation.heatmap import HeatmapRepresentation
from autods.representation.mixture import MixtureRepresentation
from autods.representation.voxels import BinaryVoxelRepresentation, GaussianVoxelRepresentation

REPRESENTATIONS: Mapping[str, Callable[..., Representation]] = {
    "heatmap": HeatmapRepresentation,
    "mixture": MixtureRepresentation,
    "mixture3d": MixtureRepresentation,
    "voxels": GaussianVoxelRepresentation,
    "binary_voxels": BinaryVoxelRepresentation,
}


def build_representation(name: str, **arguments: Any) -> Representation:
    """Build what decodes a network's output, by its name.

    Raises `UserError` if there is no representation of that name, or it does not take these arguments.

    Examples
    --------
    >>> build_representation("heatmap", pixel_size_nm=100.0, upsampling=4).upsampling
    4
    """
    if name not in REPRESENTATIONS:
        raise UserError(f"representation {name!r} is not known: choose one of {', '.join(REPRESENTATIONS)}")
    try:
        return REPRESENTATIONS[name](**arguments)
    except TypeError as error:
        raise UserError(f"representation {name!r} does not take {arguments}: {error}") from error
