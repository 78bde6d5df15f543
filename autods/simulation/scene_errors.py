"""How well background and noise of real frames are known: maps of both, and their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from autods.core import EmitterBatch
from autods.simulation.background import random_field
from autods.simulation.scenes import Scenes
from autods.simulation.simulator import Exposure

#: Photons^2: keeps the noise positive where nothing shines and the camera is ideal.
_LEAST_VARIANCE = 0.1


@dataclass(frozen=True)
class SceneMaps:
    """What a program believes of the frames of ``B`` views."""

    #: (B, 1, Y, X) photons per pixel without emitters.
    background: Tensor
    #: (B, 1, Y, X) its standard deviation, positive.
    noise: Tensor
    #: (B,) PSF standard deviation, px.
    psf_sigma_px: Tensor

    def whiten(self, frames: Tensor) -> Tensor:
        """Return ``(frames - background) / noise`` of (B, C, Y, X) photons."""
        return (frames - self.background) / self.noise


@dataclass(frozen=True)
class SceneErrors:
    """What noise real pixels have besides that of the light, and by how much a measured scene is wrong.

    Each of the errors has its own strength in each view, uniform from 0 to the number given.
    """

    #: Standard deviation of a constant error of the background, in units of the noise.
    level: float = 0.3
    #: Standard deviation of what a structured background leaves, a random field, in units of the noise.
    residue: float = 0.4
    #: Least and largest grain of this field, px.
    grain_px: tuple[float, float] = (2.0, 24.0)
    #: Standard deviation of an error of each pixel's own, in units of the noise.
    pixel: float = 0.25
    #: Share of the light of crowded places that is taken for background.
    occupancy: float = 0.25
    #: Relative standard deviation of the noise's error over the views, and again from place to place.
    noise: float = 0.08
    #: Noise of the pixels themselves, relative to that of the light: median of a log-normal distribution.
    pixel_noise: float = 0.7
    #: Share of the pixels in half of the views that are noisier by 1 to 5 times; the scene knows it of half.
    hot: float = 0.004
    #: Fraction of the views in which an area is not valid: a border, or a rectangle. Noise stands there.
    masked: float = 0.15
    #: Relative standard deviation of the PSF width's error.
    width: float = 0.04

    def observe(
        self, exposure: Exposure, scenes: Scenes, pixel_size_nm: float, generator: torch.Generator
    ) -> tuple[Tensor, SceneMaps, EmitterBatch]:
        """Draw what a program gets to see.

        Parameters
        ----------
        exposure
            Frames (B * C, Y, X) of B views.
        scenes
            Of these frames.
        pixel_size_nm
            Camera pixel, nm.
        generator
            Source of randomness, on the frames' device.

        Returns
        -------
        frames
            (B, C, Y, X) photons.
        maps
            Of the views.
        emitters
            Those of all B * C frames that do not lie where pixels are not valid.
        """
        per_view = scenes.frames_per_view
        photons = exposure.camera.to_photons(exposure.frames)
        frames = photons.view(-1, per_view, *photons.shape[1:])
        truth = exposure.background[::per_view].unsqueeze(1)
        draw = _Draws(generator, len(frames), (truth.shape[2], truth.shape[3]), frames.device)
        read = torch.as_tensor(exposure.camera.read_noise_photons, dtype=frames.dtype, device=frames.device)
        shot = exposure.camera.excess_noise_factor / exposure.camera.qe

        def variance(background: Tensor) -> Tensor:
            return shot * background.clamp_min(0) + read**2 + _LEAST_VARIANCE

        own, known = self._pixel_noise(variance(truth).sqrt(), draw)
        frames = frames + own * draw.normal(*frames.shape)
        noise = (variance(truth) + own**2).sqrt()
        background = truth + noise * self._background_error(frames, truth, noise, draw)
        wrong = draw.strength(self.noise) * (draw.normal(draw.n, 1, 1, 1) + draw.field(self.grain_px))
        believed = (variance(background) + known**2).sqrt() * wrong.exp()
        invalid = self._invalid(draw)
        frames = torch.where(invalid, background + believed * draw.normal(*frames.shape), frames)
        sigma_px = scenes.psf_sigma_nm[::per_view] / pixel_size_nm
        told = sigma_px * torch.exp(self.width * draw.normal(draw.n))
        emitters = _outside(scenes.emitters, invalid.repeat_interleave(per_view, 0)[:, 0], pixel_size_nm)
        return frames, SceneMaps(background, believed, told), emitters

    def _pixel_noise(self, noise: Tensor, draw: _Draws) -> tuple[Tensor, Tensor]:
        """Return the pixels' own noise, and what is known of it."""
        spread = torch.exp(0.4 * draw.normal(draw.n, 1, *draw.shape))
        some = draw.uniform(draw.n, 1, 1, 1) < 0.5
        own = noise * spread * draw.strength(self.pixel_noise) * some
        is_hot = (draw.uniform(draw.n, 1, *draw.shape) < self.hot) & (draw.uniform(draw.n, 1, 1, 1) < 0.5)
        hot = is_hot * noise * (1 + 4 * draw.uniform(draw.n, 1, *draw.shape))
        seen = draw.uniform(draw.n, 1, *draw.shape) < 0.5
        return (own**2 + hot**2).sqrt(), (own**2 + (hot * seen) ** 2).sqrt()

    def _background_error(self, frames: Tensor, truth: Tensor, noise: Tensor, draw: _Draws) -> Tensor:
        """Return the error of the background in units of the noise, (B, 1, Y, X)."""
        light = (frames - truth).mean(1, keepdim=True)
        side = min(9, *draw.shape)
        crowd = F.avg_pool2d(light, side, stride=1, padding=side // 2, count_include_pad=False)
        crowd = crowd[..., : draw.shape[0], : draw.shape[1]].clamp_min(0)
        return (
            draw.strength(self.level) * draw.normal(draw.n, 1, 1, 1)
            + draw.strength(self.residue) * draw.field(self.grain_px)
            + draw.strength(self.pixel) * draw.normal(draw.n, 1, *draw.shape)
            + draw.strength(self.occupancy) * crowd / noise
        )

    def _invalid(self, draw: _Draws) -> Tensor:
        """Return the pixels (B, 1, Y, X) that are not valid: outside of a rectangle, or inside."""
        inside = torch.ones((draw.n, 1, *draw.shape), dtype=torch.bool, device=draw.device)
        border = draw.uniform(draw.n, 1, 1, 1) < 0.5
        for axis, side in enumerate(draw.shape, 2):
            place = torch.arange(side, device=draw.device).view([-1 if n == axis else 1 for n in range(4)])
            ends = draw.uniform(2, draw.n, 1, 1, 1)
            # A valid rectangle leaves out up to a quarter at each end, an invalid one is up to a half.
            low = torch.where(border, 0.25 * ends[0], 0.8 * ends[0]) * side
            high = torch.where(border, (1 - 0.25 * ends[1]) * side, low + 0.5 * ends[1] * side)
            inside &= (place >= low) & (place < high)
        some = draw.uniform(draw.n, 1, 1, 1) < self.masked
        return some & (inside ^ border)


@dataclass(frozen=True)
class _Draws:
    """Random numbers of a batch of views."""

    generator: torch.Generator
    n: int
    shape: tuple[int, int]
    device: torch.device

    def uniform(self, *size: int) -> Tensor:
        return torch.rand(size, generator=self.generator, device=self.device)

    def normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.generator, device=self.device)

    def strength(self, largest: float) -> Tensor:
        """Return (B, 1, 1, 1) numbers up to the largest."""
        return largest * self.uniform(self.n, 1, 1, 1)

    def field(self, grain_px: tuple[float, float]) -> Tensor:
        """Return (B, 1, Y, X) random fields of log-uniform grain."""
        low, high = (math.log(grain) for grain in grain_px)
        grain = torch.exp(low + (high - low) * self.uniform(self.n))
        return random_field(self.shape, grain, self.generator).unsqueeze(1)


def _outside(emitters: EmitterBatch, invalid: Tensor, pixel_size_nm: float) -> EmitterBatch:
    """Leave out the emitters that lie in pixels (B, Y, X) that are not valid."""
    height, width = invalid.shape[1:]
    column, row = (emitters.xyz_nm[..., :2] / pixel_size_nm).floor().long().unbind(-1)
    frame = torch.arange(len(emitters), device=column.device).unsqueeze(1)
    lost = invalid[frame, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    mask = emitters.mask & ~lost
    return EmitterBatch(emitters.xyz_nm, emitters.photons * mask, mask)
