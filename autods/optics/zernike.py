"""Zernike polynomials in Noll's order, orthonormal over the unit disc."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def noll_to_nm(index: int) -> tuple[int, int]:
    """Radial order n and signed azimuthal order m of Noll's index (1-based).

    Positive m means cosine, negative sine (Noll, J. Opt. Soc. Am. 66, 207 (1976)). Raises `ValueError` if the
    index is below 1.

    Examples
    --------
    >>> [noll_to_nm(index) for index in (1, 4, 5, 11)]
    [(0, 0), (2, 0), (2, -2), (4, 0)]
    """
    if index < 1:
        raise ValueError(f"Noll's index counts from 1, got {index}")
    n = (math.isqrt(8 * index - 7) - 1) // 2
    rest = index - n * (n + 1) // 2 - 1
    m = 2 * ((rest + 1) // 2) if n % 2 == 0 else 2 * (rest // 2) + 1
    return n, m if index % 2 == 0 else -m


def radial(n: int, m: int, rho: Tensor) -> Tensor:
    """Radial polynomial R_n^|m| at `rho` (any shape), 1 at rho = 1 (Noll 1976, eq. 2).

    Examples
    --------
    >>> import torch
    >>> radial(2, 0, torch.tensor([0.0, 1.0])).tolist()
    [-1.0, 1.0]
    """
    m = abs(m)
    out = torch.zeros_like(rho)
    for k in range((n - m) // 2 + 1):
        coefficient = (-1) ** k * math.comb(n - k, k) * math.comb(n - 2 * k, (n - m) // 2 - k)
        out = out + coefficient * rho ** (n - 2 * k)
    return out


def zernike(index: int, u: Tensor, v: Tensor) -> Tensor:
    """Zernike polynomial of Noll's index at pupil coordinates (any shape), unit rms over the disc.

    Parameters
    ----------
    index
        Noll's index, from 1 (piston); 2 is tilt along x, 3 along y, 4 defocus, 5 and 6 astigmatism.
    u, v
        Pupil coordinates along x and y in units of the pupil's radius.

    Examples
    --------
    >>> import torch
    >>> zernike(2, torch.tensor([0.5]), torch.tensor([0.0])).tolist()
    [1.0]
    """
    n, m = noll_to_nm(index)
    rho, phi = torch.hypot(u, v), torch.atan2(v, u)
    angular = torch.cos(m * phi) if m >= 0 else torch.sin(-m * phi)
    norm = math.sqrt(n + 1) * (math.sqrt(2) if m else 1.0)
    return norm * radial(n, m, rho) * angular


def zernike_basis(indices: list[int], u: Tensor, v: Tensor) -> Tensor:
    """Stack of polynomials (len(indices), *u.shape); see `zernike`."""
    return torch.stack([zernike(index, u.double(), v.double()).to(u.dtype) for index in indices])


def zernike_name(index: int) -> str:
    """Short common name of a mode, or its orders.

    >>> zernike_name(11), zernike_name(37)
    ('spherical', 'Z(8, 0)')
    """
    names = {
        1: "piston",
        2: "tilt x",
        3: "tilt y",
        4: "defocus",
        5: "oblique astigmatism",
        6: "vertical astigmatism",
        7: "vertical coma",
        8: "horizontal coma",
        9: "vertical trefoil",
        10: "oblique trefoil",
        11: "spherical",
    }
    return names.get(index, "Z({}, {})".format(*noll_to_nm(index)))
