"""Fast networks: every convolution at camera resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autods.networks.blocks import ResidualPair, conv_bn_relu


class Trunk(nn.Module):
    """Feature extraction at camera resolution: residual 3 x 3 convolutions that keep the image size.

    Parameters
    ----------
    width
        Channels of all layers.
    pairs
        Residual pairs of convolutions.
    in_channels
        Images of the input.
    """

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


class SubpixelNet(nn.Module):
    """Heatmap network: a trunk at camera resolution and a sub-pixel output layer.

    The heatmap's u x u pixels of a camera pixel are channels of the last convolution, rearranged as in Shi
    et al., CVPR 2016. The contract is :class:`~autods.networks.deepstorm.DeepStorm`'s, at a fraction of its
    cost.

    Parameters
    ----------
    width, pairs
        See :class:`Trunk`.
    upsampling
        Heatmap pixels per camera pixel and axis.
    amplitude
        Constant factor on the output, see ``DeepStorm``.
    in_channels
        See :class:`Trunk`.
    """

    def __init__(
        self,
        width: int = 48,
        pairs: int = 3,
        upsampling: int = 8,
        amplitude: float = 100.0,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.trunk = Trunk(width, pairs, in_channels)
        self.head = nn.Conv2d(width, upsampling**2, 1, bias=False)
        self.shuffle = nn.PixelShuffle(upsampling)
        self.amplitude = amplitude
        self.margin_px = self.trunk.margin_px
        # Heatmaps are nearly empty: start near zero rather than with noise of the target's amplitude.
        nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, frames: Tensor) -> Tensor:
        """Map normalised frames (B, in_channels, Y, X) to heatmaps (B, 1, uY, uX)."""
        heatmap: Tensor = self.shuffle(self.head(self.trunk(frames)))
        return heatmap * self.amplitude


class PixelNet(nn.Module):
    """A trunk at camera resolution and a few numbers for every camera pixel.

    Parameters
    ----------
    width, pairs, in_channels
        See :class:`Trunk`.
    channels
        Numbers per pixel, as the representation asks for.
    levels
        The last so many input images are also handed to the last layer directly: batch norm makes absolute
        levels relative to those of the batch, and photons depend on them.
    """

    def __init__(
        self, width: int = 48, pairs: int = 3, channels: int = 5, in_channels: int = 1, levels: int = 0
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.levels = levels
        self.trunk = Trunk(width, pairs, in_channels)
        self.head = nn.Conv2d(width + levels, channels, 1)
        self.margin_px = self.trunk.margin_px

    def forward(self, frames: Tensor) -> Tensor:
        """Map normalised frames (B, in_channels, Y, X) to (B, channels, Y, X)."""
        features = self.trunk(frames)
        if self.levels:
            features = torch.cat([features, frames[:, -self.levels :]], 1)
        numbers: Tensor = self.head(features)
        return numbers
