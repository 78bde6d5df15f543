"""The network of Deep-STORM (Nehme et al., Optica 5, 458 (2018)) as the one-click paper uses it."""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn

from autods.networks.blocks import conv_bn_relu


class DeepStorm(nn.Module):
    """Convolutional encoder at camera resolution, then interpolating decoder; no skip connections.

    Deep-STORM (Nehme et al., Optica 5, 458 (2018)) as the one-click paper uses it. Raises `ValueError` if the
    upsampling is not a power of two of at least 2.

    Parameters
    ----------
    upsampling
        Heatmap pixels per camera pixel and axis: 4, 8 or 16.
    amplitude
        Constant factor on the output, so that weights of order one give heatmaps of the target's amplitude.
    in_channels
        Images of the input.
    """

    #: Distance in camera pixels from which an input pixel can still change an output pixel.
    margin_px = 10

    def __init__(self, upsampling: int = 8, amplitude: float = 100.0, in_channels: int = 1) -> None:
        super().__init__()
        steps = round(math.log2(upsampling))
        if steps < 1 or 2**steps != upsampling:
            raise ValueError(f"upsampling must be 4, 8 or 16, got {upsampling}")
        widths = [in_channels, 32, 64, 128, 256, 128, 64]
        self.encoder = nn.Sequential(*(conv_bn_relu(a, b) for a, b in itertools.pairwise(widths)))
        self.decoder = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                    conv_bn_relu(64 if step == 0 else 32, 32, kernel=5),
                )
                for step in range(steps)
            )
        )
        self.head = nn.Conv2d(32, 1, 1, bias=False)
        self.in_channels = in_channels
        self.upsampling = upsampling
        self.amplitude = amplitude

    def forward(self, frames: Tensor) -> Tensor:
        """Map normalised frames (B, in_channels, Y, X) to heatmaps (B, 1, uY, uX)."""
        heatmap: Tensor = self.head(self.decoder(self.encoder(frames)))
        return heatmap * self.amplitude
