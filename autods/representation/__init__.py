"""Emitters to network targets and network outputs to emitters, side by side."""

from autods.representation.base import Detections, Representation
from autods.representation.heatmap import HeatmapRepresentation
from autods.representation.mixture import MixtureRepresentation
from autods.representation.registry import REPRESENTATIONS, build_representation
from autods.representation.voxels import BinaryVoxelRepresentation, GaussianVoxelRepresentation

__all__ = [
    "REPRESENTATIONS",
    "BinaryVoxelRepresentation",
    "Detections",
    "GaussianVoxelRepresentation",
    "HeatmapRepresentation",
    "MixtureRepresentation",
    "Representation",
    "build_representation",
]
