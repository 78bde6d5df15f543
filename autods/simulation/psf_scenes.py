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

#: Emitters a frame and a run of frames at most, and how far outside of them they may lie, px.
_MOST, _MOST_OF_RUN, _EDGE_PX = 128, 384, 10.0
#: Share of runs in which every emitter is on for one whole frame, and the least part of a frame that counts.
_ALONE, _LEAST_ON = 0.2, 0.1
_MAX_DENSITY_PER_UM2 = 2.0


@dataclass(frozen=True)
class SceneRanges:
    """What frames are drawn from."""

    #: Photons of a typical emitter over their standard error, each run its own; uniform in the logarithm.
    significance: tuple[float, float] = (5.0, 500.0)
    #: Emitters within the area of the PSF (one over the sum of its squares); more at the low end. Limited to
    #: 2 per um^2.
    overlap: tuple[float, float] = (0.005, 1.5)
    #: Photons per pixel, uniform in the logarithm.
    background: tuple[float, float] = (0.3, 300.0)
    #: Mean on-time of the emitters, frames, each run its own; uniform in the logarithm.
    on_frames: tuple[float, float] = (0.4, 8.0)


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
    """Draw runs of frames, in which emitters blink over one background.

    Parameters
    ----------
    library
        The PSFs.
    psf
        (P,) which of them.
    per_psf
        Frames of a run: each PSF has one, or as often as it is named.
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
        self.runs, self.n = len(psf), len(psf) * per_psf
        self.planes = library.planes[psf]

    def draw(self, ranges: SceneRanges) -> ToldScenes:
        square = self.planes.kernels.square().sum((2, 3)).mean(1)
        level = self._log_uniform(*ranges.background)
        electron_multiplying = self._uniform(self.runs) < 0.35
        excess = torch.where(electron_multiplying, 2.0, 1.0)
        read = self._read_noise(electron_multiplying)
        background = background_maps(
            level, (self.size_px, self.size_px), self.generator, gradient=0.3, blobs=0.5
        )
        noise = (excess * level + read.square().mean((1, 2))).sqrt()
        emitters, z_nm = self._emitters(ranges, square, noise)
        light = self._render(emitters, z_nm)
        excess, read, background, electron_multiplying = (
            self._per_frame(value) for value in (excess, read, background, electron_multiplying)
        )
        values = self._expose(light + background, read, electron_multiplying)
        return self._told(values, light, background, excess.view(-1, 1, 1), read, emitters)

    def _per_frame(self, values: Tensor) -> Tensor:
        """Repeat what runs (P, ...) have in common for their frames (B, ...)."""
        return values.repeat_interleave(self.per_psf, 0)

    def _uniform(self, *size: int) -> Tensor:
        return torch.rand(size, generator=self.generator, device=self.device)

    def _normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.generator, device=self.device)

    def _log_uniform(self, low: float, high: float) -> Tensor:
        return torch.exp(math.log(low) + math.log(high / low) * self._uniform(self.runs))

    def _smooth(self, nodes: int = 6) -> Tensor:
        """Random smooth maps (P, Y, X) of about unit deviation."""
        coarse = self._normal(self.runs, 1, nodes, nodes)
        return F.interpolate(coarse, (self.size_px, self.size_px), mode="bicubic")[:, 0] * 1.4

    def _read_noise(self, electron_multiplying: Tensor) -> Tensor:
        """Standard deviations (P, Y, X), photons; some cameras differ from pixel to pixel."""
        level = torch.where(electron_multiplying, 0.3, 2.5) * self._uniform(self.runs)
        uneven = 0.4 * (self._uniform(self.runs, 1, 1) < 0.3) * ~electron_multiplying.view(-1, 1, 1)
        return level.view(-1, 1, 1) * torch.exp(uneven * self._normal(self.runs, self.size_px, self.size_px))

    def _emitters(self, ranges: SceneRanges, square: Tensor, noise: Tensor) -> tuple[EmitterBatch, Tensor]:
        side, slots = self.size_px + 2 * _EDGE_PX, (self.runs, _MOST_OF_RUN)
        pixel_um = self.library.pixel_nm[self.psf] * 1e-3
        most = torch.minimum(ranges.overlap[1] * square, _MAX_DENSITY_PER_UM2 * pixel_um**2)
        least = torch.minimum(ranges.overlap[0] * square, most)
        density = least + (most - least) * self._uniform(self.runs) ** 2
        share = self._share_on(density * side**2, self._log_uniform(*ranges.on_frames))
        xy = self._uniform(*slots, 2) * side - _EDGE_PX
        z_nm = self.planes.z_nm
        z = z_nm[:, :1] + (z_nm[:, -1:] - z_nm[:, :1]) * self._uniform(*slots)
        typical = self._log_uniform(*ranges.significance) * noise / square.sqrt()
        spread = 0.2 + 0.6 * self._uniform(self.runs, 1)
        rate = typical[:, None] * torch.exp(spread * self._normal(*slots))
        place = torch.cat([xy, self.planes.from_nm(z)[..., None]], 2)
        # Of each frame, those that are on, in front.
        on = torch.argsort((share > 0).byte(), dim=1, descending=True, stable=True)[:, :_MOST]
        share = share.gather(1, on)
        mask = share > 0
        photons = (self._per_frame(rate).gather(1, on) * share).clamp(20.0, 2e5) * mask
        place = self._per_frame(place).gather(1, on[..., None].expand(-1, -1, 3))
        return EmitterBatch(place, photons, mask), self._per_frame(z).gather(1, on)

    def _share_on(self, per_frame: Tensor, on_frames: Tensor) -> Tensor:
        """Draw (B, slots) the part of each frame for which emitters are on, 0 where not or hardly.

        Parameters
        ----------
        per_frame
            (P,) expected emitters that are on during a frame, if only for part of it.
        on_frames
            (P,) their mean on-time.
        """
        length, slots = self.per_psf, (self.runs, _MOST_OF_RUN)
        alone, on_frames = self._uniform(self.runs, 1) < _ALONE, on_frames[:, None]
        # An event of mean duration d touches d + 1 frames; a run of n frames sees d + n of n + d.
        expected = torch.where(alone, length, (on_frames + length) / (on_frames + 1)) * per_frame[:, None]
        counts = torch.poisson(expected, generator=self.generator)
        is_there = torch.arange(_MOST_OF_RUN, device=self.device) < counts
        # Those that are on at the beginning stay on as long as others from their start.
        before = self._uniform(*slots) < on_frames / (on_frames + length)
        start = torch.where(before & ~alone, 0.0, self._uniform(*slots) * length)
        start = torch.where(alone, start.floor(), start)
        duration = -on_frames * torch.log1p(-self._uniform(*slots))
        stop = start + torch.where(alone, 1.0, duration)
        frame = torch.arange(length, device=self.device).view(1, -1, 1)
        share = torch.minimum(stop[:, None], frame + 1.0) - torch.maximum(start[:, None], frame.float())
        return torch.where((share >= _LEAST_ON) & is_there[:, None], share, 0.0).flatten(0, 1)

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
        shape = (self.runs, 1, 1)
        noise = (excess * background + read**2).sqrt()
        wrong = 0.15 * self._normal(*shape) + 0.3 * self._uniform(*shape) * self._smooth()
        relative = 0.03 * self._normal(*shape) + 0.04 * self._uniform(*shape) * self._smooth(10)
        mean_light = light.reshape(self.runs, -1).mean(1).view(shape)
        swallowed = 0.5 * self._uniform(*shape) * (self._uniform(*shape) < 0.5) * mean_light
        cut = 24 * self._uniform(*shape) * (self._uniform(*shape) < 0.15)
        misjudged = torch.exp(0.07 * self._normal(*shape))
        wrong, relative, swallowed, cut, misjudged = (
            self._per_frame(value) for value in (wrong, relative, swallowed, cut, misjudged)
        )
        estimate = (background * (1 + relative) + wrong * noise + swallowed).clamp_min(0)
        told_noise = (excess * estimate + read**2 + 0.05).sqrt() * misjudged
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
