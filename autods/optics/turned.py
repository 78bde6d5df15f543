"""A PSF as it would be if a stack had been read the wrong way round."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autods.optics.protocol import PSFModel
from autods.optics.pupil_psf import PupilPSF

#: What goes wrong most often, by name.
MIRRORED, REVERSED = "mirrored", "reversed in z"
TURNS = (MIRRORED, REVERSED)
REVERSED_SCAN = "of the reversed scan"


def of_reversed_scan(psf: PupilPSF) -> PupilPSF:
    """Return what the same bead stack gives when its focal planes are read in the other order.

    The conjugate twin, ``-phase(-u, -v)``: alike on the coverslip with z reversed, but not where the focus
    lies deep in a sample of another index, which is how molecules tell the one from the other.
    """
    return type(psf)(
        psf.optics,
        -psf.phase.detach().flip(0, 1),
        psf.amplitude.detach().flip(0, 1),
        psf.blur_sigma_nm.detach().clone(),
        supercritical=psf.supercritical,
    )


class TurnedPSF(nn.Module):
    """Another PSF, mirrored left to right or reversed in depth.

    Raises `ValueError` if it cannot be turned so.

    Parameters
    ----------
    psf
        The PSF.
    turn
        One of `TURNS`.
    z_range_nm
        Depths, which a reversal exchanges, nm.
    """

    def __init__(self, psf: PSFModel, turn: str, z_range_nm: tuple[float, float]) -> None:
        super().__init__()
        if turn not in TURNS:
            raise ValueError(f"turn={turn!r}: use one of {TURNS}")
        self.pixel_size_nm, self.psf, self._mirrored = psf.pixel_size_nm, psf, turn == MIRRORED
        self._sum_nm = sum(z_range_nm)

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        if self._mirrored:
            return self.psf(xyz_nm * xyz_nm.new_tensor([-1, 1, 1]), size_px).flip(-1)
        x, y, z = xyz_nm.unbind(1)
        return self.psf(torch.stack([x, y, self._sum_nm - z], 1), size_px)
