"""Samples that fill the depth of field: filaments at all heights, the nuclear envelope and its pores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from autods.simulation.structures import PER_100_UM2, SPACING_NM, TUBE_NM, Sample, inside, walks

#: Largest slope of a filament: rise over lateral length.
_STEEPEST = 0.25
#: Pores per um^2 of surface, radius of their two rings, and distance of the inner from the outer one.
_PORES_PER_UM2, _RADIUS_NM, _RINGS_NM = 3.0, 53.5, 50.0


def microtubules(
    width_nm: float,
    height_nm: float,
    z_min_nm: float,
    z_max_nm: float,
    generator: torch.Generator,
    *,
    per_100_um2: float = PER_100_UM2,
    tube_nm: float = TUBE_NM,
) -> Sample:
    """Filaments at all heights, each of its own slope, labelled on a thin tube.

    Parameters
    ----------
    width_nm, height_nm
        Field, nm.
    z_min_nm, z_max_nm
        Depths, nm; a filament that reaches one turns back.
    generator
        Source of randomness.
    per_100_um2
        Filaments per 100 um^2 of field.
    tube_nm
        Diameter of the tube with its labels, nm.
    """
    path, heading = walks(width_nm, height_nm, generator, per_100_um2, SPACING_NM)
    n, steps = heading.shape
    span = z_max_nm - z_min_nm
    slope = _STEEPEST * (2 * torch.rand((n, 1), generator=generator) - 1)
    rise = span * torch.rand((n, 1), generator=generator) + slope * SPACING_NM * torch.arange(steps)
    folded = torch.remainder(rise, 2 * span)
    z = z_min_nm + torch.where(folded < span, folded, 2 * span - folded)
    around = 2 * math.pi * torch.rand((n, steps), generator=generator)
    normal = torch.stack([-heading.sin(), heading.cos()], -1)
    xy = path + tube_nm / 2 * around.cos().unsqueeze(-1) * normal
    z = (z + tube_nm / 2 * around.sin()).clamp(z_min_nm, z_max_nm)
    xyz = torch.cat([xy, z.unsqueeze(-1)], -1).view(-1, 3)
    return Sample.of(inside(xyz, width_nm, height_nm))


def lamina(
    width_nm: float,
    height_nm: float,
    z_min_nm: float,
    z_max_nm: float,
    generator: torch.Generator,
    *,
    per_um2: float = 300.0,
    thickness_nm: float = 15.0,
) -> Sample:
    """Nuclear lamina: an ellipsoidal shell that fills nine tenths of the field and of the depths.

    Parameters
    ----------
    width_nm, height_nm, z_min_nm, z_max_nm, generator
        See :func:`microtubules`.
    per_um2
        Molecules per um^2 of surface.
    thickness_nm
        Standard deviation of the distance from the surface, nm.
    """
    centre, axes = _nucleus(width_nm, height_nm, z_min_nm, z_max_nm)
    n = max(1, round(per_um2 * _surface_um2(axes)))
    surface, normal = _on_ellipsoid(axes, n, generator)
    return Sample.of(centre + surface + thickness_nm * torch.randn((n, 1), generator=generator) * normal)


def nuclear_pores(
    width_nm: float,
    height_nm: float,
    z_min_nm: float,
    z_max_nm: float,
    generator: torch.Generator,
    *,
    n_labels: int = 2,
) -> Sample:
    """Nuclear pores on the envelope of :func:`lamina`: two rings of eight corners, tangential to it.

    Parameters
    ----------
    width_nm, height_nm, z_min_nm, z_max_nm, generator
        See :func:`microtubules`.
    n_labels
        Molecules at each corner, 5 nm (standard deviation) from it.
    """
    centre, axes = _nucleus(width_nm, height_nm, z_min_nm, z_max_nm)
    n = max(1, round(_PORES_PER_UM2 * _surface_um2(axes)))
    surface, normal = _on_ellipsoid(axes, n, generator)
    helper = torch.eye(3)[normal.abs().argmin(1)]
    first = torch.nn.functional.normalize(torch.linalg.cross(normal, helper), dim=1)
    second = torch.linalg.cross(normal, first)
    turn = 2 * math.pi * torch.rand((n, 1), generator=generator)
    angle = (turn + 2 * math.pi * torch.arange(8) / 8).unsqueeze(-1)
    ring = _RADIUS_NM * (angle.cos() * first.unsqueeze(1) + angle.sin() * second.unsqueeze(1))
    side = _RINGS_NM * torch.tensor([-0.5, 0.5]).view(1, 2, 1, 1) * normal.view(n, 1, 1, 3)
    corner = centre + surface.view(n, 1, 1, 3) + side + ring.unsqueeze(1)
    spread = 5.0 * torch.randn((n, 2, 8, n_labels, 3), generator=generator)
    return Sample.of((corner.unsqueeze(3) + spread).view(-1, 3))


#: Structures by name, as configurations call them.
STRUCTURES_3D: Mapping[str, Callable[[float, float, float, float, torch.Generator], Sample]] = {
    "microtubules": microtubules,
    "lamina": lamina,
    "nuclear_pores": nuclear_pores,
}


def _nucleus(width_nm: float, height_nm: float, z_min_nm: float, z_max_nm: float) -> tuple[Tensor, Tensor]:
    """Return centre and half axes (3,) of the nucleus, nm."""
    box = torch.tensor([width_nm, height_nm, z_max_nm - z_min_nm])
    return box / 2 + torch.tensor([0.0, 0.0, z_min_nm]), 0.45 * box


def _surface_um2(axes_nm: Tensor) -> float:
    """Surface of an ellipsoid by Thomsen's formula, which is good to about 1 %."""
    a, b, c = (axes_nm * 1e-3).tolist()
    p = 1.6075
    return float(4 * math.pi * (((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3) ** (1 / p))


def _on_ellipsoid(axes_nm: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return points (n, 3) uniform on the surface of an ellipsoid at the origin, and their outward normals.

    Uniform directions on the sphere, stretched, are kept in proportion to the local stretch of the area,
    ``|direction / axes|``.
    """
    points = torch.zeros(0, 3)
    while len(points) < n:
        direction = torch.nn.functional.normalize(torch.randn((4 * n, 3), generator=generator), dim=1)
        stretch = (direction / axes_nm).norm(dim=1) * axes_nm.min()
        points = torch.cat([points, direction[torch.rand(4 * n, generator=generator) < stretch]])
    surface = points[:n] * axes_nm
    return surface, torch.nn.functional.normalize(surface / axes_nm**2, dim=1)
