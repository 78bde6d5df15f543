"""Emitters of a batch of frames, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EmitterBatch:
    """True emitters of ``B`` frames, padded to ``K`` slots a frame.

    Padding makes rendering and matching one batched operation; empty slots have ``mask`` False and zero
    photons. Raises `ValueError` if the shapes do not belong together.
    """

    #: (B, K, 3) positions x, y, z in nm, origin at the outer corner of pixel (0, 0).
    xyz_nm: Tensor
    #: (B, K) expected photons of the emitter in this frame.
    photons: Tensor
    #: (B, K) bool, True where the slot holds an emitter.
    mask: Tensor

    def __post_init__(self) -> None:
        if self.xyz_nm.shape != (*self.photons.shape, 3) or self.mask.shape != self.photons.shape:
            raise ValueError(
                f"shapes disagree: xyz_nm {tuple(self.xyz_nm.shape)}, photons {tuple(self.photons.shape)},"
                f" mask {tuple(self.mask.shape)}"
            )

    def __len__(self) -> int:
        """Count the frames."""
        return self.photons.shape[0]

    @property
    def counts(self) -> Tensor:
        """(B,) emitters a frame."""
        return self.mask.sum(1)

    def to(self, device: torch.device | str) -> EmitterBatch:
        """Copy to a device."""
        return EmitterBatch(self.xyz_nm.to(device), self.photons.to(device), self.mask.to(device))

    def __getitem__(self, frames: slice | Tensor) -> EmitterBatch:
        """Select frames by slice, index tensor or mask."""
        return EmitterBatch(self.xyz_nm[frames], self.photons[frames], self.mask[frames])

    def flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return (N,) frame index, (N, 3) positions in nm and (N,) photons of the real emitters, by frame."""
        frame, slot = torch.nonzero(self.mask, as_tuple=True)
        return frame, self.xyz_nm[frame, slot], self.photons[frame, slot]

    @classmethod
    def from_flat(cls, frame: Tensor, xyz_nm: Tensor, photons: Tensor, n_frames: int) -> EmitterBatch:
        """Build from a list of emitters.

        Parameters
        ----------
        frame
            (N,) integer frame index in [0, n_frames), in any order.
        xyz_nm
            (N, 3) positions in nm.
        photons
            (N,) photons.
        n_frames
            Number of frames B.
        """
        order = torch.argsort(frame, stable=True)
        frame, xyz_nm, photons = frame[order], xyz_nm[order], photons[order]
        counts = torch.bincount(frame, minlength=n_frames)
        width = max(int(counts.max()) if len(frame) else 0, 1)
        slot = torch.arange(len(frame), device=frame.device) - (counts.cumsum(0) - counts)[frame]
        xyz = xyz_nm.new_zeros((n_frames, width, 3))
        flux = photons.new_zeros((n_frames, width))
        mask = torch.zeros((n_frames, width), dtype=torch.bool, device=frame.device)
        xyz[frame, slot], flux[frame, slot], mask[frame, slot] = xyz_nm, photons, True
        return cls(xyz, flux, mask)

    @classmethod
    def concatenate(cls, batches: list[EmitterBatch]) -> EmitterBatch:
        """Join batches along the frames, padding all to the widest."""
        width = max(batch.photons.shape[1] for batch in batches)

        def pad(tensor: Tensor) -> Tensor:
            out = tensor.new_zeros((tensor.shape[0], width, *tensor.shape[2:]))
            out[:, : tensor.shape[1]] = tensor
            return out

        return cls(
            torch.cat([pad(batch.xyz_nm) for batch in batches]),
            torch.cat([pad(batch.photons) for batch in batches]),
            torch.cat([pad(batch.mask) for batch in batches]),
        )
