"""The mean bead itself as a PSF, free of any optical model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline
from torch import Tensor

from autods.calibration.retrieval import Retrieved
from autods.optics.pupil_psf import PupilPSF
from autods.optics.spline import SplinePSF


@torch.no_grad()
def axial_scale(psf: PupilPSF, nfp_nm: NDArray[np.float64], size_px: int) -> float:
    """Emitter's displacement in the sample that looks like 1 nm of focal displacement (below n_s / n_i).

    A bead on the coverslip under focal planes f is compared with emitters at ``z = -s f`` under the focal
    plane 0; the s of the highest mean correlation is returned. It is 1 where the indices match.

    Parameters
    ----------
    psf
        The PSF, focused at 0.
    nfp_nm
        (Z,) focal planes, nm.
    size_px
        Side of the images, px.
    """
    if psf.optics.n_sample == psf.optics.n_immersion or not np.ptp(nfp_nm) > 0:
        return 1.0
    some = np.linspace(0, len(nfp_nm) - 1, min(len(nfp_nm), 15)).astype(int)
    chosen = torch.from_numpy(nfp_nm[some]).float()
    zero = torch.zeros_like(chosen)
    beads = _unit(psf(torch.stack([zero, zero, zero], 1), size_px, chosen))
    scales = np.arange(0.5, 1.151, 0.025) * psf.optics.n_sample / psf.optics.n_immersion
    alike = np.array(
        [
            float((_unit(psf(torch.stack([zero, zero, -float(s) * chosen], 1), size_px)) * beads).sum())
            for s in scales
        ]
    )
    best = int(np.clip(alike.argmax(), 1, len(scales) - 2))
    before, at, after = alike[best - 1 : best + 2]
    bend = before - 2 * at + after
    peak = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(scales[best] + peak * (scales[1] - scales[0]))


def _unit(images: Tensor) -> Tensor:
    flat = images.flatten(1) - images.flatten(1).mean(1, keepdim=True)
    unit: Tensor = flat / flat.norm(dim=1, keepdim=True)
    return unit


def empirical_psf(
    volume: NDArray[np.float32], depth_nm: NDArray[np.float64], retrieved: Retrieved, pixel_size_nm: float
) -> SplinePSF:
    """Cubic-spline PSF of the mean bead: background removed, centred, one photon per slice.

    The fitted photons count the light outside of the cut-out too, so that slices sum to the share inside.

    Parameters
    ----------
    volume
        (Z, S, S) mean bead.
    depth_nm
        (Z,) depths of emitters that look alike, see `BeadCalibration`.
    retrieved
        The fit, for background, photons and offset.
    pixel_size_nm
        Camera pixel, nm.
    """
    signal = (volume - retrieved.background[:, None, None]) / retrieved.photons[:, None, None]
    shift = (-retrieved.y_nm / pixel_size_nm, -retrieved.x_nm / pixel_size_nm)
    centred = ndimage.shift(signal, (0, *shift), order=3, mode="nearest")
    order = np.argsort(depth_nm)
    z, centred = depth_nm[order], centred[order]
    step = float(np.mean(np.diff(z)))
    if not np.allclose(np.diff(z), step, rtol=1e-3):  # a slice was left out
        even = np.linspace(z[0], z[-1], round((z[-1] - z[0]) / float(np.median(np.diff(z)))) + 1)
        centred, step = CubicSpline(z, centred, axis=0)(even), float(even[1] - even[0])
    return SplinePSF(centred, float(z[0]), step, pixel_size_nm)
