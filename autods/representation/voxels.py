"""Volumes as network output: Gaussian voxels (AutoDS3D) and binary voxels (DeepSTORM3D)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autods.core import EmitterBatch
from autods.networks.losses import blur_volumes, gaussian_kernel, kde_loss, volume_mse
from autods.representation.base import Detections
from autods.representation.volume import VoxelGrid, centroids, local_maxima, neighbourhoods, scatter


class GaussianVoxelRepresentation:
    """Each emitter is a small 3D Gaussian, centred at its true position within the voxel.

    The sub-voxel position is written into the target and read back by a centre of mass, so that voxels as
    large as the camera's pixels suffice and the network needs no upsampling.

    Parameters
    ----------
    pixel_size_nm, z_min_nm, z_max_nm, n_slices, upsampling
        See :class:`~autods.representation.volume.VoxelGrid`.
    amplitude
        Peak of the brightest emitter.
    photons_at_amplitude
        Photons of that emitter: the peaks are proportional to the photons; None gives all emitters the same.
    sigma_vx
        Standard deviation of the Gaussian, voxels.
    radius_vx
        Radius of the cube of voxels that an emitter fills, and of that of the centre of mass.
    """

    def __init__(
        self,
        pixel_size_nm: float,
        z_min_nm: float,
        z_max_nm: float,
        n_slices: int = 81,
        upsampling: int = 1,
        amplitude: float = 800.0,
        photons_at_amplitude: float | None = None,
        sigma_vx: float = 0.65,
        radius_vx: int = 2,
    ) -> None:
        self.grid = VoxelGrid(pixel_size_nm, z_min_nm, z_max_nm, n_slices, upsampling)
        self.pixel_size_nm = pixel_size_nm
        self.amplitude = amplitude
        self.photons_at_amplitude = photons_at_amplitude
        self.sigma_vx = sigma_vx
        self.radius_vx = radius_vx

    def target(self, emitters: EmitterBatch, shape_vx: tuple[int, int]) -> Tensor:
        """Render volumes (B, Z, uY, uX) of the emitters inside them; overlapping Gaussians add up."""
        frame, zyx, photons = self.grid.inside(emitters, shape_vx)
        height = torch.full_like(photons, self.amplitude)
        if self.photons_at_amplitude is not None:
            height = height * photons / self.photons_at_amplitude
        shape = (len(emitters), self.grid.n_slices, *shape_vx)
        near = neighbourhoods(frame, zyx.detach().floor().long(), self.radius_vx, shape)
        distance = near.zyx + 0.5 - zyx.unsqueeze(1)
        weight = torch.exp(-0.5 * (distance / self.sigma_vx).square().sum(-1))
        return scatter(weight * height.unsqueeze(1), near, shape)

    def loss(
        self,
        output: Tensor,
        emitters: EmitterBatch,
        background: Tensor | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return the term ``mse``, see :func:`~autods.networks.losses.volume_mse`."""
        target = self.target(emitters, (output.shape[2], output.shape[3]))
        n_px = output.shape[2] * output.shape[3] // self.grid.upsampling**2
        return {"mse": volume_mse(output / self.amplitude, target / self.amplitude, n_px)}

    def decode(self, output: Tensor, threshold: float) -> Detections:
        """Find emitters in volumes.

        Detections are the voxels highest among their 26 neighbours. The confidence is the mass of these 27
        voxels in units of an emitter of the full amplitude, which, unlike the height of the peak, hardly
        depends on where in the voxel the emitter lies. The position is the centre of mass. Returns
        `Detections`, with ``z_nm``; by image, then slice, row and column.

        Parameters
        ----------
        output
            (B, Z, uY, uX) network output.
        threshold
            Smallest confidence.
        """
        unit = _unit_mass(self.sigma_vx)
        # The lowest peak of an emitter of that confidence, in the corner of its voxel.
        lowest = threshold * self.amplitude * math.exp(-0.375 / self.sigma_vx**2) * 0.9
        frame, voxel = local_maxima(output, max(lowest, 1e-6 * self.amplitude))
        mass, _ = centroids(output, frame, voxel, 1)
        confidence = mass / (unit * self.amplitude)
        keep = confidence >= threshold
        frame, voxel, confidence = frame[keep], voxel[keep], confidence[keep]
        _, offset = centroids(output, frame, voxel, self.radius_vx)
        return self.grid.detections(frame, voxel + 0.5 + offset, confidence)


