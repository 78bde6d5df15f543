"""What the fits see of some frames: light above the background, and the noise that the background makes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import Camera


@dataclass(frozen=True)
class Observation:
    """Frames in photons with what is known of them without the emitters.

    Parameters
    ----------
    light
        (T, Y, X) photons above the background; 0 where the pixel is not valid.
    background
        (T, Y, X) expected photons per pixel without emitters.
    variance
        (T, Y, X) variance of the noise without emitters, photons^2, positive.
    valid
        (T, Y, X) bool: whether a pixel measures light; others carry no information.
    shot
        Variance that each photon of the emitters adds: excess noise factor over quantum efficiency.
    """

    light: Tensor
    background: Tensor
    variance: Tensor
    valid: Tensor
    shot: float

    @classmethod
    def over_level(
        cls, frames: Tensor, camera: Camera, background: Tensor | float | None = None
    ) -> Observation:
        """Take frames (T, Y, X) in photons over a background that is known or one level a frame.

        Parameters
        ----------
        frames
            (T, Y, X) photons, see `Camera.to_photons`.
        camera
            Noise model: variance ``F * photons / qe + read_noise^2``.
        background
            Photons per pixel, broadcast to the frames; None for the median of each frame.
        """
        if background is None:
            background = frames.flatten(1).median(1).values[:, None, None] if len(frames) else 0.0
        level = torch.as_tensor(background, dtype=torch.float32, device=frames.device).expand_as(frames)
        read = torch.as_tensor(camera.read_noise_photons, dtype=torch.float32, device=frames.device)
        shot = camera.excess_noise_factor / camera.qe
        return cls(
            frames - level,
            level,
            shot * level.clamp_min(0.1) + read**2,
            torch.ones_like(frames, dtype=torch.bool),
            shot,
        )

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.light)

    def __getitem__(self, frames: slice) -> Observation:
        """Select frames."""
        return Observation(
            self.light[frames],
            self.background[frames],
            self.variance[frames],
            self.valid[frames],
            self.shot,
        )
