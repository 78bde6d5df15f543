"""The network of DeepSTORM3D (Nehme et al., Nature Methods 17, 734 (2020)) and of AutoDS3D."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Dilations of the layers at camera resolution.
_DILATIONS = (1, 1, 2, 4, 8, 16)
#: Share of the gradient that passes values below 0: volumes of which one voxel in a million is filled soon
#: fall to 0 everywhere, and without it stay there.
_LEAK = 0.1


class DilatedTrunk(nn.Module):
    """Batch-normed input and six dilated layers that see far, each with the input and a residual sum.

    Parameters
    ----------
    width
        Channels of all layers.
    in_channels
        Images of the input.
    """

    #: Distance in camera pixels from which an input pixel can still change a feature.
    margin_px = sum(_DILATIONS)

    def __init__(self, width: int, in_channels: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.layers = nn.ModuleList(
            _layer(in_channels if index == 0 else width + in_channels, width, dilation)
            for index, dilation in enumerate(_DILATIONS)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (B, in_channels, Y, X) to features and normed frames (B, width + in_channels, Y, X)."""
        frames = self.norm(frames)
        features = self.layers[0](frames)
        for layer in list(self.layers)[1:]:
            features = layer(torch.cat([features, frames.to(features.dtype)], 1)) + features
        return torch.cat([features, frames.to(features.dtype)], 1)


class DS3D(nn.Module):
    """Dilated convolutions at camera resolution, optional upsampling, a volume of voxels at the end.

    DeepSTORM3D (Nehme et al., Nature Methods 17, 734 (2020)); without upsampling, AutoDS3D. Raises
    `ValueError` if the upsampling is not 1, 2 or 4.

    Parameters
    ----------
    n_slices
        Slices D of the volume.
    upsampling
        Voxels per camera pixel and lateral axis: 1, 2 or 4.
    width
        Channels of the layers before the volume.
    amplitude
        Highest value of a voxel; the last layer works in units of it, so that weights of order one suffice.
    in_channels
        See `DilatedTrunk`.
    """

    def __init__(
        self,
        n_slices: int = 81,
        upsampling: int = 1,
        width: int = 64,
        amplitude: float = 800.0,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        if upsampling not in (1, 2, 4):
            raise ValueError(f"upsampling must be 1, 2 or 4, got {upsampling}")
        self.amplitude = amplitude
        self.in_channels = in_channels
        self.trunk = DilatedTrunk(width, in_channels)
        #: Factor of the nearest-neighbour upsampling before each of the two layers behind the trunk.
        self.factors = {1: (1, 1), 2: (2, 1), 4: (2, 2)}[upsampling]
        self.expanding = nn.ModuleList([_layer(width + in_channels, width), _layer(width, width)])
        self.slices = _layer(width, n_slices)
        self.residual = nn.ModuleList(_layer(n_slices, n_slices) for _ in range(2))
        self.head = nn.Conv2d(n_slices, n_slices, 1)
        #: Distance in camera pixels from which an input pixel can still change an output pixel.
        self.margin_px = self.trunk.margin_px + 5
        # Volumes are nearly empty: start just above zero, where the clipping still passes a gradient.
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.constant_(self.head.bias, 1e-2)  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> Tensor:
        """Map normalised frames (B, in_channels, Y, X) to volumes (B, D, uY, uX) from 0 to the amplitude."""
        features = self.trunk(frames)
        for layer, factor in zip(self.expanding, self.factors, strict=True):
            if factor > 1:
                features = F.interpolate(features, scale_factor=float(factor))
            features = layer(features)
        volume = self.slices(features)
        for layer in self.residual:
            volume = layer(volume) + volume
        return self.amplitude * self._clipped(self.head(volume))

    def _clipped(self, volume: Tensor) -> Tensor:
        """Clip to 0 and 1; training, some of the gradient passes below 0."""
        clipped = F.hardtanh(volume, 0.0, 1.0)
        if not self.training:
            return clipped
        below = volume.clamp(max=0.0)
        return clipped + _LEAK * (below - below.detach())


class DilatedNet(nn.Module):
    """The trunk of `DS3D` and a few numbers for every camera pixel, for PSFs of many pixels.

    Parameters
    ----------
    width
        Channels of the layers.
    channels
        Numbers per pixel, as the representation asks for.
    in_channels
        See `DilatedTrunk`.
    """

    def __init__(self, width: int = 64, channels: int = 7, in_channels: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.trunk = DilatedTrunk(width, in_channels)
        self.neck = nn.Sequential(_layer(width + in_channels, width), _layer(width, width))
        self.head = nn.Conv2d(width, channels, 1)
        self.margin_px = self.trunk.margin_px + 2

    def forward(self, frames: Tensor) -> Tensor:
        """Map normalised frames (B, in_channels, Y, X) to (B, channels, Y, X)."""
        numbers: Tensor = self.head(self.neck(self.trunk(frames)))
        return numbers


class _DilatedConv(nn.Conv2d):
    """A convolution whose weights get their gradient in half precision on a CPU, too.

    oneDNN (3.12) computes that of dilated ones from memory that nobody wrote, unless the number of input
    channels is a multiple of 16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        lacking = -self.in_channels % 16
        is_half = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (lacking and is_half and self.training):
            return super().forward(x)
        more = (0, 0, 0, 0, 0, lacking)
        out: Tensor = self._conv_forward(F.pad(x, more), F.pad(self.weight, more), self.bias)
        return out


def _layer(n_in: int, n_out: int, dilation: int = 1) -> nn.Sequential:
    """Return 3 x 3 convolution, leaky ReLU and batch norm that keep the image size."""
    return nn.Sequential(
        _DilatedConv(n_in, n_out, 3, padding=dilation, dilation=dilation),
        nn.LeakyReLU(0.2, inplace=True),
        nn.BatchNorm2d(n_out),
    )
