"""Gaussian PSFs, integrated over the pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autods.core import UserError


def pixel_integrals(centre_nm: Tensor, sigma_nm: Tensor, size_px: int, pixel_size_nm: float) -> Tensor:
    """Integrals (N, size_px) over pixels of unit 1D Gaussians with centres and sigmas (N,).

    Examples
    --------
    >>> import torch
    >>> light = pixel_integrals(torch.tensor([0.0]), torch.tensor([100.0]), 5, 100.0)
    >>> [round(value, 3) for value in light[0].tolist()]
    [0.061, 0.242, 0.383, 0.242, 0.061]
    """
    edge = (torch.arange(size_px + 1, device=centre_nm.device) - size_px / 2) * pixel_size_nm
    scaled = (edge - centre_nm[:, None]) / (sigma_nm[:, None] * 2**0.5)
    return 0.5 * torch.erf(scaled).diff(dim=1)


class GaussianPSF(nn.Module):
    """Gaussian of constant width: a 2D microscope near its focus.

    Parameters
    ----------
    pixel_size_nm
        Camera pixel in the sample, nm.
    sigma_nm
        Standard deviation, nm.
    """

    def __init__(self, pixel_size_nm: float, sigma_nm: float) -> None:
        super().__init__()
        self.pixel_size_nm, self.sigma_nm = pixel_size_nm, sigma_nm

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        sigma = torch.full_like(xyz_nm[:, 0], self.sigma_nm)
        across = pixel_integrals(xyz_nm[:, 0], sigma, size_px, self.pixel_size_nm)
        down = pixel_integrals(xyz_nm[:, 1], sigma, size_px, self.pixel_size_nm)
        return down[:, :, None] * across[:, None, :]


@dataclass(frozen=True)
class DefocusCurve:
    """Width of a Gaussian PSF against z along one axis.

    ``sigma(z)^2 = sigma_0^2 (1 + t^2 + a t^3 + b t^4)`` with ``t = (z - focus) / depth`` (Huang et al.,
    Science 319, 810 (2008)). Raises `UserError` if width or depth are not positive.
    """

    #: Width in focus, nm.
    sigma_nm: float
    #: z of this axis' focus, nm.
    focus_nm: float
    #: Focal depth, nm.
    depth_nm: float
    #: Coefficients a and b.
    cubic: float = 0.0
    quartic: float = 0.0

    def __post_init__(self) -> None:
        if not (self.sigma_nm > 0 and self.depth_nm > 0):
            raise UserError(f"psf: sigma {self.sigma_nm} and depth {self.depth_nm} nm must both be above 0")

    def __call__(self, z_nm: Tensor) -> Tensor:
        """Width in nm at z (any shape); kept above 30 % of the width in focus where the polynomial dips."""
        t = (z_nm - self.focus_nm) / self.depth_nm
        square = 1 + t**2 + self.cubic * t**3 + self.quartic * t**4
        return self.sigma_nm * square.clamp(min=0.09).sqrt()


class AstigmaticGaussianPSF(nn.Module):
    """Elliptical Gaussian whose widths along x and y follow two defocus curves.

    Parameters
    ----------
    pixel_size_nm
        Camera pixel in the sample, nm.
    x, y
        Curves of the widths along x and y.
    """

    def __init__(self, pixel_size_nm: float, x: DefocusCurve, y: DefocusCurve) -> None:
        super().__init__()
        self.pixel_size_nm, self.x, self.y = pixel_size_nm, x, y

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        z = xyz_nm[:, 2]
        across = pixel_integrals(xyz_nm[:, 0], self.x(z), size_px, self.pixel_size_nm)
        down = pixel_integrals(xyz_nm[:, 1], self.y(z), size_px, self.pixel_size_nm)
        return down[:, :, None] * across[:, None, :]


class GaussianHelixPSF(nn.Module):
    """Two Gaussian lobes that turn about each other with depth: an idealized double helix.

    Raises `UserError` if a width or a distance is not positive, or the turn is 0.

    Parameters
    ----------
    pixel_size_nm
        Camera pixel in the sample, nm.
    sigma_nm
        Standard deviation of a lobe, nm.
    separation_nm
        Distance of the lobes, nm.
    angle_deg
        Direction from one lobe to the other at z = 0, degrees from the x towards the y axis.
    turn_nm
        Depth over which the lobes turn by 180 degrees, nm; negative for the other sense.
    """

    def __init__(
        self, pixel_size_nm: float, sigma_nm: float, separation_nm: float, angle_deg: float, turn_nm: float
    ) -> None:
        super().__init__()
        if not (sigma_nm > 0 and separation_nm > 0) or turn_nm == 0:
            raise UserError("psf: sigma_nm and separation_nm must be above 0, and turn_nm not 0")
        self.pixel_size_nm, self.sigma_nm, self.separation_nm = pixel_size_nm, sigma_nm, separation_nm
        self.angle_deg, self.turn_nm = angle_deg, turn_nm

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        angle = math.radians(self.angle_deg) + math.pi * xyz_nm[:, 2] / self.turn_nm
        arm = 0.5 * self.separation_nm * torch.stack([angle.cos(), angle.sin()], 1)
        sigma = torch.full_like(angle, self.sigma_nm)
        lobes = []
        for place in (xyz_nm[:, :2] + arm, xyz_nm[:, :2] - arm):
            across, down = (
                pixel_integrals(centre, sigma, size_px, self.pixel_size_nm) for centre in place.unbind(1)
            )
            lobes.append(down[:, :, None] * across[:, None, :])
        return 0.5 * (lobes[0] + lobes[1])
