"""What the misfit of a retrieved PSF does to positions, measured on the beads that it was retrieved from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.calibration.quality import light_above_border
from autods.calibration.retrieval import USUAL_BACKGROUND, Scan
from autods.optics.model_error import ModelError
from autods.optics.pupil_psf import PupilPSF
from autods.optics.spline import SplinePSF

#: Places of a bead within a pixel, in pixels, along each axis.
_WITHIN_PX = (-0.35, 0.0, 0.35)
_DELTA_NM = 3.0
#: Displacements are smoothed over depths so near, nm, or so many slices: what beads and molecules have in
#: common is no finer.
_WINDOW_NM, _WINDOW_SLICES = 75.0, 2
#: Residuals of a smoothed curve are corrected for having been fitted, to this leverage at most.
_LEVERAGE = 0.8


@torch.no_grad()
def model_error(
    psf: PupilPSF,
    empirical: SplinePSF,
    scan: Scan,
    depth_nm: NDArray[np.float64],
    size_px: int,
    fitted_px: int,
) -> ModelError:
    """Measure how far a fit with a PSF places beads from where they are.

    The bead's image minus the model's is light that a fit explains by moving the emitter: to first order by
    ``(J^T W J)^-1 J^T W r`` with the slopes J by x, y, z, photons and background, and the weights W of the
    noise. What neighbouring depths have in common of it is the displacement, which `CorrectedPSF` undoes; the
    root mean square of the rest over places within a pixel and neighbouring depths is the error.

    Parameters
    ----------
    psf
        The retrieved PSF.
    empirical
        The mean bead, see `autods.calibration.empirical`.
    scan, depth_nm
        Focal plane and depth of the bead in each slice, and the depth of emitters that look alike, nm.
    size_px, fitted_px
        Sides of the beads' cut-outs, and of the window that fits look at, odd, px.
    """
    order = np.argsort(depth_nm)
    z = np.asarray(depth_nm[order], np.float64)
    places = [
        _displacement(psf, empirical, scan, depth_nm, (x, y), fitted_px)
        for x in _WITHIN_PX
        for y in _WITHIN_PX
    ]
    moved = torch.stack(places).double().numpy()[:, order]
    smooth = _local_lines(z)
    displacement = smooth @ moved.mean(0)
    left = 1 - np.minimum(smooth.diagonal(), _LEVERAGE)
    square = ((moved - displacement) / left[:, None]) ** 2
    near = np.abs(z[:, None] - z) <= _half_width_nm(z)
    mean = near @ square.mean(0) / near.sum(1)[:, None]
    depth = torch.from_numpy(z).float()
    on_axis = torch.stack([torch.zeros_like(depth), torch.zeros_like(depth), depth], 1)
    seen = smooth @ light_above_border(empirical(on_axis, size_px)).double().numpy()
    return ModelError(z, np.sqrt(mean[:, :2].mean(1)), np.sqrt(mean[:, 2]), seen, displacement)


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
    weight = 1 / (model.clamp_min(0) + USUAL_BACKGROUND).flatten(1)
    weighted = design * weight[:, None]
    normal, moment = weighted @ design.transpose(1, 2), weighted @ (bead - model).flatten(1)[..., None]
    scale = normal.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    solution = torch.linalg.solve(normal / (scale[:, :, None] * scale[:, None, :]), moment / scale[..., None])
    moved: Tensor = (solution[..., 0] / scale)[:, :3]
    return moved


def _half_width_nm(z_nm: NDArray[np.float64]) -> float:
    return max(_WINDOW_NM, _WINDOW_SLICES * 1.01 * float(np.median(np.diff(z_nm))))


def _local_lines(z_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (K, K) that smooths values at the depths by a line through those near each."""
    distance = z_nm - z_nm[:, None]
    weight = np.maximum(1 - (distance / (1.5 * _half_width_nm(z_nm))) ** 2, 0)
    zeroth, first, second = (np.sum(weight * distance**k, axis=1, keepdims=True) for k in range(3))
    spread = zeroth * second - first**2
    # A slice with none near it, others having been left out, stays as it is.
    alone = spread <= 0
    line = weight * (second - first * distance) / np.where(alone, 1.0, spread)
    matrix: NDArray[np.float64] = np.where(alone, weight / zeroth, line)
    return matrix
