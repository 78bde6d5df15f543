"""A PSF as larger pixels see it, each of which is several of the camera's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from autods.optics.protocol import PSFModel


class BinnedPSF(nn.Module):
    """The PSF of a camera whose pixels are summed in squares.

    Parameters
    ----------
    psf
        The PSF in the camera's pixels.
    bin_px
        Side of a square, px.
    """

    def __init__(self, psf: PSFModel, bin_px: int) -> None:
        super().__init__()
        self.pixel_size_nm, self.psf, self.bin_px = psf.pixel_size_nm * bin_px, psf, bin_px

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        return summed(self.psf(xyz_nm, size_px * self.bin_px), self.bin_px)


def summed(images: Tensor, bin_px: int) -> Tensor:
    """Sum the pixels (N, Y, X) in squares; rows and columns that fill none are left out.

    Examples
    --------
    >>> import torch
    >>> summed(torch.ones(1, 5, 4), 2).tolist()
    [[[4.0, 4.0], [4.0, 4.0]]]
    """
    return F.avg_pool2d(images[:, None], bin_px, divisor_override=1)[:, 0]
