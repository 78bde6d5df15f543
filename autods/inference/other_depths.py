"""Emitters that a network has placed at a wrong depth, where the PSF looks much the same.

A fit goes to the nearest maximum of the likelihood and stays there. The light of an emitter, that of its
neighbours taken away, is therefore compared with the PSF at every depth, and places round it; what describes
it better is fitted, and kept if the likelihood is higher indeed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autods.inference.alternatives import Unexplained, moved
from autods.inference.linear_fit import pick
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSFModel
from autods.optics.planes import psf_planes
from autods.representation import Detections

#: Depths that are compared, and places to either side in steps, px.
_PLANES, _STEPS, _STEP_PX = 24, 2, 0.75
#: Gain of the logarithm of the likelihood from which another depth is fitted, and is kept.
_PROMISED, _GAIN = 2.0, 2.0
#: Numbers that are compared at once.
_BLOCK = 20_000_000


class OtherDepths:
    """Looks for emitters that another depth explains better.

    Parameters
    ----------
    psf
        The PSF; where it changes over the field, it stands for all places.
    z_range_nm
        Depths, nm.
    size_px
        Side of the windows, px, odd.
    """

    def __init__(self, psf: PSFModel, z_range_nm: tuple[float, float], size_px: int) -> None:
        depths = psf_planes(psf, *z_range_nm, size_px, _PLANES).z_nm[0]
        step = _STEP_PX * torch.arange(-_STEPS, _STEPS + 1, device=depths.device)
        z, y, x = torch.meshgrid(depths, step, step, indexing="ij")
        self._off = torch.stack([x, y, z], -1).view(-1, 3)
        xyz_nm = self._off * self._off.new_tensor([psf.pixel_size_nm, psf.pixel_size_nm, 1.0])
        self._images = psf(xyz_nm, size_px).clamp_min(0).flatten(1)

    @torch.no_grad()
    def __call__(
        self, fitter: PsfFitter, observation: Observation, found: Detections
    ) -> tuple[Tensor, Detections]:
        """Return which emitters (N,) lie elsewhere, and where, of which no network has told an error.

        Parameters
        ----------
        fitter, observation
            The fit, and the frames.
        found
            All emitters of some of these frames, where the fit has put them.
        """
        elsewhere = torch.zeros(len(found), dtype=torch.bool)
        one = Unexplained.by(fitter, observation, found)
        windows = fitter.windows(one.model, found, found.frame)
        weight_at = pick(one.weight, windows.pixel) * windows.inside
        own = windows.images(fitter.psf) * one.photons[:, None, None]
        promised, off = self._best(pick(one.left, windows.pixel), own, weight_at)
        proposed = (promised > _PROMISED).cpu()
        row = proposed.nonzero()[:, 0]
        if not len(row):
            return elsewhere, found.select(elsewhere)
        here = torch.stack([found.x_px[row], found.y_px[row], found.z_nm[row]], 1)  # type: ignore[index]
        middle = torch.cat([windows.middle + 0.5, torch.zeros_like(off[:, :1])], 1)
        starts = moved(found.select(row), (middle + off)[proposed].cpu() - here)
        single = torch.isin(found.frame, found.frame[row])
        single[row] = False
        fit, after = fitter.explain(observation, Detections.concatenate([starts, found.select(single)]))
        better = one.gained(observation, after, windows.pixel[proposed.to(after.device)]) > _GAIN
        elsewhere[row[better]] = True
        at = fit.select(torch.arange(len(row))[better])
        from_here = torch.stack([at.x_px, at.y_px, at.z_nm], 1)  # type: ignore[list-item]
        return elsewhere, moved(found.select(row[better]), from_here - here[better])

    def _best(self, left: Tensor, own: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N,) the likelihood's gain by the best place, and (N, 3) its offset from the middle, px, nm.

        Parameters
        ----------
        left, own, weight
            (N, S, S) light that is left, light of the emitter, and one over the variance.
        """
        images, off = self._images.to(left), self._off.to(left)
        gains, places = [], []
        for rows in torch.split(torch.arange(len(left), device=left.device), max(1, _BLOCK // len(images))):
            weighted, light = weight[rows].flatten(1), (left[rows] + own[rows]).flatten(1)
            moment = (weighted * light) @ images.T
            norm = weighted @ images.square().T
            explained = moment.clamp_min(0).square() / norm.clamp_min(1e-30)
            best, place = explained.max(1)
            now = (weighted * (light.square() - left[rows].flatten(1).square())).sum(1)
            gains.append(0.5 * (best - now))
            places.append(off[place])
        return torch.cat(gains), torch.cat(places)
