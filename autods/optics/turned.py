"""A PSF as it would be if a stack had been read the wrong way round."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autods.optics.protocol import PSFModel

#: What goes wrong most often, by name.
TURNS = ("mirrored", "reversed in z")


class TurnedPSF(nn.Module):
    """Another PSF, mirrored left to right or reversed in depth.

    Parameters
    ----------
    psf
        The PSF.
    turn
        One of `TURNS`.
    z_range_nm
        Depths, which a reversal exchanges.
    """

    def __init__(self, psf: PSFModel, turn: str, z_range_nm: tuple[float, float]) -> None:
        super().__init__()
        if turn not in TURNS:
            raise ValueError(f"turn={turn!r}: use one of {TURNS}")
        self.pixel_size_nm, self.psf, self._mirrored = psf.pixel_size_nm, psf, turn == TURNS[0]
        self._sum_nm = sum(z_range_nm)

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        if self._mirrored:
            return self.psf(xyz_nm * xyz_nm.new_tensor([-1, 1, 1]), size_px).flip(-1)
        x, y, z = xyz_nm.unbind(1)
        return self.psf(torch.stack([x, y, self._sum_nm - z], 1), size_px)
