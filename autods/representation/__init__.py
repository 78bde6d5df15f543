"""Emitters to network targets and network outputs to emitters, side by side."""

from autods.representation.base import Detections, Representation
from autods.representation.heatmap import HeatmapRepresentation
from autods.representation.mixture import MixtureRepresentation
from autods.representation.registry import REPRESENTATIONS, build_representation

__all__ = [
    "REPRESENTATIONS",
    "Detections",
    "HeatmapRepresentation",
    "MixtureRepresentation",
    "Representation",
    "build_representation",
]
