"""How far the light of a PSF reaches, and how much of it one pixel gets."""

from __future__ import annotations

import torch
from torch import Tensor

from autods.core import UserError
from autods.optics.protocol import PSFModel, device_of

#: Step over which slopes are taken, nm, and light at the peak over that of the background.
_STEP_NM, _PEAK = 3.0, 10.0
#: Share of an emitter's light within what counts as its extent; within the widest window of a fit, where less
#: lets the background take light of the wings, which displaces wide images in depth; least side of that, px.
LIGHT_SHARE, _FITTED_SHARE, _LEAST_FITTED_PX = 0.85, 0.95, 9


@torch.no_grad()
def region_size_px(
    psf: PSFModel, z_min_nm: float, z_max_nm: float, fraction: float = 0.97, largest_px: int = 91
) -> int:
    """Return the side (odd) of the smallest region that holds most of the light at every depth.

    Raises `UserError` if the depths are reversed.

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

    Examples
    --------
    >>> from autods.optics.gaussian import GaussianPSF
    >>> region_size_px(GaussianPSF(100.0, 120.0), -100.0, 100.0)
    7
    """
    radius = largest_px // 2
    images = _along_depth(psf, z_min_nm, z_max_nm, largest_px)
    ring = _rings(largest_px, images.device)
    light = images.new_zeros(len(images), radius + 1).index_add_(1, ring, images.flatten(1))
    enough = light.cumsum(1) >= fraction * light.sum(1, keepdim=True)
    return 2 * int(enough.int().argmax(1).max()) + 1


#: By which the bounds may exceed the largest window's, in root mean square over depths and axes.
_LOSS = 0.05


@torch.no_grad()
def fitted_size_px(psf: PSFModel, z_min_nm: float, z_max_nm: float, largest_px: int = 81) -> int:
    """Return the side (odd, px) of the windows in which emitters are fitted: what tells their position.

    No wider than what holds nearly all of the light, where neighbours would be in it; parameters as in
    `informative_size_px`.
    """
    light = region_size_px(psf, z_min_nm, z_max_nm, _FITTED_SHARE, largest_px)
    informative = informative_size_px(psf, z_min_nm, z_max_nm, largest_px)
    return min(max(min(informative, light), _LEAST_FITTED_PX), largest_px)


def informative_size_px(psf: PSFModel, z_min_nm: float, z_max_nm: float, largest_px: int = 81) -> int:
    """Return the side (odd) of the smallest window that tells nearly all there is to know of a position.

    Cramer-Rao bounds of x, y and z, with photons and background unknown, are compared with those of the
    largest window for an emitter whose peak is `_PEAK` times the background: tails that hold light, but
    hardly any of its slopes, are left out. Raises `UserError` if the depths are reversed.

    Parameters
    ----------
    psf
        The PSF.
    z_min_nm, z_max_nm
        Depths, nm.
    largest_px
        Upper limit of the side, px, odd.
    """
    shifts = _STEP_NM * torch.eye(3, device=device_of(psf))
    images = _along_depth(psf, z_min_nm, z_max_nm, largest_px).double()
    low, high = (
        torch.stack([_along_depth(psf, z_min_nm, z_max_nm, largest_px, sign * shift) for shift in shifts], 1)
        for sign in (-1, 1)
    )
    slopes = (high - low).double() / (2 * _STEP_NM)
    jacobian = torch.cat([slopes, images[:, None], torch.ones_like(images)[:, None]], 1).flatten(2)
    variance = 1 + _PEAK * images.flatten(1) / images.flatten(1).amax(1, keepdim=True)
    products = (jacobian / variance[:, None])[:, :, None] * jacobian[:, None]
    radius = largest_px // 2
    ring = _rings(largest_px, images.device)
    rings = products.new_zeros(*products.shape[:3], radius + 1).index_add_(3, ring, products)
    fisher = rings.cumsum(3).movedim(3, 1)
    scale = fisher[:, -1:].diagonal(dim1=2, dim2=3).clamp_min(1e-30).sqrt()
    fisher = fisher / (scale[..., :, None] * scale[..., None, :])
    fisher = fisher + 1e-9 * torch.eye(fisher.shape[-1]).to(fisher)
    variances = torch.linalg.inv(fisher).diagonal(dim1=2, dim2=3)[..., :3]
    excess = (variances / variances[:, -1:]).mean((0, 2)).sqrt()
    return 2 * int((excess <= 1 + _LOSS).int().argmax()) + 1


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
    z = _depths(psf, z_min_nm, z_max_nm)
    quarter = psf.pixel_size_nm / 4
    images = torch.cat(
        [
            psf(torch.stack([torch.full_like(z, x), torch.full_like(z, y), z], 1), size_px)
            for x in (-quarter, quarter)
            for y in (-quarter, quarter)
        ]
    )
    return float(images.square().sum((1, 2)).mean()), float(images.pow(3).sum((1, 2)).mean())


def _rings(size_px: int, device: torch.device) -> Tensor:
    """Return (S * S,) the distance of each pixel from the middle one, the larger of rows and columns."""
    offset = (torch.arange(size_px, device=device) - size_px // 2).abs()
    return torch.maximum(offset[:, None], offset[None, :]).flatten()


def _along_depth(
    psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int, shift_nm: Tensor | None = None
) -> Tensor:
    """Images (Z, S, S) of emitters at the middle of a pixel, or beside it, every 50 nm or less."""
    if not z_max_nm > z_min_nm:
        raise UserError(f"psf.z_max_nm={z_max_nm} is not above psf.z_min_nm={z_min_nm}: correct the range")
    z = _depths(psf, z_min_nm, z_max_nm)
    place = torch.stack([torch.zeros_like(z), torch.zeros_like(z), z], 1)
    return psf(place if shift_nm is None else place + shift_nm, size_px)


def _depths(psf: PSFModel, z_min_nm: float, z_max_nm: float) -> Tensor:
    """Return depths (Z,) every 50 nm or less, where the PSF's numbers are."""
    return torch.linspace(z_min_nm, z_max_nm, 2 + int((z_max_nm - z_min_nm) / 50), device=device_of(psf))
