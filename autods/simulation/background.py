"""Background light that is not uniform over the field."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Standard deviation of the beam of `vignetting`, sides of the field.
_BEAM = 0.22
#: Grains of structured backgrounds that are drawn, px.
_GRAINS_PX = (3.0, 24.0)


def background_maps(
    level: Tensor,
    shape: tuple[int, int],
    generator: torch.Generator,
    *,
    gradient: float = 0.3,
    blobs: float = 0.3,
    n_blobs: int = 3,
    blob_px: float = 12.0,
    structure: float = 0.0,
) -> Tensor:
    """Draw background maps: a level, a linear gradient in a random direction, out-of-focus blobs, structure.

    Returns (B, Y, X) photons per pixel, at least 0; without blobs the mean over the frame is about the level.

    Parameters
    ----------
    level
        (B,) mean background, photons per pixel.
    shape
        Rows and columns of a frame.
    generator
        Source of randomness, on the device of ``level``.
    gradient
        Largest relative change from the centre to an edge.
    blobs
        Largest relative amplitude of a blob.
    n_blobs, blob_px
        Blobs a frame, and their standard deviation in pixels.
    structure
        Largest relative deviation of a random field of random grain (see :func:`random_field`).
    """
    n, (height, width), device = len(level), shape, level.device

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=device)

    y = (torch.arange(height, device=device) + 0.5) / height * 2 - 1
    x = (torch.arange(width, device=device) + 0.5) / width * 2 - 1
    slope = gradient * (2 * uniform(2, n, 1, 1) - 1)
    relative = 1 + slope[0] * y.view(1, -1, 1) + slope[1] * x.view(1, 1, -1)
    if n_blobs:
        centre = 2.4 * uniform(2, n, n_blobs, 1) - 1.2
        size = blob_px * (0.5 + uniform(n, n_blobs, 1))
        rows = torch.exp(-0.5 * ((y - centre[0]) * height / 2 / size) ** 2)
        columns = torch.exp(-0.5 * ((x - centre[1]) * width / 2 / size) ** 2)
        amplitude = blobs * uniform(n, n_blobs, 1)
        relative = relative + torch.bmm((rows * amplitude).transpose(1, 2), columns)
    if structure:
        low, high = (math.log(grain) for grain in _GRAINS_PX)
        grain_px = torch.exp(low + (high - low) * uniform(n))
        field = random_field(shape, grain_px, generator)
        relative = relative * (1 + structure * uniform(n, 1, 1) * field).clamp_min(0.05)
    return level.view(-1, 1, 1) * relative.clamp_min(0)


def random_field(shape: tuple[int, int], grain_px: Tensor, generator: torch.Generator) -> Tensor:
    """Draw Gaussian random fields of mean 0 and variance 1: white noise, smoothed.

    Returns (B, Y, X) float32.

    Parameters
    ----------
    shape
        Rows and columns; the fields continue periodically.
    grain_px
        (B,) full width at half maximum of the Gaussian that smooths, pixels.
    generator
        Source of randomness, on the device of ``grain_px``.
    """
    device, std = grain_px.device, grain_px.view(-1, 1, 1) / math.sqrt(8 * math.log(2))
    white = torch.randn((len(grain_px), *shape), generator=generator, device=device)
    rows = torch.fft.fftfreq(shape[0], device=device).view(1, -1, 1)
    columns = torch.fft.rfftfreq(shape[1], device=device).view(1, 1, -1)
    smooth = torch.exp(-2 * (math.pi * std) ** 2 * (rows**2 + columns**2))
    field: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * smooth, s=shape)
    # The variance of the result is the mean square of the whole spectrum; half of it is stored.
    weight = torch.full_like(columns, 2.0)
    weight[..., 0] = 1.0
    if shape[1] % 2 == 0:
        weight[..., -1] = 1.0
    power = (smooth**2 * weight).sum((-2, -1), keepdim=True) / (shape[0] * shape[1])
    field /= power.sqrt()
    return field


def static_pattern(
    shape: tuple[int, int], deviation: float, grain_px: float, generator: torch.Generator
) -> Tensor:
    """Draw the relative brightness (Y, X) of a structured background: 1 on average, nowhere below 0.05.

    Parameters
    ----------
    shape
        Rows and columns.
    deviation
        Standard deviation.
    grain_px
        See :func:`random_field`.
    generator
        Source of randomness.
    """
    field = random_field(shape, torch.tensor([grain_px]), generator)[0]
    return (1 + deviation * field).clamp_min(0.05)


def vignetting(shape: tuple[int, int], edge: float) -> Tensor:
    """Return relative illumination (Y, X) by a Gaussian beam in the middle of the field.

    Parameters
    ----------
    shape
        Rows and columns.
    edge
        Illumination far from the beam, relative to the middle, where it is 1.
    """
    beams = [torch.exp(-0.5 * (((torch.arange(n) + 0.5) / n - 0.5) / _BEAM) ** 2) for n in shape]
    return edge + (1 - edge) * torch.outer(*beams)


def linear_gradient(shape: tuple[int, int], slope: float) -> Tensor:
    """Return relative illumination (Y, X), 1 in the middle, that rises by ``slope`` to the right edge.

    Examples
    --------
    >>> linear_gradient((2, 4), slope=0.2).shape
    torch.Size([2, 4])
    """
    ramp = 1 + slope * (2 * (torch.arange(shape[1]) + 0.5) / shape[1] - 1)
    return ramp.expand(shape).clone()
