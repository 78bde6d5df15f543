"""Frames of many microscopes at once, as a network sees them that is told the PSF."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from autods.core import EmitterBatch
from autods.simulation.background import background_maps
from autods.simulation.random_psfs import PsfLibrary
from autods.simulation.regions import add_regions

#: Emitters a frame at most, and how far outside of it they may lie, px.
_MOST, _EDGE_PX = 128, 10.0
_MAX_DENSITY_PER_UM2 = 2.0


@dataclass(frozen=True)
class SceneRanges:
    """What frames are drawn from."""

    #: Photons of a typical emitter over their standard error, each frame its own; uniform in the logarithm.
    significance: tuple[float, float] = (5.0, 500.0)
    #: Emitters within the area of the PSF (one over the sum of its squares); more at the low end. Limited to
    #: 2 per um^2.
    overlap: tuple[float, float] = (0.005, 1.5)
    #: Photons per pixel, uniform in the logarithm.
    background: tuple[float, float] = (0.3, 300.0)


@dataclass(frozen=True)
class ToldScenes:
    """Frames and their truth."""

    #: (B, Y, X) input of `UniversalNet`.
    frames: Tensor
    weight: Tensor
    #: (P, K, S, S) the planes that the network is told.
    kernels: Tensor
    #: B frames; x and y in pixels, z in planes.
    emitters: EmitterBatch
    #: (B, Y, X) expected light of the emitters over the noise, as `frames`.
    light: Tensor
    #: (P,) rows of the library.
    psf: Tensor


@torch.no_grad()
def draw_scenes(
    library: PsfLibrary,
    psf: Tensor,
    per_psf: int,
    size_px: int,
    ranges: SceneRanges,
    generator: torch.Generator,
) -> ToldScenes:
    """Draw frames.

    Parameters
    ----------
    library
        The PSFs.
    psf
        (P,) which of them.
    per_psf
        Frames of each.
    size_px
        Side of the frames, px.
    ranges
        What to draw from.
    generator
        On the library's device.
    """
    return _Scenes(library, psf, per_psf, size_px, generator).draw(ranges)


class _Scenes:
    """One batch on its way."""

    def __init__(
        self, library: PsfLibrary, psf: Tensor, per_psf: int, size_px: int, generator: torch.Generator
    ) -> None:
        self.library, self.psf, self.per_psf, self.size_px = library, psf, per_psf, size_px
        self.generator, self.device = generator, psf.device
        self.n = len(psf) * per_psf
        self.planes = library.planes[psf]

    def draw(self, ranges: SceneRanges) -> ToldScenes:
        square = self.planes.kernels.square().sum((2, 3)).mean(1)
        level = self._log_uniform(*ranges.background)
        electron_multiplying = self._uniform(self.n) < 0.35
        excess = torch.where(electron_multiplying, 2.0, 1.0).view(-1, 1, 1)
        read = self._read_noise(electron_multiplying)
        background = background_maps(
            level, (self.size_px, self.size_px), self.generator, gradient=0.3, blobs=0.5
        )
        noise = (excess.view(-1) * level + read.square().mean((1, 2))).sqrt()
        emitters, z_nm = self._emitters(ranges, square, noise)
        light = self._render(emitters, z_nm)
        values = self._expose(light + background, read, electron_multiplying)
        return self._told(values, light, background, excess, read, emitters)

    def _uniform(self, *size: int) -> Tensor:
        return torch.rand(size, generator=self.generator, device=self.device)

    def _normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.generator, device=self.device)

    def _log_uniform(self, low: float, high: float) -> Tensor:
        return torch.exp(math.log(low) + math.log(high / low) * self._uniform(self.n))

    def _smooth(self, nodes: int = 6) -> Tensor:
        """Random smooth maps (B, Y, X) of about unit deviation."""
        coarse = self._normal(self.n, 1, nodes, nodes)
        return F.interpolate(coarse, (self.size_px, self.size_px), mode="bicubic")[:, 0] * 1.4

    def _read_noise(self, electron_multiplying: Tensor) -> Tensor:
        """Standard deviations (B, Y, X), photons; some cameras differ from pixel to pixel."""
        level = torch.where(electron_multiplying, 0.3, 2.5) * self._uniform(self.n)
        uneven = 0.4 * (self._uniform(self.n, 1, 1) < 0.3) * ~electron_multiplying.view(-1, 1, 1)
        return level.view(-1, 1, 1) * torch.exp(uneven * self._normal(self.n, self.size_px, self.size_px))

    def _emitters(self, ranges: SceneRanges, square: Tensor, noise: Tensor) -> tuple[EmitterBatch, Tensor]:
        side = self.size_px + 2 * _EDGE_PX
        pixel_um = self.library.pixel_nm[self.psf] * 1e-3
        most = torch.minimum(ranges.overlap[1] * square, _MAX_DENSITY_PER_UM2 * pixel_um**2)
        least = torch.minimum(ranges.overlap[0] * square, most)
        least, most = (value.repeat_interleave(self.per_psf) for value in (least, most))
        density = least + (most - least) * self._uniform(self.n) ** 2
        counts = torch.poisson(density * side**2, generator=self.generator).clamp(max=_MOST)
        mask = torch.arange(_MOST, device=self.device) < counts[:, None]
        xy = self._uniform(self.n, _MOST, 2) * side - _EDGE_PX
        z_nm = self.planes.z_nm.repeat_interleave(self.per_psf, 0)
        z = z_nm[:, :1] + (z_nm[:, -1:] - z_nm[:, :1]) * self._uniform(self.n, _MOST)
        typical = (
            self._log_uniform(*ranges.significance) * noise / square.sqrt().repeat_interleave(self.per_psf)
        )
        photons = typical[:, None] * torch.exp(0.4 * self._normal(self.n, _MOST))
        partial = self._uniform(self.n, _MOST) < 0.25
        photons = torch.where(partial, photons * (0.1 + 0.9 * self._uniform(self.n, _MOST)), photons)
        photons = photons.clamp(20.0, 2e5) * mask
        planes = self.planes.from_nm(z.view(len(self.psf), -1)).view(self.n, _MOST)
        return EmitterBatch(torch.cat([xy, planes[..., None]], 2), photons, mask), z

    def _render(self, emitters: EmitterBatch, z_nm: Tensor) -> Tensor:
        """Expected photons (B, Y, X) of the emitters."""
        frame, slot = torch.nonzero(emitters.mask, as_tuple=True)
        xy = emitters.xyz_nm[frame, slot, :2]
        pixel = xy.floor()
        psf = self.psf[frame // self.per_psf]
        bank = self.library.bank
        images = bank.render(psf, xy - pixel - 0.5, z_nm[frame, slot], bank.size_px).clamp_min(0)
        images = images * emitters.photons[frame, slot][:, None, None]
        return add_regions(images, frame, pixel.long(), self.n, (self.size_px, self.size_px))

    def _expose(self, expected: Tensor, read: Tensor, multiplying: Tensor) -> Tensor:
        """Draw photons, with the excess noise of an EM register and read noise."""
        electrons = torch.poisson(expected, generator=self.generator)
        rows = torch.nonzero(multiplying).squeeze(1)
        amplified = torch._standard_gamma(electrons[rows].clamp_min(1e-3), generator=self.generator)
        electrons[rows] = torch.where(electrons[rows] > 0, amplified, electrons[rows])
        return electrons + read * self._normal(*read.shape)

    def _told(
        self,
        values: Tensor,
        light: Tensor,
        background: Tensor,
        excess: Tensor,
        read: Tensor,
        emitters: EmitterBatch,
    ) -> ToldScenes:
        """Subtract an estimated background and divide by an estimated noise, neither quite right."""
        shape = (self.n, 1, 1)
        noise = (excess * background + read**2).sqrt()
        wrong = 0.15 * self._normal(*shape) + 0.3 * self._uniform(*shape) * self._smooth()
        relative = 0.03 * self._normal(*shape) + 0.04 * self._uniform(*shape) * self._smooth(10)
        swallowed = (
            0.5 * self._uniform(*shape) * (self._uniform(*shape) < 0.5) * light.mean((1, 2), keepdim=True)
        )
        estimate = (background * (1 + relative) + wrong * noise + swallowed).clamp_min(0)
        told_noise = (excess * estimate + read**2 + 0.05).sqrt() * torch.exp(0.07 * self._normal(*shape))
        cut = 24 * self._uniform(*shape) * (self._uniform(*shape) < 0.15)
        valid = torch.arange(self.size_px, device=self.device) >= cut
        emitters = EmitterBatch(
            emitters.xyz_nm, emitters.photons, emitters.mask & (emitters.xyz_nm[..., 0] >= cut[:, :, 0])
        )
        return ToldScenes(
            (values - estimate) / told_noise * valid,
            told_noise.mean((1, 2), keepdim=True) / told_noise * valid,
            self._told_kernels(),
            emitters,
            light / told_noise * valid,
            self.psf,
        )

    def _told_kernels(self) -> Tensor:
        """The planes, half of them with noise and blur as a calibration leaves."""
        kernels, n = self.planes.kernels, len(self.psf)
        doubtful = (self._uniform(n, 1, 1, 1) < 0.5).float()
        noise = F.avg_pool2d(self._normal(*kernels.shape), 3, 1, 1) * 3
        noise = noise * kernels.amax((2, 3), keepdim=True) * 0.02 * self._uniform(n, 1, 1, 1)
        blurred = F.avg_pool2d(kernels, 3, 1, 1)
        share = 0.25 * self._uniform(n, 1, 1, 1) - 0.08
        return (kernels + doubtful * (share * (blurred - kernels) + noise)).clamp_min(0)
