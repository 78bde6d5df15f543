"""A PSF as a few planes of depth, spaced by what the data can tell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autods.optics.protocol import PSFModel, device_of

#: Slices in which the information is measured.
_SLICES = 41
#: Share of the mean information that every depth counts for: none does at the focus of a symmetric PSF.
_LEAST = 0.25


@dataclass(frozen=True)
class PsfPlanes:
    """P PSFs, each by its images in K planes.

    The planes are equal steps of the axial Fisher information's square root, so that the axial bound is about
    the same number of planes at every depth and for every PSF. Depth in units of planes runs from 0 to K - 1.
    """

    #: (P, K, S, S) images of one photon, the emitter at the middle pixel's centre, S odd.
    kernels: Tensor
    #: (P, K) depths of the planes, nm, ascending.
    z_nm: Tensor

    @property
    def count(self) -> int:
        """Number of planes K."""
        return self.z_nm.shape[1]

    def to(self, device: torch.device | str) -> PsfPlanes:
        """Copy to a device."""
        return PsfPlanes(self.kernels.to(device), self.z_nm.to(device))

    def __getitem__(self, rows: Tensor | slice) -> PsfPlanes:
        """Select PSFs."""
        return PsfPlanes(self.kernels[rows], self.z_nm[rows])

    def from_nm(self, z_nm: Tensor) -> Tensor:
        """Turn depths (P, E), nm, into units of planes, linearly continued beyond the ends."""
        segment = torch.searchsorted(self.z_nm, z_nm.contiguous()).clamp(1, self.count - 1)
        low, high = self.z_nm.gather(1, segment - 1), self.z_nm.gather(1, segment)
        return segment - 1 + (z_nm - low) / (high - low)

    def to_nm(self, plane: Tensor) -> tuple[Tensor, Tensor]:
        """Turn depths (P, E) in units of planes into nm; with the nm that one unit is there."""
        segment = plane.floor().long().clamp(0, self.count - 2)
        low, high = self.z_nm.gather(1, segment), self.z_nm.gather(1, segment + 1)
        return low + (plane - segment) * (high - low), high - low


def plane_depths(stack: Tensor, z_nm: Tensor, count: int) -> Tensor:
    """Depths (P, K) of planes at equal steps of axial information.

    Parameters
    ----------
    stack
        (P, Z, S, S) images of one photon in evenly spaced slices.
    z_nm
        (P, Z) their depths, nm.
    count
        Number of planes K.
    """
    slopes = [torch.gradient(stack, dim=axis)[0].flatten(2) for axis in (1, 2, 3)]
    jacobian = torch.stack([*slopes, stack.flatten(2)], 2)
    gram = jacobian @ jacobian.mT
    # The information that is left when position and photons are fitted too, for a uniform background.
    ridge = 1e-6 * gram[..., 1:, 1:].diagonal(dim1=-2, dim2=-1) + 1e-14
    other = gram[..., 1:, 1:] + torch.diag_embed(ridge)
    cross = gram[..., 0, 1:]
    left = gram[..., 0, 0] - (cross * torch.linalg.solve(other, cross)).sum(-1)
    density = (left.clamp_min(0) / gram[..., 3, 3].clamp_min(1e-30)).sqrt()
    density = density + _LEAST * density.mean(1, keepdim=True) + 1e-9
    steps = 0.5 * (density[:, 1:] + density[:, :-1])
    travelled = torch.cat([torch.zeros_like(steps[:, :1]), steps.cumsum(1)], 1)
    targets = torch.linspace(0, 1, count, device=stack.device) * travelled[:, -1:]
    segment = torch.searchsorted(travelled, targets).clamp(1, stack.shape[1] - 1)
    low, high = travelled.gather(1, segment - 1), travelled.gather(1, segment)
    share = (targets - low) / (high - low)
    below, above = z_nm.gather(1, segment - 1), z_nm.gather(1, segment)
    return below + share * (above - below)


@torch.no_grad()
def psf_planes(psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int, count: int = 16) -> PsfPlanes:
    """Return the planes of one PSF.

    They are where the PSF's numbers are.

    Parameters
    ----------
    psf
        The PSF.
    z_min_nm, z_max_nm
        Depths that it is used for, nm.
    size_px
        Side of the images, odd, px.
    count
        Number of planes.
    """
    z = torch.linspace(z_min_nm, z_max_nm, _SLICES, device=device_of(psf))
    depths = plane_depths(_images(psf, z, size_px)[None], z[None], count)
    return PsfPlanes(_images(psf, depths[0], size_px).clamp_min(0)[None], depths)


def _images(psf: PSFModel, z_nm: Tensor, size_px: int) -> Tensor:
    return psf(torch.stack([torch.zeros_like(z_nm), torch.zeros_like(z_nm), z_nm], 1), size_px)
