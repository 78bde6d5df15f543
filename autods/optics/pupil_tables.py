"""Tables of many diffraction PSFs of different microscopes at once, on the device of their pupils."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from autods.optics.pupil import sample_pupils
from autods.optics.pupil_psf import vector_fields
from autods.optics.zoom_fourier import energy_scale, fourier_matrix

#: Intensity samples a pixel: enough for pixels up to ``wavelength / NA``.
_FINE = 4
#: Pixels beyond the table for the tails of the blur.
_MARGIN_PX = 4
_QUADRATURE = 96
#: PSFs propagated at once, to bound the memory.
_CHUNK = 8


@dataclass(frozen=True)
class Pupils:
    """N microscopes with an emitter each, tensors (N,) but for the last two."""

    #: As in `OpticalSystem` and `PupilPSF`.
    pixel_size_nm: Tensor
    wavelength_nm: Tensor
    na: Tensor
    n_sample: Tensor
    n_immersion: Tensor
    nfp_nm: Tensor
    blur_sigma_nm: Tensor
    #: (N, P, P), radians and relative to 1.
    phase: Tensor
    amplitude: Tensor

    def __len__(self) -> int:
        """Count the microscopes."""
        return len(self.na)

    def __getitem__(self, rows: slice | Tensor) -> Pupils:
        """Select microscopes."""
        return Pupils(*(getattr(self, field.name)[rows] for field in fields(self)))


@torch.no_grad()
def tabulate_pupils(
    pupils: Pupils, z_nm: Tensor, size_px: int, oversampling: int = 2, *, vectorial: bool = False
) -> Tensor:
    """Sample scalar or vectorial PSFs as `tabulate` does.

    Returns (N, Z, T, T) with T = size_px * oversampling: light within a camera pixel round each sample.

    Parameters
    ----------
    pupils
        The microscopes.
    z_nm
        (N, Z) depths of the slices of each, nm.
    size_px
        Side of the tables in camera pixels.
    oversampling
        Table samples a pixel, 1, 2 or 4.
    vectorial
        Model a freely rotating dipole instead of a scalar field.
    """
    parts = [
        _tabulate(
            pupils[first : first + _CHUNK], z_nm[first : first + _CHUNK], size_px, oversampling, vectorial
        )
        for first in range(0, len(pupils), _CHUNK)
    ]
    return torch.cat(parts)


def _tabulate(pupils: Pupils, z_nm: Tensor, size_px: int, oversampling: int, vectorial: bool) -> Tensor:
    na, n_sample, n_immersion, wavelength = (
        value.double().view(-1, 1, 1)
        for value in (pupils.na, pupils.n_sample, pupils.n_immersion, pupils.wavelength_nm)
    )
    sampled = sample_pupils(na, n_sample, n_immersion, 2 * math.pi / wavelength, pupils.phase.shape[-1])
    pixel = pupils.pixel_size_nm.view(-1, 1, 1)
    count = (size_px + 2 * _MARGIN_PX) * _FINE
    position = (torch.arange(count, device=pixel.device) - (count - 1) / 2) * pixel[:, 0] / _FINE
    kernel = fourier_matrix(sampled["na_axis"], position, wavelength.float())  # (N, F, P)
    constant = pupils.phase - sampled["kz_immersion"] * pupils.nfp_nm.view(-1, 1, 1)
    total = constant[:, None] + sampled["kz_sample"][:, None] * z_nm[:, :, None, None]
    modulus = sampled["aperture"] * pupils.amplitude
    field = torch.polar(modulus[:, None].expand_as(total).contiguous(), total)  # (N, Z, P, P)
    components = torch.ones_like(modulus)[:, None]
    if vectorial:
        sine = torch.hypot(sampled["u"], sampled["v"]) * (na / n_sample).float()
        components = vector_fields(
            sampled["u"], sampled["v"], sine, sampled["cos_sample"], sampled["cos_immersion"],
            n_sample.float(), n_immersion.float(),
        )  # fmt: skip
    intensity, energy = torch.zeros((), device=pixel.device), torch.zeros((), device=pixel.device)
    weight = torch.where(sampled["aperture"] > 0, 1 / sampled["aperture"].clamp(min=1e-6), 0)
    for component in components.unbind(1):
        wave = field * component[:, None]
        energy = energy + ((wave.real.square() + wave.imag.square()) * weight[:, None]).sum((2, 3))
        amplitude = kernel[:, None] @ wave @ kernel[:, None].mT  # (N, Z, Fy, Fx)
        intensity = intensity + amplitude.real.square() + amplitude.imag.square()
    axis = sampled["na_axis"][:, 0]
    cell = energy_scale(torch.ones_like(axis[:, 0]), axis.T, wavelength.float().view(-1))
    weights = _integration(size_px, oversampling, count, pixel, pupils.blur_sigma_nm)[:, None]
    return (weights @ intensity @ weights.mT) * (cell[:, None] / energy)[:, :, None, None]


def _integration(size_px: int, oversampling: int, count: int, pixel_nm: Tensor, blur_nm: Tensor) -> Tensor:
    """Weights (N, T, F) from fine samples to pixel integrals round the table's samples.

    See `autods.optics.zoom_fourier.integration_matrix`, whose samples lie a pixel apart.
    """
    device, samples, stride = pixel_nm.device, size_px * oversampling, _FINE // oversampling
    lags = torch.arange(stride * (samples - 1) + count, dtype=torch.float32, device=device)
    offset = (lags - (lags.numel() - 1) / 2) / _FINE
    step = 0.5 * _FINE / _QUADRATURE
    frequency = (torch.arange(_QUADRATURE, dtype=torch.float32, device=device) + 0.5) * step
    sigma = blur_nm.view(-1, 1) / pixel_nm.view(-1, 1)
    spectrum = torch.sinc(frequency) * torch.exp(-2 * (math.pi * sigma * frequency) ** 2)
    waves = torch.cos(2 * math.pi * offset * frequency[:, None])
    kernel = spectrum @ waves * (2 * step * pixel_nm.view(-1, 1) / _FINE)
    j, k = torch.arange(samples, device=device), torch.arange(count, device=device)
    return kernel[:, stride * j[:, None] + (count - 1 - k)]
