"""What the misfit of a retrieved PSF does to positions, measured on the beads that it was retrieved from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.calibration.retrieval import Scan
from autods.optics.model_error import ModelError
from autods.optics.pupil_psf import PupilPSF
from autods.optics.spline import SplinePSF

#: Places of a bead within a pixel, in pixels, along each axis.
_WITHIN_PX = (-0.35, 0.0, 0.35)
#: Background per pixel over an emitter's photons for which errors are weighted: that of usual movies.
_BACKGROUND = 0.005
_DELTA_NM = 3.0
#: Width of the border of a cut-out, px.
_BORDER_PX = 2
#: Depths over which errors are averaged, nm: what beads and molecules have in common is no finer.
_WINDOW_NM = 75.0


@torch.no_grad()
def model_error(
    psf: PupilPSF, empirical: SplinePSF, scan: Scan, depth_nm: NDArray[np.float64], size_px: int
) -> ModelError:
    """Measure how far a fit with a PSF places beads from where they are.

    The bead's image minus the model's is light that a fit explains by moving the emitter: to first order by
    ``(J^T W J)^-1 J^T W r`` with the slopes J by x, y, z, photons and background, and the weights W of the
    noise. The root mean square over places within a pixel and neighbouring depths is the error.

    Parameters
    ----------
    psf
        The retrieved PSF.
    empirical
        The mean bead, see `autods.calibration.empirical`.
    scan, depth_nm
        Focal plane and depth of the bead in each slice, and the depth of emitters that look alike, nm.
    size_px
        Side of the window that is fitted, odd, px.
    """
    errors = [
        _displacement(psf, empirical, scan, depth_nm, (x, y), size_px) for x in _WITHIN_PX for y in _WITHIN_PX
    ]
    order = np.argsort(depth_nm)
    square = np.square(torch.stack(errors).double().numpy()).mean(0)[order]
    z = np.asarray(depth_nm[order], np.float64)
    lateral, axial = (_averaged(column, z) for column in (square[:, :2].mean(1), square[:, 2]))
    depth = torch.from_numpy(z).float()
    on_axis = torch.stack([torch.zeros_like(depth), torch.zeros_like(depth), depth], 1)
    seen = _averaged(seen_share(empirical(on_axis, size_px)).double().numpy(), z)
    return ModelError(z, np.sqrt(lateral), np.sqrt(axial), seen)


def seen_share(images: Tensor) -> Tensor:
    """Return (Z,) the light of images (Z, S, S) above that at their border, which looks like background."""
    border = torch.ones(images.shape[1:], dtype=torch.bool)
    border[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    level = images[:, border].median(1).values
    return (images - level[:, None, None]).sum((1, 2))


def _displacement(
    psf: PupilPSF,
    empirical: SplinePSF,
    scan: Scan,
    depth_nm: NDArray[np.float64],
    within_px: tuple[float, float],
    size_px: int,
) -> Tensor:
    """Return (Z, 3) errors of beads at one place within the pixel."""
    x, y = (torch.full_like(scan.depth_nm, value * psf.pixel_size_nm) for value in within_px)
    xyz = torch.stack([x, y, scan.depth_nm], 1)

    def render(at: Tensor) -> Tensor:
        images: Tensor = psf(at, size_px, scan.nfp_nm)
        return images.double()

    model = render(xyz)
    bead = empirical(torch.stack([x, y, torch.from_numpy(depth_nm).float()], 1), size_px).double()
    slopes = [
        (render(xyz + shift) - render(xyz - shift)) / (2 * _DELTA_NM) for shift in _DELTA_NM * torch.eye(3)
    ]
    design = torch.stack([*slopes, model, torch.ones_like(model)], 1).flatten(2)
    weight = 1 / (model.clamp_min(0) + _BACKGROUND).flatten(1)
    weighted = design * weight[:, None]
    normal, moment = weighted @ design.transpose(1, 2), weighted @ (bead - model).flatten(1)[..., None]
    scale = normal.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    solution = torch.linalg.solve(normal / (scale[:, :, None] * scale[:, None, :]), moment / scale[..., None])
    moved: Tensor = (solution[..., 0] / scale)[:, :3]
    return moved


def _averaged(values: NDArray[np.float64], z_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean (K,) of values over the depths within the window."""
    near = np.abs(z_nm[:, None] - z_nm) <= _WINDOW_NM
    mean: NDArray[np.float64] = (near * values).sum(1) / near.sum(1)
    return mean
