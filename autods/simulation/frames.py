"""Expected light on the camera: emitters times PSF."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from autods.simulation.scenes import Scenes


class FrameRenderer(Protocol):
    """Renders the emitters of scenes, without background and noise."""

    def __call__(self, scenes: Scenes, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Return (B, Y, X) expected photons of the emitters.

        ``generator`` serves renderers that draw, say, aberrations.
        """
        ...


class GaussianRenderer:
    """Pixel-integrated Gaussian PSF that widens with defocus: ``sigma(z) = sigma0 * sqrt(1 + (z / d)^2)``.

    Parameters
    ----------
    pixel_size_nm
        Camera pixel, nm.
    depth_nm
        d, the defocus at which the width has grown by sqrt(2), nm.
    """

    def __init__(self, pixel_size_nm: float, depth_nm: float = 400.0) -> None:
        self.pixel_size_nm = pixel_size_nm
        self.depth_nm = depth_nm

    def __call__(
        self,
        scenes: Scenes,
        shape: tuple[int, int],
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        """Return (B, Y, X) expected photons; see :class:`FrameRenderer`."""
        emitters = scenes.emitters
        x_nm, y_nm, z_nm = emitters.xyz_nm.unbind(-1)
        sigma_nm = scenes.psf_sigma_nm.unsqueeze(1) * (1 + (z_nm / self.depth_nm) ** 2).sqrt()
        rows = pixel_integrals(y_nm, sigma_nm, shape[0], self.pixel_size_nm)
        columns = pixel_integrals(x_nm, sigma_nm, shape[1], self.pixel_size_nm)
        return torch.bmm((rows * emitters.photons.unsqueeze(-1)).transpose(1, 2), columns)


def pixel_integrals(centre_nm: Tensor, sigma_nm: Tensor, n_px: int, pixel_size_nm: float) -> Tensor:
    """Integrate a normal density over each pixel of a line.

    Returns (..., n_px) probabilities.

    Parameters
    ----------
    centre_nm, sigma_nm
        (...) centre and standard deviation, nm.
    n_px
        Number of pixels; pixel i spans [i, i + 1] * pixel_size_nm.
    pixel_size_nm
        Side of a pixel, nm.

    Examples
    --------
    >>> import torch
    >>> light = pixel_integrals(torch.tensor([150.0]), torch.tensor([50.0]), 3, 100.0)
    >>> [round(value, 3) for value in light[0].tolist()]
    [0.157, 0.683, 0.157]
    """
    edges = torch.arange(n_px + 1, device=centre_nm.device, dtype=centre_nm.dtype) * pixel_size_nm
    scaled = (edges - centre_nm.unsqueeze(-1)) / (sigma_nm.unsqueeze(-1) * math.sqrt(2))
    return 0.5 * torch.erf(scaled).diff(dim=-1)