class BinaryVoxelRepresentation:
    """Each emitter is the one voxel that holds it; compared through a 3D Gaussian kernel.

    Parameters
    ----------
    pixel_size_nm, z_min_nm, z_max_nm, n_slices, upsampling
        See :class:`~autods.representation.volume.VoxelGrid`.
    amplitude
        Value of a voxel with an emitter.
    sigma_vx
        Standard deviation of the kernel of the loss, voxels.
    radius_vx
        Radius of the cube of the centre of mass, voxels.
    """

    def __init__(
        self,
        pixel_size_nm: float,
        z_min_nm: float,
        z_max_nm: float,
        n_slices: int = 81,
        upsampling: int = 4,
        amplitude: float = 800.0,
        sigma_vx: float = 1.0,
        radius_vx: int = 2,
    ) -> None:
        self.grid = VoxelGrid(pixel_size_nm, z_min_nm, z_max_nm, n_slices, upsampling)
        self.pixel_size_nm = pixel_size_nm
        self.amplitude = amplitude
        self.sigma_vx = sigma_vx
        self.radius_vx = radius_vx

    def target(self, emitters: EmitterBatch, shape_vx: tuple[int, int]) -> Tensor:
        """Return volumes (B, Z, uY, uX) of ``amplitude`` where emitters are, 0 elsewhere."""
        frame, zyx, _ = self.grid.inside(emitters, shape_vx)
        z, y, x = zyx.floor().long().unbind(-1)
        shape = (len(emitters), self.grid.n_slices, *shape_vx)
        volume = torch.zeros(shape, device=zyx.device, dtype=zyx.dtype)
        volume[frame, z, y, x] = self.amplitude
        return volume

    def loss(
        self,
        output: Tensor,
        emitters: EmitterBatch,
        background: Tensor | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return the term ``kde``, see :func:`~autods.networks.losses.kde_loss`."""
        target = self.target(emitters, (output.shape[2], output.shape[3]))
        n_px = output.shape[2] * output.shape[3] // self.grid.upsampling**2
        return {"kde": kde_loss(output / self.amplitude, target / self.amplitude, self._kernel(), n_px)}

    def decode(self, output: Tensor, threshold: float) -> Detections:
        """Find emitters in volumes.

        The volume is blurred with the kernel of the loss, since that is what training compared; detections
        are the voxels highest among their 26 neighbours, their height, in units of the amplitude, is the
        confidence. The position is the centre of mass of the volume itself. Returns `Detections`, with
        ``z_nm``; by image, then slice, row and column.

        Parameters
        ----------
        output
            (B, Z, uY, uX) network output.
        threshold
            Smallest confidence.
        """
        smooth = blur_volumes(output, self._kernel()) / self.amplitude
        frame, voxel = local_maxima(smooth, max(threshold, 1e-6))
        z, y, x = voxel.unbind(-1)
        _, offset = centroids(output, frame, voxel, self.radius_vx)
        return self.grid.detections(frame, voxel + 0.5 + offset, smooth[frame, z, y, x])

    def _kernel(self) -> Tensor:
        return gaussian_kernel(self.sigma_vx, max(1, round(3 * self.sigma_vx)))


def _unit_mass(sigma_vx: float) -> float:
    """Sum over 3^3 voxels of a Gaussian of peak 1, averaged between its extreme positions in the voxel."""
    centre = 1 + 2 * math.exp(-0.5 / sigma_vx**2)
    corner = 2 * math.exp(-0.125 / sigma_vx**2) + math.exp(-1.125 / sigma_vx**2)
    return (0.5 * (centre + corner)) ** 3
