"""Background light that is not uniform over the field."""

from __future__ import annotations

import torch
from torch import Tensor


def background_maps(
    level: Tensor,
    shape: tuple[int, int],
    generator: torch.Generator,
    *,
    gradient: float = 0.3,
    blobs: float = 0.3,
    n_blobs: int = 3,
    blob_px: float = 12.0,
) -> Tensor:
    """Draw background maps: a level, a linear gradient in a random direction, and out-of-focus blobs.

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

    Returns
    -------
    Tensor
        (B, Y, X) photons per pixel, at least 0; without blobs the mean over the frame is the level.
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
    return level.view(-1, 1, 1) * relative.clamp_min(0)
