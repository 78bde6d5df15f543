"""What a calibrated PSF is known by: how far it puts positions off, and how much of its light was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autods.optics.protocol import PSFModel


@dataclass(frozen=True)
class ModelError:
    """Errors of fitted positions that do not fall with the photons, and of the photons themselves."""

    #: (K,) depths, ascending, nm.
    depth_nm: NDArray[np.float64]
    #: (K,) standard deviation of the error there, per lateral axis and axially, nm.
    lateral_nm: NDArray[np.float64]
    axial_nm: NDArray[np.float64]
    #: (K,) share of the light that the beads have shown: within their cut-out, above the light at its border,
    #: which is taken for background there.
    seen: NDArray[np.float64]
    #: (K, 3) where a fit with the PSF sees a bead, from where it is, nm; `CorrectedPSF` undoes it.
    displacement_nm: NDArray[np.float64]

    def at(self, z_nm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lateral and the axial error at depths (N,); the nearest known one beyond the ends."""
        lateral, axial = (np.interp(z_nm, self.depth_nm, of) for of in (self.lateral_nm, self.axial_nm))
        return np.asarray(lateral, np.float64), np.asarray(axial, np.float64)

    def seen_at(self, z_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of the light that was seen at depths (N,)."""
        return np.asarray(np.interp(z_nm, self.depth_nm, self.seen), np.float64)

    def moved(self, by_nm: float) -> ModelError:
        """Return the errors of the PSF with its focal plane moved, which shifts the depths."""
        return replace(self, depth_nm=self.depth_nm + by_nm)


class CorrectedPSF(nn.Module):
    """A calibrated PSF that shows emitters where the beads were.

    What a model misses of a bead's image moves fitted positions, by tens of nm that depend on the depth (and
    with them the scale of z). The image of an emitter is therefore that which the model gives to the place
    where a fit sees the bead (a correction of "wobble": Carlini et al., PLoS ONE 10, e0142949 (2015)).

    Parameters
    ----------
    psf
        The PSF.
    error
        Where it sees beads.
    """

    depth_nm: Tensor
    displacement_nm: Tensor

    def __init__(self, psf: PSFModel, error: ModelError) -> None:
        super().__init__()
        self.pixel_size_nm, self.psf = psf.pixel_size_nm, psf
        self.register_buffer("depth_nm", torch.from_numpy(error.depth_nm).float())
        self.register_buffer("displacement_nm", torch.from_numpy(error.displacement_nm).float())

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`. Beyond the depths of the beads the last displacement holds."""
        z = xyz_nm[:, 2].clamp(self.depth_nm[0], self.depth_nm[-1])
        above = torch.searchsorted(self.depth_nm, z.detach()).clamp(1, len(self.depth_nm) - 1)
        low, high = self.depth_nm[above - 1], self.depth_nm[above]
        share = ((z - low) / (high - low))[:, None]
        moved = torch.lerp(self.displacement_nm[above - 1], self.displacement_nm[above], share)
        return self.psf(xyz_nm + moved, size_px)
