"""Many tabulated PSFs of different microscopes, rendered together by cubic B-splines."""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor

from autods.optics.spline import cubic_bspline


class SplineBank:
    """N tables of one shape; each emitter names the table that renders it.

    Parameters
    ----------
    tables
        (N, Z, T, T) as from `tabulate_pupils`, taken as zero outside.
    z_start_nm, z_step_nm
        (N,) depth of the first slice and distance of the slices, nm.
    oversampling
        Table samples a camera pixel.
    """

    def __init__(self, tables: Tensor, z_start_nm: Tensor, z_step_nm: Tensor, oversampling: int = 2) -> None:
        self.coefficients = coefficients(tables)
        self.z_start_nm, self.z_step_nm = z_start_nm, z_step_nm
        self.oversampling = oversampling

    def __len__(self) -> int:
        """Count the PSFs."""
        return len(self.coefficients)

    @property
    def size_px(self) -> int:
        """Side of the tables, camera pixels."""
        return (self.coefficients.shape[-1] - 4) // self.oversampling

    def to(self, device: torch.device | str) -> SplineBank:
        """Copy to a device."""
        other = copy.copy(self)
        other.coefficients = self.coefficients.to(device)
        other.z_start_nm, other.z_step_nm = self.z_start_nm.to(device), self.z_step_nm.to(device)
        return other

    def replace(self, rows: Tensor, other: SplineBank) -> None:
        """Put the PSFs of another bank in the place of some of these, whose indices are (M,)."""
        self.coefficients[rows] = other.coefficients
        self.z_start_nm[rows], self.z_step_nm[rows] = other.z_start_nm, other.z_step_nm

    def render(self, psf: Tensor, xy_px: Tensor, z_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters.

        Returns (E, S, S) expected photons of an emitter of one photon.

        Parameters
        ----------
        psf
            (E,) which PSF.
        xy_px
            (E, 2) position from the region's centre, camera pixels.
        z_nm
            (E,) depth, nm; beyond the table that of its end.
        size_px
            Side of the regions, px.
        """
        depth, rows, columns = self.coefficients.shape[1:]
        node = ((z_nm - self.z_start_nm[psf]) / self.z_step_nm[psf]).clamp(0, depth - 3) + 1
        first = node.floor().clamp(1, depth - 3).long() - 1
        taps = first[:, None] + torch.arange(4, device=psf.device)
        weights = cubic_bspline(node[:, None] - taps)
        flat = self.coefficients.view(-1, rows * columns)
        index = psf[:, None] * depth + taps
        slices = torch.nn.functional.embedding_bag(index, flat, per_sample_weights=weights, mode="sum")
        across = self._shift(xy_px[:, 0], size_px, columns)
        down = self._shift(xy_px[:, 1], size_px, rows)
        images: Tensor = down @ slices.view(-1, rows, columns) @ across.mT
        return images

    def _shift(self, centre_px: Tensor, size_px: int, count: int) -> Tensor:
        """Spline weights (E, S, count) from table samples to pixels, emitters at `centre_px` (E,)."""
        pixel = torch.arange(size_px, device=centre_px.device) - (size_px - 1) / 2
        sample = torch.arange(count, device=centre_px.device) - (count - 1) / 2
        place = (pixel[:, None] * self.oversampling) - sample
        return cubic_bspline(place - (centre_px * self.oversampling)[:, None, None])


def coefficients(tables: Tensor) -> Tensor:
    """B-spline coefficients (N, Z + 2, T + 4, T + 4) of tables (N, Z, T, T).

    Axially the second derivative vanishes at the ends; laterally the spline ends at zero.
    """
    axial = _axial_filter(tables.shape[1]).to(tables)
    lateral = _lateral_filter(tables.shape[2]).to(tables)
    filtered = torch.einsum("cz,nzyx->ncyx", axial, tables)
    result: Tensor = lateral @ filtered @ lateral.T
    return result


@lru_cache
def _axial_filter(count: int) -> Tensor:
    """Matrix (count + 2, count) from values to coefficients of a natural spline."""
    system = torch.zeros(count + 2, count + 2, dtype=torch.float64)
    for row in range(count):
        system[row + 1, row : row + 3] = torch.tensor([1 / 6, 4 / 6, 1 / 6], dtype=torch.float64)
    ends = torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)
    system[0, :3], system[-1, -3:] = ends, ends
    inverse: Tensor = torch.linalg.inv(system)
    return inverse[:, 1:-1]


@lru_cache
def _lateral_filter(count: int) -> Tensor:
    """Matrix (count + 4, count) from values to coefficients; two border samples on each side are zero."""
    padded = count + 4
    system = torch.diag(torch.full((padded,), 4 / 6, dtype=torch.float64))
    system += torch.diag(torch.full((padded - 1,), 1 / 6, dtype=torch.float64), 1)
    system += torch.diag(torch.full((padded - 1,), 1 / 6, dtype=torch.float64), -1)
    inverse: Tensor = torch.linalg.inv(system)
    return inverse[:, 2:-2]
