"""Matrix (zoom) Fourier transform from the pupil to camera pixels, and their exact integration.

A pupil of bounded aperture gives a band-limited image, so its values at a spacing below
``wavelength / (4 NA)`` hold everything: integration over the pixel and a Gaussian blur are one small matrix
acting on these samples, whose entries follow from the filter's spectrum.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Pixels kept around the field for the tails of the integration kernel, besides three blur widths.
_TAIL_PX = 4
_QUADRATURE = 96


def oversampling_for(pixel_size_nm: float, wavelength_nm: float, na: float) -> int:
    """Samples a pixel needed to represent the intensity without aliasing (at least 1).

    Examples
    --------
    >>> [oversampling_for(pixel_nm, wavelength_nm=660.0, na=1.4) for pixel_nm in (100.0, 160.0)]
    [1, 2]
    """
    return max(1, math.ceil(pixel_size_nm * 4 * na / wavelength_nm - 1e-6))


def margin_for(blur_sigma_nm: float, pixel_size_nm: float) -> int:
    """Extra pixels on each side that a blurred image needs."""
    return _TAIL_PX + math.ceil(3 * blur_sigma_nm / pixel_size_nm)


def sample_positions(size_px: int, margin_px: int, oversampling: int, pixel_size_nm: float) -> Tensor:
    """Positions (F,) in nm of the fine samples of a field of `size_px` pixels centred on 0."""
    count = (size_px + 2 * margin_px) * oversampling
    spacing = pixel_size_nm / oversampling
    return (torch.arange(count, dtype=torch.float32) - (count - 1) / 2) * spacing


def fourier_matrix(na_axis: Tensor, positions_nm: Tensor, wavelength_nm: float | Tensor) -> Tensor:
    """Kernel exp(-2 pi i u x / wavelength), (..., F, P) for positions (..., F) and pupil samples (P,)."""
    angle = (-2 * math.pi / wavelength_nm) * positions_nm[..., :, None] * na_axis
    return torch.complex(torch.cos(angle), torch.sin(angle))


def integration_matrix(
    size_px: int, margin_px: int, oversampling: int, pixel_size_nm: float, blur_sigma_nm: Tensor | float
) -> Tensor:
    """Weights (S, F) that turn fine intensity samples into pixel integrals of the blurred intensity.

    Entry (j, k) is ``Delta * int_{-B}^{B} p sinc(f p) exp(-2 pi^2 sigma^2 f^2) cos(2 pi f (x_j - x_k)) df``
    with pixel p, sample spacing Delta and B = 1 / (2 Delta): the band-limited kernel of a pixel-wide box
    convolved with a Gaussian. Differentiable in `blur_sigma_nm`.
    """
    sigma = torch.as_tensor(blur_sigma_nm, dtype=torch.float32) / pixel_size_nm
    device = sigma.device
    count = (size_px + 2 * margin_px) * oversampling
    # The matrix is Toeplitz: evaluate the kernel once per distinct offset x_j - x_k.
    lags = torch.arange(oversampling * (size_px - 1) + count, dtype=torch.float32, device=device)
    offset = (lags - (lags.numel() - 1) / 2) / oversampling
    step = 0.5 * oversampling / _QUADRATURE
    frequency = (torch.arange(_QUADRATURE, dtype=torch.float32, device=device) + 0.5) * step
    spectrum = torch.sinc(frequency) * torch.exp(-2 * (math.pi * sigma * frequency) ** 2)
    waves = torch.cos(2 * math.pi * offset[:, None] * frequency)
    kernel = waves @ spectrum * (2 * step * pixel_size_nm / oversampling)
    j, k = torch.arange(size_px, device=device), torch.arange(count, device=device)
    matrix: Tensor = kernel[oversampling * j[:, None] + (count - 1 - k)]
    return matrix


def energy_scale(pupil_energy: Tensor, na_axis: Tensor, wavelength_nm: float | Tensor) -> Tensor:
    """Factor that makes the intensity density integrate to 1 over the plane (Parseval), 1/nm^2 units.

    Parameters
    ----------
    pupil_energy
        (...) sum of squared pupil samples, any shape.
    na_axis
        (P,) numerical aperture of the samples along one axis.
    wavelength_nm
        Vacuum wavelength, nm.
    """
    cell = (na_axis[1] - na_axis[0]) / wavelength_nm
    return cell**2 / pupil_energy
