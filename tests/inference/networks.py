"""A network whose weights are set by analysis, so that no test needs a trained one."""

import torch
from torch import nn

from autods.representation import HeatmapRepresentation


class MatchedFilter(nn.Module):
    """Interpolates the frame and responds to spots of the PSF's width: a heatmap without any training."""

    def __init__(self, upsampling: int = 4, sigma_px: float = 1.1, amplitude: float = 0.1) -> None:
        super().__init__()
        self.upsampling = upsampling
        radius = 4
        grid = torch.arange(-radius, radius + 1).float()
        spot = torch.exp(-0.5 * (grid[:, None] ** 2 + grid[None] ** 2) / sigma_px**2)
        wide = torch.exp(-0.5 * (grid[:, None] ** 2 + grid[None] ** 2) / (2 * sigma_px) ** 2)
        kernel = spot / spot.sum() - wide / wide.sum()
        self.filter = nn.Conv2d(1, 1, 2 * radius + 1, padding=radius, bias=False)
        self.filter.weight.data = kernel[None, None] * amplitude
        self.margin_px = radius + 2

    def forward(self, frames):
        return nn.functional.interpolate(
            self.filter(frames), scale_factor=self.upsampling, mode="bicubic", align_corners=False
        )


def matched_filter_parts(pixel_size_nm=100.0, upsampling=4):
    representation = HeatmapRepresentation(
        pixel_size_nm, upsampling, amplitude=1.0, sigma_px=1.0, window_px=3, centroid_px=3
    )
    return MatchedFilter(upsampling), representation
