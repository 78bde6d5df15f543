"""What the fits see of some frames: light above the background, and the noise that the background makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.core import Camera
from autods.estimation.scene import Backdrop

#: The noise under emitters is at least this share of that without them, where the fitted light is negative.
_LEAST_VARIANCE = 0.25
#: Pixels that tell the middle of a block's values, about.
_MEDIAN_PX = 200_000
#: Distance from pixels that are not valid, px.
_CLEAR_PX = 0.5


@dataclass(frozen=True)
class Observation:
    """Frames in photons with what is known of them without the emitters."""

    #: (T, Y, X) photons above the background; 0 where the pixel is not valid.
    light: Tensor
    #: (T, Y, X) expected photons per pixel without emitters.
    background: Tensor
    #: (T, Y, X) variance of the noise without emitters, photons^2, positive.
    variance: Tensor
    #: (T, Y, X) bool: whether a pixel measures light; others carry no information.
    valid: Tensor
    #: Variance that each photon of the emitters adds: excess noise factor over quantum efficiency.
    shot: float

    @classmethod
    def over_scene(
        cls,
        frames: NDArray[Any],
        backdrop: Backdrop,
        camera: Camera,
        *,
        gain_known: bool,
        device: torch.device | str = "cpu",
    ) -> Observation:
        """Take frames (T, Y, X) in camera values over the scene that was measured.

        Parameters
        ----------
        frames
            (T, Y, X) camera values.
        backdrop
            The scene of these frames.
        camera
            Turns them into photons.
        gain_known
            Whether it does so truly; if not, the noise of the emitters' light is taken to be in proportion to
            that of the level's.
        device
            Where to compute.
        """

        def photons(values: NDArray[Any]) -> Tensor:
            return camera.to_photons(torch.from_numpy(np.asarray(values, np.float32)).to(device))

        valid = torch.from_numpy(backdrop.valid).to(device)
        background = photons(backdrop.background)
        values = np.asarray(frames, np.float32)
        light = photons(values if frames.dtype.kind in "ui" else np.nan_to_num(values)).sub_(background)
        variance = (torch.from_numpy(backdrop.noise).to(device) * camera.photons_per_adu) ** 2
        shot = camera.excess_noise_factor / camera.qe
        if not gain_known:
            # Of a long row of numbers every so many tell the middle as well.
            step = max(1, variance.numel() // _MEDIAN_PX)
            middle = [values.flatten()[::step].median() for values in (variance, background)]
            shot = max(float(middle[0] / middle[1].clamp_min(1e-3)), 1e-3)
        return cls(light.masked_fill_(~valid, 0), background, variance, valid, shot)

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

    @classmethod
    def of_light(cls, light: Tensor, noise_std: Tensor, camera: Camera) -> Observation:
        """Take light (T, Y, X) in photons without any background, under noise of that deviation (T,)."""
        return cls(
            light,
            torch.zeros_like(light),
            noise_std.square()[:, None, None].expand_as(light).contiguous(),
            torch.ones_like(light, dtype=torch.bool),
            camera.excess_noise_factor / camera.qe,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Observation]) -> Observation:
        """Join frames of one movie."""
        return cls(
            torch.cat([part.light for part in parts]),
            torch.cat([part.background for part in parts]),
            torch.cat([part.variance for part in parts]),
            torch.cat([part.valid for part in parts]),
            parts[0].shot,
        )

    def window(self, y0: int, x0: int, side_px: int) -> Observation:
        """Return a square part of the frames."""
        here = (slice(None), slice(y0, y0 + side_px), slice(x0, x0 + side_px))
        return Observation(
            self.light[here], self.background[here], self.variance[here], self.valid[here], self.shot
        )

    def variance_under(self, light: Tensor) -> Tensor:
        """Return the noise variance (T, Y, X) with emitters' expected light; infinite where not valid."""
        expected = torch.maximum(self.variance + self.shot * light, _LEAST_VARIANCE * self.variance)
        return expected.masked_fill(~self.valid, torch.inf)

    def noise_of_frames(self) -> Tensor:
        """Return (T,) the noise of each frame without emitters: the root of its pixels' mean variance."""
        variance: Tensor = self.variance.masked_fill(~self.valid, torch.nan).nanmean((1, 2))
        return variance.sqrt()

    def less(self, light: Tensor) -> Observation:
        """Return what is left when emitters' expected light (T, Y, X) is taken away; its noise stays."""
        return Observation(
            (self.light - light).masked_fill(~self.valid, 0),
            self.background,
            self.variance,
            self.valid,
            self.shot,
        )

    def is_clear(
        self, frame: NDArray[np.int64], x_px: NDArray[np.float64], y_px: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell (N,) which positions lie among pixels that measure light, half a pixel on all sides.

        Nearer to a border that was cut off, most of what is found is the tail of an emitter beyond.

        Parameters
        ----------
        frame
            (N,) frames, from 0.
        x_px, y_px
            (N,) corner pixels.
        """
        valid = self.valid.cpu().numpy()
        height, width = valid.shape[1:]
        good = np.ones(len(frame), bool)
        for dy in (-_CLEAR_PX, _CLEAR_PX):
            for dx in (-_CLEAR_PX, _CLEAR_PX):
                rows = np.floor(y_px + dy).astype(np.int64).clip(0, height - 1)
                columns = np.floor(x_px + dx).astype(np.int64).clip(0, width - 1)
                good &= valid[frame, rows, columns]
        return good

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.light)

    def select(self, frames: NDArray[np.int64]) -> Observation:
        """Select frames (F,) in ascending order; those that follow each other are not copied."""
        if len(frames) and frames[-1] - frames[0] == len(frames) - 1:
            return self[int(frames[0]) : int(frames[-1]) + 1]
        return self[torch.from_numpy(frames).to(self.light.device)]

    def __getitem__(self, frames: slice | Tensor) -> Observation:
        """Select frames."""
        return Observation(
            self.light[frames],
            self.background[frames],
            self.variance[frames],
            self.valid[frames],
            self.shot,
        )
