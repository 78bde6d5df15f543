"""Emitters, background and noise of frames, drawn before the frames are rendered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import EmitterBatch


@dataclass(frozen=True)
class Scenes:
    """Physical content of ``B`` frames."""

    #: The emitters of the frames; those outside the field still send light into it.
    emitters: EmitterBatch
    #: (B,) mean background, photons per pixel.
    background: Tensor
    #: (B,) in-focus PSF standard deviation, nm; renderers of one given PSF do not look at it.
    psf_sigma_nm: Tensor
    #: (B,) standard deviation of normal noise besides shot noise and the camera's own, photons; None for
    #: none.
    noise_std: Tensor | None = None
    #: This many consecutive frames show one field of view: the PSF and the background's pattern, where they
    #: are drawn at random, are the same in them.
    frames_per_view: int = 1

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.emitters)

    def __getitem__(self, frames: slice) -> Scenes:
        """Select frames by slice; with several frames a view, whole views."""
        noise = None if self.noise_std is None else self.noise_std[frames]
        return Scenes(
            self.emitters[frames],
            self.background[frames],
            self.psf_sigma_nm[frames],
            noise,
            self.frames_per_view,
        )

    def to(self, device: torch.device | str) -> Scenes:
        """Copy to a device."""
        noise = None if self.noise_std is None else self.noise_std.to(device)
        return Scenes(
            self.emitters.to(device),
            self.background.to(device),
            self.psf_sigma_nm.to(device),
            noise,
            self.frames_per_view,
        )
