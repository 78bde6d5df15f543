"""Feature extraction at camera resolution, shared by the fast networks."""

from __future__ import annotations

from torch import Tensor, nn

from autods.networks.blocks import ResidualPair, conv_bn_relu


class Trunk(nn.Module):
    """Residual 3 x 3 convolutions that keep the image size."""

    def __init__(self, width: int, pairs: int, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = conv_bn_relu(in_channels, width)
        self.body = nn.Sequential(*(ResidualPair(width) for _ in range(pairs)))
        self.neck = conv_bn_relu(width, width)
        #: Distance in camera pixels from which an input pixel can still change an output pixel.
        self.margin_px = 2 * pairs + 2

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (B, in_channels, Y, X) to features (B, width, Y, X)."""
        features: Tensor = self.neck(self.body(self.stem(frames)))
        return features
