"""Building blocks shared by the networks."""

from __future__ import annotations

from torch import Tensor, nn


def conv_bn_relu(n_in: int, n_out: int, kernel: int = 3) -> nn.Sequential:
    """Return convolution, batch norm and ReLU that keep the image size."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class ResidualPair(nn.Module):
    """Two 3 x 3 convolutions with batch norm round an identity (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, Y, X) to the same shape."""
        out: Tensor = self.activation(x + self.second(self.first(x)))
        return out
