"""What a calibrated PSF is known by: how far it puts positions off, and how much of its light was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


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
