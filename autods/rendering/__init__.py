"""Pictures of localizations: histogram, Gaussian, depth colour, previews."""

from autods.rendering.color import depth_color, depth_palette, render_depth, two_colors
from autods.rendering.gaussian import render_gaussian
from autods.rendering.histogram import render_histogram
from autods.rendering.preview import round_length_nm, to_preview
from autods.rendering.section import render_cross_section

__all__ = [
    "depth_color",
    "depth_palette",
    "render_cross_section",
    "render_depth",
    "render_gaussian",
    "render_histogram",
    "round_length_nm",
    "to_preview",
    "two_colors",
]
