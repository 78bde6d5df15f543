"""Other emitters in the place of fitted ones: what the fit leaves, and how much likelier they make it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autods.inference.linear_fit import pick
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.representation import Detections

#: Error of the PSF, in parts of its light, which no other emitter explains: of one by a formula, and of one
#: retrieved from beads, whose residual of a bright molecule would otherwise be taken for another one.
_MISMATCH, _MISMATCH_OF_BEADS = 0.05, 0.25


@dataclass(frozen=True)
class Unexplained:
    """What emitters, where they are, leave of the light."""

    #: (N,) photons of each.
    photons: Tensor
    #: (T, Y, X) photons that their model makes, and that it leaves.
    model: Tensor
    left: Tensor
    #: (T, Y, X) one over the variance of what is left, the PSF's own error in it.
    weight: Tensor

    @classmethod
    def by(cls, fitter: PsfFitter, observation: Observation, found: Detections) -> Unexplained:
        """Fit photons at the places given."""
        fit, model = fitter.explain(observation, found, refine=False)
        assert fit.photons is not None
        mismatch = _MISMATCH if fitter.error is None else _MISMATCH_OF_BEADS
        weight = 1 / (observation.variance_under(model) + (mismatch * model) ** 2)
        return cls(fit.photons.to(model), model, observation.light - model, weight)

    def gained(self, observation: Observation, model: Tensor, pixel: Tensor) -> Tensor:
        """Return the gain (n,) of the log-likelihood by another model, in windows of pixels (n, S, S)."""
        gain = 0.5 * self.weight * (self.left**2 - (observation.light - model) ** 2)
        return pick(gain, pixel).sum((1, 2)).cpu()


def moved(found: Detections, by: Tensor) -> Detections:
    """Return emitters moved by (N, 3), px, px, nm, with an error that is not known."""
    assert found.z_nm is not None
    x, y, z = by.double().unbind(1)
    unknown = torch.full_like(z, torch.nan)
    return replace(
        found,
        x_px=found.x_px + x,
        y_px=found.y_px + y,
        z_nm=found.z_nm + z,
        uncertainty_px=None if found.uncertainty_px is None else unknown,
        uncertainty_z_nm=None if found.uncertainty_z_nm is None else unknown,
    )
