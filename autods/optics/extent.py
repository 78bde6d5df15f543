"""How far the light of a PSF reaches, and how much of it one pixel gets."""

from __future__ import annotations

import torch
from torch import Tensor

from autods.core import UserError
from autods.optics.protocol import PSFModel


@torch.no_grad()
def region_size_px(
    psf: PSFModel, z_min_nm: float, z_max_nm: float, fraction: float = 0.97, largest_px: int = 91
) -> int:
    """Return the side (odd) of the smallest region that holds most of the light at every depth.

    Parameters
    ----------
    psf
        The PSF.
    z_min_nm, z_max_nm
        Depths, nm.
    fraction
        Of the light within ``largest_px``.
    largest_px
        Upper limit of the side, odd, px.

    Raises
    ------
    UserError
        If the depths are reversed.

    Examples
    --------
    >>> from autods.optics.gaussian import GaussianPSF
    >>> region_size_px(GaussianPSF(100.0, 120.0), -100.0, 100.0)
    7
    """
    radius = largest_px // 2
    images = _along_depth(psf, z_min_nm, z_max_nm, largest_px)
    offset = (torch.arange(largest_px, device=images.device) - radius).abs()
    ring = torch.maximum(offset[:, None], offset[None, :]).flatten()
    light = images.new_zeros(len(images), radius + 1).index_add_(1, ring, images.flatten(1))
    enough = light.cumsum(1) >= fraction * light.sum(1, keepdim=True)
    return 2 * int(enough.int().argmax(1).max()) + 1


@torch.no_grad()
def peak_per_photon(psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int = 31) -> float:
    """Return the largest share of an emitter's light that one pixel gets, over the depths.

    Parameters
    ----------
    psf
        The PSF.
    z_min_nm, z_max_nm
        Depths, nm.
    size_px
        Side of the region that is searched, px.

    Examples
    --------
    >>> from autods.optics.gaussian import GaussianPSF
    >>> round(peak_per_photon(GaussianPSF(100.0, 120.0), -100.0, 100.0, 15), 3)
    0.104
    """
    return float(_along_depth(psf, z_min_nm, z_max_nm, size_px).max())


@torch.no_grad()
def power_sums(psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int = 61) -> tuple[float, float]:
    """Return the sums over the pixels of an image squared and cubed, averaged over depth and sub-pixel place.

    Parameters
    ----------
    psf
        The PSF.
    z_min_nm, z_max_nm
        Depths, nm.
    size_px
        Side of the images, px.
    """
    z = torch.linspace(z_min_nm, z_max_nm, 2 + int((z_max_nm - z_min_nm) / 50))
    quarter = psf.pixel_size_nm / 4
    images = torch.cat(
        [
            psf(torch.stack([torch.full_like(z, x), torch.full_like(z, y), z], 1), size_px)
            for x in (-quarter, quarter)
            for y in (-quarter, quarter)
        ]
    )
    return float(images.square().sum((1, 2)).mean()), float(images.pow(3).sum((1, 2)).mean())


def _along_depth(psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int) -> Tensor:
    """Images (Z, S, S) of emitters at the middle of a pixel, every 50 nm or less."""
    if not z_max_nm > z_min_nm:
        raise UserError(f"psf.z_max_nm={z_max_nm} is not above psf.z_min_nm={z_min_nm}: correct the range")
    z = torch.linspace(z_min_nm, z_max_nm, 2 + int((z_max_nm - z_min_nm) / 50))
    return psf(torch.stack([torch.zeros_like(z), torch.zeros_like(z), z], 1), size_px)
