"""Parts of the network that is told the PSF."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autods.networks.blocks import conv_bn_relu


class FilmPair(nn.Module):
    """Two 3 x 3 convolutions round an identity, scaled and shifted by a code.

    Parameters
    ----------
    width
        Channels.
    code
        Numbers of the code; 0 for none.
    """

    def __init__(self, width: int, code: int = 0) -> None:
        super().__init__()
        self.first = conv_bn_relu(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.film = nn.Linear(code, 2 * width) if code else None
        if self.film is not None:
            nn.init.zeros_(self.film.bias)
            nn.init.normal_(self.film.weight, std=0.02)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """Map (B, width, Y, X) to the same shape; the code is (B, code)."""
        change = self.norm(self.second(self.first(x)))
        if self.film is not None:
            assert code is not None
            scale, shift = self.film(code)[:, :, None, None].chunk(2, 1)
            change = change * (1 + scale) + shift
        return F.relu(x + change)


class Stage(nn.Module):
    """Convolutions at full, half and quarter resolution, joined on the way back.

    Parameters
    ----------
    n_in
        Images of the input.
    width
        Channels at full resolution, twice as many below.
    code
        See `FilmPair`.
    """

    def __init__(self, n_in: int, width: int, code: int = 0) -> None:
        super().__init__()
        self.stem = conv_bn_relu(n_in, width)
        self.whole = nn.ModuleList(FilmPair(width, code) for _ in range(2))
        self.halved = nn.ModuleList(FilmPair(2 * width, code) for _ in range(2))
        self.quartered = nn.ModuleList(FilmPair(2 * width, code) for _ in range(2))
        self.down = nn.ModuleList(nn.Conv2d(n, 2 * width, 3, stride=2, padding=1) for n in (width, 2 * width))
        self.up = nn.ModuleList(nn.Conv2d(2 * width, n, 1) for n in (2 * width, width))

    def forward(self, images: Tensor, code: Tensor | None = None) -> Tensor:
        """Map (B, n_in, Y, X), sides divisible by 4, to features (B, width, Y, X)."""
        full = self.whole[0](self.stem(images), code)
        half = self.halved[0](F.relu(self.down[0](full)), code)
        quarter = F.relu(self.down[1](half))
        for pair in self.quartered:
            quarter = pair(quarter, code)
        half = self.halved[1](half + _enlarged(self.up[0](quarter)), code)
        features: Tensor = self.whole[1](full + _enlarged(self.up[1](half)), code)
        return features


def _enlarged(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


class PsfCode(nn.Module):
    """Reads the planes of a PSF into a few numbers."""

    #: Numbers of the code, and side of the region of the PSF that is read.
    size, region_px = 96, 41

    def __init__(self, planes: int) -> None:
        super().__init__()
        widths = (1, 12, 24, 32)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 5 if a == 1 else 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.plane = nn.Linear(widths[-1] * 9, 16)
        self.mix = nn.Sequential(nn.Linear(17 * planes, 128), nn.ReLU(), nn.Linear(128, self.size), nn.Tanh())

    def forward(self, kernels: Tensor) -> Tensor:
        """Return (P, size) for kernels (P, K, S, S)."""
        n, _, side, _ = kernels.shape
        grow = (self.region_px - side) // 2
        norm = kernels.flatten(2).norm(dim=2).clamp_min(1e-9)
        images = F.pad(kernels / norm[:, :, None, None], (grow, grow, grow, grow)).flatten(0, 1)[:, None]
        for convolution in self.convolutions:
            images = F.relu(convolution(images))
        features = F.relu(self.plane(F.adaptive_avg_pool2d(images, 3).flatten(1)))
        joined = torch.cat([features.view(n, -1), norm.log() + 2.0], 1)
        code: Tensor = self.mix(joined)
        return code
