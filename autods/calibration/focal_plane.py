"""What another nominal focal plane does to a calibrated PSF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.optics.pupil_psf import PupilPSF


def nfp_study(psf: PupilPSF, z_nm: Tensor, nfp_nm: Tensor, size_px: int = 41) -> NDArray[np.float64]:
    """Apparent z (M, N) at which the reference focus explains emitters seen with other focal planes.

    For each of M focal planes and N emitter depths, the z whose image at the model's own focal plane
    correlates best with the image; the paper's finding is a straight shift with the focal plane.

    Parameters
    ----------
    psf
        Diffraction model; its own `nfp_nm` is the reference.
    z_nm
        (N,) depths of the emitters, nm.
    nfp_nm
        (M,) focal planes, nm.
    size_px
        Side of the images, px.
    """
    reach = float((nfp_nm - psf.nfp_nm).abs().max()) + 500
    candidates = torch.arange(float(z_nm.min()) - reach, float(z_nm.max()) + reach, 20.0)
    with torch.no_grad():
        library = _unit(psf(_on_axis(candidates), size_px))
        out = []
        for nfp in nfp_nm:
            images = _unit(psf(_on_axis(z_nm), size_px, nfp.expand(len(z_nm))))
            out.append(candidates[(images @ library.T).argmax(1)].numpy())
    return np.asarray(out, np.float64)


def _on_axis(z_nm: Tensor) -> Tensor:
    zero = torch.zeros_like(z_nm)
    return torch.stack([zero, zero, z_nm], 1)


def _unit(images: Tensor) -> Tensor:
    flat = images.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    unit: Tensor = flat / flat.norm(dim=1, keepdim=True)
    return unit


def with_focus(psf: PupilPSF, nfp_nm: float) -> PupilPSF:
    """Copy of a diffraction PSF for an experiment with another nominal focal plane, nm."""
    return type(psf)(
        replace(psf.optics, nfp_nm=nfp_nm),
        psf.phase.detach().clone(),
        psf.amplitude.detach().clone(),
        psf.blur_sigma_nm.detach().clone(),
        supercritical=psf.supercritical,
    )
