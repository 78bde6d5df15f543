"""Correlation of frames with the planes of a PSF, and rendering of volumes through them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-6


class MatchedFilter:
    """The planes of PSFs, ready for frames of one size.

    A frame is given divided by its noise, with `weight`, one over the noise relative to the frame's own
    level, 0 where a pixel is not valid. The significance of a voxel is the amplitude of an emitter there,
    alone, over its standard error.

    Parameters
    ----------
    kernels
        (P, K, S, S) images of one photon, S odd.
    weight
        (B, Y, X), B a multiple of P: consecutive frames share a PSF.
    """

    def __init__(self, kernels: Tensor, weight: Tensor) -> None:
        self.weight = weight
        self.shape = (int(weight.shape[1]), int(weight.shape[2]))
        size = kernels.shape[-1]
        self._radius = size // 2
        self._padded = [_fast_length(side + size - 1) for side in self.shape]
        self._spectrum = self._transform(kernels.float()).conj()
        square = self._transform(kernels.float().square()).conj()
        self.norm = self._correlate(weight.square(), square).clamp_min(_TINY**2).sqrt()

    def significance(self, frames: Tensor) -> Tensor:
        """Return (B, K, Y, X) for frames (B, Y, X) divided by their noise."""
        found: Tensor = self._correlate(frames * self.weight, self._spectrum) / self.norm
        return found

    def render(self, volume: Tensor) -> Tensor:
        """Return frames (B, Y, X), divided by their noise, of emitters of significance (B, K, Y, X)."""
        spectrum = self._transform(volume / self.norm)
        spectrum = spectrum.view(len(self._spectrum), -1, *spectrum.shape[1:])
        image = torch.fft.irfft2((spectrum * self._spectrum.conj()[:, None]).sum(2), s=self._padded)
        r, (height, width) = self._radius, self.shape
        rendered: Tensor = image.flatten(0, 1)[..., r : r + height, r : r + width] * self.weight
        return rendered

    def _correlate(self, frames: Tensor, spectrum: Tensor) -> Tensor:
        r = self._radius
        around = F.pad(frames, (r, 0, r, 0))
        around = self._transform(around)
        product = around.view(len(spectrum), -1, 1, *around.shape[1:]) * spectrum[:, None]
        height, width = self.shape
        correlated: Tensor = torch.fft.irfft2(product, s=self._padded)
        return correlated.flatten(0, 1)[..., :height, :width]

    def _transform(self, images: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft2(images, s=self._padded)
        return spectrum


def _fast_length(least: int) -> int:
    """Return the next even length whose transform is fast: a product of 2, 3 and 5."""
    length = least + least % 2
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 2
