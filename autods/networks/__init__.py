"""Plain networks, their blocks and losses, and the input normalisation that they expect."""

from autods.networks.deepstorm import DeepStorm
from autods.networks.ds3d import DS3D, DilatedNet
from autods.networks.normalization import (
    NORMALIZATIONS,
    added_channels,
    context_frames,
    input_channels,
    level_and_noise,
    needs_photons,
    needs_scene,
    needs_width,
    normalize,
    sees_pixels_alone,
)
from autods.networks.registry import NETWORKS, build_network
from autods.networks.subpixel import PixelNet, SubpixelNet

__all__ = [
    "DS3D",
    "NETWORKS",
    "NORMALIZATIONS",
    "DeepStorm",
    "DilatedNet",
    "PixelNet",
    "SubpixelNet",
    "added_channels",
    "build_network",
    "context_frames",
    "input_channels",
    "level_and_noise",
    "needs_photons",
    "needs_scene",
    "needs_width",
    "normalize",
    "sees_pixels_alone",
]
