"""What a 3D localizer is trained for, and scenes drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import EmitterBatch, UserError
from autods.simulation.conditions import Spread
from autods.simulation.positions import uniform_positions
from autods.simulation.scenes import Scenes


@dataclass(frozen=True)
class VolumeConditions:
    """Ranges of emitters, depth, photons and noise; all draws are uniform within them.

    Raises `UserError` if a range is reversed.
    """

    #: Depths of the emitters, nm.
    z_min_nm: float
    z_max_nm: float
    #: Photons of an emitter.
    photons: tuple[float, float]
    #: Camera pixel, nm.
    pixel_size_nm: float = 100.0
    #: Emitters a frame, whole numbers, both included.
    n_emitters: tuple[int, int] = (1, 35)
    #: Emitters stay this far from the frame's edge, px; a negative number lets them lie that far outside, so
    #: that their PSFs reach in.
    edge_px: float = 20.0
    #: Mean background, photons per pixel; it is exposed to shot noise.
    background: tuple[float, float] = (0.0, 0.0)
    #: Standard deviation of normal noise on top, photons: read noise, or what a background that was
    #: subtracted left behind.
    noise_std: tuple[float, float] = (0.0, 0.0)
    #: Width of the PSF in focus, nm; only for the SNR that is reported.
    psf_sigma_nm: float = 130.0
    #: Half of the emitters are dimmer than ``photons``: down to this number, uniform in the logarithm, as of
    #: molecules that are on for a part of the exposure; None for no such emitters.
    dimmest_photons: float | None = None

    def __post_init__(self) -> None:
        ranges = {name: getattr(self, name) for name in ("photons", "n_emitters", "background", "noise_std")}
        ranges["z_min_nm and z_max_nm"] = (self.z_min_nm, self.z_max_nm)
        for name, (low, high) in ranges.items():
            if low > high:
                raise UserError(f"conditions.{name}: {low} is above {high}: give the lower number first")
        dimmest, least = self.dimmest_photons, self.photons[0]
        if dimmest is not None and not 0 < dimmest <= least:
            raise UserError(f"conditions.dimmest_photons={dimmest}: give a number from 0 to {least}")

    def sample(
        self, n_frames: int, size_px: int, generator: torch.Generator, *, crowding: float = 1.0
    ) -> Scenes:
        """Draw scenes for square frames.

        Raises `UserError` if no room is left between the edges.

        Parameters
        ----------
        n_frames
            Number of frames B.
        size_px
            Side of a frame, camera pixels.
        generator
            Source of randomness.
        crowding
            Factor on the number of emitters.
        """
        low_nm, high_nm = (n * self.pixel_size_nm for n in (self.edge_px, size_px - self.edge_px))
        if not high_nm > low_nm:
            raise UserError(
                f"frames of {size_px} px have no room {self.edge_px} px from the edge:"
                " make data.size_px larger or conditions.edge_px smaller"
            )
        fewest, most = (int(n) for n in self.n_emitters)
        counts = torch.randint(fewest, most + 1, (n_frames, 1), generator=generator)
        if crowding != 1.0:
            counts = (counts * crowding + torch.rand((n_frames, 1), generator=generator)).long()
        n_slots = max(int(counts.max()), 1)
        mask = torch.arange(n_slots) < counts
        xy = uniform_positions(n_frames, n_slots, low_nm, high_nm, generator)
        z = _uniform((self.z_min_nm, self.z_max_nm), (n_frames, n_slots, 1), generator)
        photons = self._photons((n_frames, n_slots), generator) * mask
        emitters = EmitterBatch(torch.cat([xy, z], -1) * mask.unsqueeze(-1), photons, mask)
        return Scenes(
            emitters,
            _uniform(self.background, (n_frames,), generator),
            torch.full((n_frames,), self.psf_sigma_nm),
            _uniform(self.noise_std, (n_frames,), generator) if self.noise_std[1] > 0 else None,
        )

    def _photons(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        bright = _uniform(self.photons, shape, generator)
        if self.dimmest_photons is None:
            return bright
        low, high = math.log(self.dimmest_photons), math.log(self.photons[0])
        dim = _uniform((low, high), shape, generator).exp()
        return torch.where(torch.rand(shape, generator=generator) < 0.5, dim, bright)

    def density_per_um2(self, size_px: int) -> Spread:
        """Emitters per um^2 where they may lie, in frames of a given side."""
        area_um2 = ((size_px - 2 * self.edge_px) * self.pixel_size_nm * 1e-3) ** 2
        low, high = (n / area_um2 for n in self.n_emitters)
        return Spread(0.5 * (low + high), low, high)

    @property
    def snr(self) -> Spread:
        """Peak amplitude in focus over the noise's standard deviation, dimmest to brightest.

        The peak is that of a Gaussian of ``psf_sigma_nm``; the noise is at least that of one photon.
        """
        share = 1 / (2 * math.pi * (self.psf_sigma_nm / self.pixel_size_nm) ** 2)
        quiet, loud = (
            math.sqrt(max(background + std**2, 1.0))
            for background, std in zip(self.background, self.noise_std, strict=True)
        )
        low, high = share * self.photons[0] / loud, share * self.photons[1] / quiet
        return Spread(0.5 * (low + high), low, high)


def _uniform(limits: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(shape, generator=generator)
