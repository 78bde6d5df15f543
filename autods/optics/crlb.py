"""Fisher information and the Cramer-Rao lower bound of any PSF, by automatic differentiation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from autods.optics.protocol import PSFModel


def fisher_information(
    psf: PSFModel,
    xyz_nm: Tensor,
    photons: Tensor,
    background: Tensor,
    size_px: int,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    axial: bool = True,
) -> Tensor:
    """Fisher information (N, 5, 5) on x, y, z, photons, background; (N, 4, 4) without z.

    ``F_ij = sum_pixels (d mu / d theta_i) (d mu / d theta_j) / variance`` with variance
    ``excess * mu + read^2``: exact for Poisson noise, the usual approximation with read noise (Huang et al.,
    Nature Methods 10, 653 (2013)).

    Parameters
    ----------
    psf
        The model.
    xyz_nm
        (N, 3) positions from the region's centre, nm.
    photons, background
        (N,) photons of the emitter and photons per pixel of the background.
    size_px
        Side of the region, px.
    read_noise
        Standard deviation in photons.
    excess_noise
        2 for an EMCCD, else 1.
    axial
        Whether z is unknown; False for a 2D PSF, whose image does not depend on it.
    """

    def expected(theta: Tensor) -> Tensor:
        return theta[3] * psf(theta[None, :3], size_px)[0] + theta[4]

    theta = torch.cat([xyz_nm, photons[:, None], background[:, None]], 1)
    mean = vmap(expected)(theta)
    jacobian = vmap(jacfwd(expected))(theta).double()
    if not axial:
        jacobian = jacobian[..., [0, 1, 3, 4]]
    variance = (excess_noise * mean.clamp(min=1e-9) + read_noise**2).double()
    information: Tensor = torch.einsum("nyxi,nyxj->nij", jacobian / variance[..., None], jacobian)
    return information


def crlb(
    psf: PSFModel,
    xyz_nm: Tensor,
    photons: Tensor,
    background: Tensor,
    size_px: int,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    axial: bool = True,
) -> Tensor:
    """Smallest standard deviations of unbiased estimates: (N, 5) of x, y, z (nm), photons, background.

    Without `axial` (N, 4), z left out. Parameters as in `fisher_information`.

    Examples
    --------
    Four times the photons halve the error where there is no background:

    >>> import torch
    >>> from autods import OpticalSystem
    >>> from autods.optics import PSF_MODELS, crlb
    >>> psf = PSF_MODELS["gaussian"](OpticalSystem(100.0), sigma_nm=100.0)
    >>> photons = torch.tensor([1000.0, 4000.0])
    >>> bound = crlb(psf, torch.zeros(2, 3), photons, torch.full((2,), 1e-6), 15, axial=False)
    >>> ratio = bound[0, 0] / bound[1, 0]
    >>> bool(3 < bound[0, 0] < 3.6), round(float(ratio), 2)
    (True, 2.0)
    """
    information = fisher_information(
        psf, xyz_nm, photons, background, size_px, read_noise, excess_noise, axial
    )
    # Parameters differ by orders of magnitude: scale before inverting.
    scale = information.diagonal(dim1=1, dim2=2).clamp(min=1e-30).sqrt()
    inverse = torch.linalg.inv(information / (scale[:, :, None] * scale[:, None, :]))
    bounds: Tensor = inverse.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt() / scale
    return bounds.to(torch.float32)
