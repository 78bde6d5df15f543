"""Samples: where the molecules of a simulated cell sit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

#: Filaments per 100 um^2 of field, distance of the molecules along one, and diameter of the tube of labels.
PER_100_UM2, SPACING_NM, TUBE_NM = 12.0, 12.0, 25.0


@dataclass(frozen=True)
class Sample:
    """Molecules of a sample."""

    #: (N, 3) positions, nm, in the movie's coordinates.
    xyz_nm: Tensor
    #: (N,) relative rate at which each molecule switches on.
    activity: Tensor
    #: (N,) relative photon rate of each molecule.
    brightness: Tensor

    def __len__(self) -> int:
        """Count the molecules."""
        return len(self.xyz_nm)

    @classmethod
    def of(cls, xyz_nm: Tensor) -> Sample:
        """Make a sample of equally active, equally bright molecules at (N, 3), nm."""
        ones = torch.ones(len(xyz_nm))
        return cls(xyz_nm, ones, ones)


def uniform(width_nm: float, height_nm: float, generator: torch.Generator, n: int = 20_000) -> Sample:
    """Molecules anywhere in the field.

    Examples
    --------
    >>> import torch
    >>> len(uniform(3000.0, 3000.0, torch.Generator().manual_seed(0), n=50).xyz_nm)
    50
    """
    xy = torch.rand((n, 2), generator=generator) * torch.tensor([width_nm, height_nm])
    return Sample.of(_flat(xy))


def filaments(
    width_nm: float,
    height_nm: float,
    generator: torch.Generator,
    *,
    per_100_um2: float = PER_100_UM2,
    spacing_nm: float = SPACING_NM,
    tube_nm: float = TUBE_NM,
) -> Sample:
    """Microtubule-like filaments: persistent random walks across the field, labelled on a thin tube."""
    path, heading = walks(width_nm, height_nm, generator, per_100_um2, spacing_nm)
    n, steps = heading.shape
    around = 2 * math.pi * torch.rand((n, steps), generator=generator)
    normal = torch.stack([-heading.sin(), heading.cos()], -1)
    xy = path + tube_nm / 2 * around.cos().unsqueeze(-1) * normal
    xyz = torch.cat([xy, (tube_nm / 2 * around.sin()).unsqueeze(-1)], -1).view(-1, 3)
    return Sample.of(inside(xyz, width_nm, height_nm))


def walks(
    width_nm: float, height_nm: float, generator: torch.Generator, per_100_um2: float, spacing_nm: float
) -> tuple[Tensor, Tensor]:
    """Persistent random walks (persistence length 15 um) that start in the field and may leave it.

    Returns ``path, heading``: (N, S, 2) x and y in nm, and (N, S) directions in radians.
    """
    n = max(1, round(per_100_um2 * width_nm * height_nm * 1e-8))
    steps = int(1.5 * math.hypot(width_nm, height_nm) / spacing_nm)
    field = torch.tensor([width_nm, height_nm])
    start = torch.rand((n, 1, 2), generator=generator) * field
    turn = torch.randn((n, steps), generator=generator) * math.sqrt(spacing_nm / 15_000)
    heading = 2 * math.pi * torch.rand((n, 1), generator=generator) + turn.cumsum(1)
    path = start + spacing_nm * torch.stack([heading.cos(), heading.sin()], -1).cumsum(1)
    return path, heading


def mitochondria(
    width_nm: float,
    height_nm: float,
    generator: torch.Generator,
    *,
    per_100_um2: float = 14.0,
    n_molecules: int = 1500,
) -> Sample:
    """Mitochondria-like bodies: bent capsules 0.4 um thick and 1-4 um long, labelled on the membrane."""
    n = max(1, round(per_100_um2 * width_nm * height_nm * 1e-8))
    shape = (n, n_molecules)

    def unit(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    length = 1000 + 3000 * unit(n, 1)
    radius = 160 + 100 * unit(n, 1)
    along = (unit(*shape) - 0.5) * length
    around = 2 * math.pi * unit(*shape)
    # The radius falls to zero at the ends, as on an ellipsoid of that axis.
    local = radius * (1 - (2 * along / length) ** 2).clamp_min(0).pow(0.25)
    bend = (unit(n, 1) - 0.5) / length
    across = local * around.cos() + bend * along**2
    angle = 2 * math.pi * unit(n, 1)
    centre = unit(n, 1, 2) * torch.tensor([width_nm, height_nm])
    x = centre[..., 0] + along * angle.cos() - across * angle.sin()
    y = centre[..., 1] + along * angle.sin() + across * angle.cos()
    xyz = torch.stack([x, y, local * around.sin()], -1).view(-1, 3)
    return Sample.of(inside(xyz, width_nm, height_nm))


def rings(
    width_nm: float,
    height_nm: float,
    generator: torch.Generator,
    *,
    per_um2: float = 3.0,
    radius_nm: float = 53.5,
    n_corners: int = 8,
    n_labels: int = 4,
) -> Sample:
    """Nuclear-pore-like rings: eight corners on a circle of 107 nm diameter, a few labels each."""
    n = max(1, round(per_um2 * width_nm * height_nm * 1e-6))
    centre = torch.rand((n, 1, 2), generator=generator) * torch.tensor([width_nm, height_nm])
    turn = 2 * math.pi * torch.rand((n, 1), generator=generator)
    angle = turn + 2 * math.pi * torch.arange(n_corners) / n_corners
    corner = centre + radius_nm * torch.stack([angle.cos(), angle.sin()], -1)
    spread = 5.0 * torch.randn((n, n_corners, n_labels, 2), generator=generator)
    xy = (corner.unsqueeze(2) + spread).view(-1, 2)
    return Sample.of(inside(_flat(xy), width_nm, height_nm))


def clusters(
    width_nm: float,
    height_nm: float,
    generator: torch.Generator,
    *,
    per_um2: float = 1.0,
    radius_nm: float = 60.0,
    n_molecules: int = 40,
) -> Sample:
    """Gaussian clusters at random places."""
    n = max(1, round(per_um2 * width_nm * height_nm * 1e-6))
    centre = torch.rand((n, 1, 2), generator=generator) * torch.tensor([width_nm, height_nm])
    spread = radius_nm * torch.randn((n, n_molecules, 2), generator=generator)
    return Sample.of(inside(_flat((centre + spread).view(-1, 2)), width_nm, height_nm))


def vary(sample: Sample, width_nm: float, activity: Tensor, brightness: Tensor) -> Sample:
    """Let activity and brightness differ from place to place.

    Returns the same molecules with the factors of their cell.

    Parameters
    ----------
    sample
        Molecules of a square field.
    width_nm
        Side of the field, nm.
    activity, brightness
        (n, n) factors on a grid of equal cells, rows along y.
    """
    n = activity.shape[0]
    column, row = (sample.xyz_nm[:, :2] / width_nm * n).long().clamp(0, n - 1).unbind(1)
    return Sample(
        sample.xyz_nm, sample.activity * activity[row, column], sample.brightness * brightness[row, column]
    )


#: Structures by name: functions of width and height (nm), a generator, and settings of their own.
STRUCTURES: Mapping[str, Callable[..., Sample]] = {
    "uniform": uniform,
    "filaments": filaments,
    "mitochondria": mitochondria,
    "rings": rings,
    "clusters": clusters,
}


def _flat(xy: Tensor) -> Tensor:
    return torch.cat([xy, torch.zeros(len(xy), 1)], 1)


def inside(xyz: Tensor, width_nm: float, height_nm: float) -> Tensor:
    """Return the rows of (N, 3) positions, nm, that lie in the field."""
    x, y = xyz[:, 0], xyz[:, 1]
    return xyz[(x >= 0) & (x < width_nm) & (y >= 0) & (y < height_nm)]
