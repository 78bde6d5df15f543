"""Emitters that a network has missed: peaks of the matched filter in what the fitted emitters leave."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autods.inference.told_psf import told_scene
from autods.networks.matched_filter import MatchedFilter
from autods.optics import PSFModel
from autods.optics.planes import psf_planes
from autods.representation import Detections

#: Pixels that are filtered at once: every plane is an image of its own.
_BATCH_PX = 65_536
#: Nearest peaks, px.
_APART_PX = 5
#: Share of an emitter's signal over noise that must lie in the frame: with less, rounding is taken for it.
_LEAST_SEEN = 0.3
#: Confidence that marks what no network has judged.
UNJUDGED = -1.0


class Pursuit:
    """A filter for one PSF, blind to nothing that stands out of the noise.

    Parameters
    ----------
    psf
        The PSF.
    z_range_nm
        Depths, nm.
    size_px
        Side of the region that is looked at, px, odd.
    """

    def __init__(self, psf: PSFModel, z_range_nm: tuple[float, float], size_px: int) -> None:
        self._planes = psf_planes(psf, *z_range_nm, size_px)

    @torch.inference_mode()
    def __call__(self, light: Tensor, variance: Tensor, least: float) -> Detections:
        """Find the peaks, those beyond the border too: an emitter there has light within.

        Returns `Detections` on the CPU, with confidence `UNJUDGED`, and positions of pixels and planes.

        Parameters
        ----------
        light
            (T, Y, X) photons that nothing explains yet.
        variance
            (T, Y, X) of their noise, photons^2; infinite where a pixel is not valid.
        least
            Significance of a peak at least: its photons over their standard error.
        """
        margin = self._planes.kernels.shape[-1] // 2
        significance, plane = self.significance(light, variance, margin)
        around = F.max_pool2d(significance[:, None], _APART_PX, 1, _APART_PX // 2)[:, 0]
        frame, row, column = ((significance == around) & (significance >= least)).nonzero(as_tuple=True)
        depth = self._planes.z_nm.to(light.device)[0, plane[frame, row, column]]
        confidence = torch.full_like(depth, UNJUDGED)
        x_px, y_px = (index + 0.5 - margin for index in (column, row))
        return Detections(frame, x_px, y_px, confidence, z_nm=depth).on_host()

    @torch.inference_mode()
    def significance(self, light: Tensor, variance: Tensor, beyond_px: int = 0) -> tuple[Tensor, Tensor]:
        """Return the significance (T, Y, X) of an emitter at the best depth, and this plane.

        Parameters
        ----------
        light, variance
            As of a call.
        beyond_px
            How far beyond the border emitters are looked for, px: the result is wider by as much.
        """
        beyond, kernels = [beyond_px] * 4, self._planes.to(light.device).kernels
        whole = F.pad(light.new_ones(1, *light.shape[1:]), beyond)
        light, variance = F.pad(light, beyond), F.pad(variance, beyond, value=torch.inf)
        if not len(light):  # no transform knows an empty batch
            return light, light.long()
        inside = MatchedFilter(kernels, whole).norm
        seen = inside > _LEAST_SEEN * inside.amax((2, 3), keepdim=True)
        count = max(1, _BATCH_PX // (light.shape[1] * light.shape[2]))
        highest = []
        for start in range(0, len(light), count):
            frames, weight = told_scene(light[start : start + count], variance[start : start + count])
            highest.append((MatchedFilter(kernels, weight).significance(frames) * seen).max(1))
        values, planes = zip(*highest, strict=True)
        return torch.cat(values), torch.cat(planes)
