"""Grids of voxels over the field, and operations on few voxels of large, nearly empty volumes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import EmitterBatch, UserError
from autods.core.grid import nm_to_px
from autods.representation.base import Detections

_Shape = tuple[int, int, int, int]

#: Voxels that are looked at at once: a network that has not learnt yet fills its volumes, and the memory.
_CHUNK_VX = 250_000


@dataclass(frozen=True)
class VoxelGrid:
    """Voxels of ``pixel_size_nm / upsampling`` laterally and ``(z_max_nm - z_min_nm) / n_slices`` axially.

    Raises `UserError` if the range or a number is not positive.
    """

    #: Camera pixel of the network's input, nm.
    pixel_size_nm: float
    #: Axial range, outer faces of the first and the last slice, nm.
    z_min_nm: float
    z_max_nm: float
    #: Slices D.
    n_slices: int
    #: Voxels per camera pixel and lateral axis.
    upsampling: int = 1

    def __post_init__(self) -> None:
        if not self.z_max_nm > self.z_min_nm:
            raise UserError(
                f"psf.z_max_nm={self.z_max_nm} is not above psf.z_min_nm={self.z_min_nm}: correct the range"
            )
        if self.n_slices < 1 or self.upsampling < 1:
            raise UserError(
                f"voxels: n_slices={self.n_slices} and upsampling={self.upsampling} must be at least 1"
            )

    @property
    def slice_nm(self) -> float:
        """Thickness of a slice, nm."""
        return (self.z_max_nm - self.z_min_nm) / self.n_slices

    def inside(self, emitters: EmitterBatch, shape_vx: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return frame (N,), position z, y, x in voxels (N, 3) and photons (N,) of the emitters inside."""
        frame, xyz_nm, photons = emitters.flat()
        x, y = nm_to_px(xyz_nm[:, :2] * self.upsampling, self.pixel_size_nm).unbind(-1)
        zyx = torch.stack([(xyz_nm[:, 2] - self.z_min_nm) / self.slice_nm, y, x], -1)
        limit = zyx.new_tensor([self.n_slices, *shape_vx])
        keep = ((zyx >= 0) & (zyx < limit)).all(-1)
        return frame[keep], zyx[keep], photons[keep]

    def detections(self, frame: Tensor, zyx_vx: Tensor, confidence: Tensor) -> Detections:
        """Make detections of positions (N, 3) in voxels: z, y, x, the corner of voxel 0 at 0."""
        z, y, x = zyx_vx.unbind(-1)
        z_nm = self.z_min_nm + z * self.slice_nm
        return Detections(frame, x / self.upsampling, y / self.upsampling, confidence, z_nm=z_nm)


@dataclass(frozen=True)
class Neighbourhoods:
    """Voxels of cubes round N voxels."""

    #: (N, M, 3) their indices.
    zyx: Tensor
    #: (N, M) index into the flattened batch of volumes; 0 where the voxel lies outside.
    flat: Tensor
    #: (N, M) whether the voxel lies inside.
    exists: Tensor


def neighbourhoods(frame: Tensor, voxel: Tensor, radius: int, shape: _Shape) -> Neighbourhoods:
    """Return the cubes of side ``2 * radius + 1`` round voxels.

    Parameters
    ----------
    frame
        (N,) index of the volume.
    voxel
        (N, 3) z, y, x indices of the centres.
    radius
        Radius of the cubes.
    shape
        (B, Z, Y, X) of the volumes.
    """
    _, depth, height, width = shape
    line = range(-radius, radius + 1)
    cube = torch.tensor(list(itertools.product(line, line, line)), device=voxel.device)
    zyx = voxel.unsqueeze(1) + cube
    z, y, x = zyx.unbind(-1)
    exists = ((zyx >= 0) & (zyx < zyx.new_tensor([depth, height, width]))).all(-1)
    flat = ((frame.unsqueeze(1) * depth + z) * height + y) * width + x
    return Neighbourhoods(zyx, flat * exists, exists)


def scatter(values: Tensor, near: Neighbourhoods, shape: _Shape) -> Tensor:
    """Add values (N, M) of neighbourhoods into empty volumes (B, Z, Y, X), dropping what lies outside."""
    volume = values.new_zeros(shape).flatten()
    return volume.index_add(0, near.flat.flatten(), (values * near.exists).flatten()).view(shape)


def local_maxima(volume: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return frame (N,) and z, y, x (N, 3) of the voxels over a threshold that are highest in their 3^3.

    Only voxels over the threshold are looked at, which is far cheaper than a maximum filter of the whole
    volume. Of equal neighbours the first in memory is taken.

    Parameters
    ----------
    volume
        (B, Z, Y, X).
    threshold
        Smallest height.
    """
    place = torch.nonzero(volume >= threshold)
    highest = [_is_highest(volume, part) for part in torch.split(place, _CHUNK_VX)]
    place = place[torch.cat(highest)]
    return place[:, 0], place[:, 1:]


def _is_highest(volume: Tensor, place: Tensor) -> Tensor:
    """Tell (N,) which voxels, given by frame, z, y, x (N, 4), are highest in their 3^3."""
    batch, depth, height, width = volume.shape
    near = neighbourhoods(place[:, 0], place[:, 1:], 1, (batch, depth, height, width))
    values = volume.flatten()[near.flat].masked_fill(~near.exists, -torch.inf)
    middle = values.shape[1] // 2
    own = values[:, middle : middle + 1]
    return (own > values[:, :middle]).all(1) & (own >= values[:, middle:]).all(1)


def centroids(volume: Tensor, frame: Tensor, voxel: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return mass (N,) and centre of mass (N, 3) z, y, x, in voxels from the middle, of cubes round voxels.

    Parameters
    ----------
    volume
        (B, Z, Y, X); negative values count as 0.
    frame, voxel
        (N,) and (N, 3) centres of the cubes.
    radius
        Radius of the cubes.
    """
    batch, depth, height, width = volume.shape
    near = neighbourhoods(frame, voxel, radius, (batch, depth, height, width))
    values = volume.flatten()[near.flat].relu() * near.exists
    mass = values.sum(1)
    offset = (near.zyx - voxel.unsqueeze(1)).to(values.dtype)
    return mass, (values.unsqueeze(-1) * offset).sum(1) / mass.clamp_min(1e-12).unsqueeze(1)
