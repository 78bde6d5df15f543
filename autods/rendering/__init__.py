"""Pictures of localizations: histogram, Gaussian, depth colour, previews."""

from autods.rendering.color import depth_color, depth_palette, in_depth_colors, render_depth, two_colors
from autods.rendering.gaussian import CUTOFF, render_gaussian
from autods.rendering.histogram import render_histogram
from autods.rendering.preview import indexed, round_length_nm, shaded, to_preview, white_level, with_scale
from autods.rendering.section import render_cross_section
from autods.rendering.spots import blur, render_spots

__all__ = [
    "CUTOFF",
    "blur",
    "depth_color",
    "depth_palette",
    "in_depth_colors",
    "indexed",
    "render_cross_section",
    "render_depth",
    "render_gaussian",
    "render_histogram",
    "render_spots",
    "round_length_nm",
    "shaded",
    "to_preview",
    "two_colors",
    "white_level",
    "with_scale",
]
