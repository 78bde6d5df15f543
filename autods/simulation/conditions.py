"""Imaging conditions that a network is trained for, and scenes drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import EmitterBatch
from autods.simulation.positions import filament_positions, uniform_positions
from autods.simulation.scenes import Scenes


@dataclass(frozen=True)
class Spread:
    """A quantity with a centre and limits: half of the draws lie in [low, centre], half in [centre, high].

    Raises
    ------
    ValueError
        If not low <= centre <= high.
    """

    centre: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.centre <= self.high:
            raise ValueError(f"a spread needs low <= centre <= high, got {self}")

    def sample(self, n: int, generator: torch.Generator, *, log: bool = False) -> Tensor:
        """Draw ``n`` values, uniform on each side of the centre (in the logarithm with ``log``)."""
        low, centre, high = (math.log(v) if log else v for v in (self.low, self.centre, self.high))
        unit = torch.rand(n, generator=generator) * 2
        value = torch.where(unit < 1, low + (centre - low) * unit, centre + (high - centre) * (unit - 1))
        return value.exp() if log else value


@dataclass(frozen=True)
class ImagingConditions:
    """Ranges of density, signal-to-noise ratio, background and PSF width, in the paper's terms.

    The SNR is the mean peak amplitude of an emitter over the standard deviation of the background noise, so
    the photons follow from it: ``N = SNR * sqrt(F * b + r^2) * 2 pi (sigma / p)^2`` with background b, excess
    noise factor F, read noise r and pixel size p.

    Parameters
    ----------
    density_per_um2
        Emitters per um^2 and frame.
    snr
        Signal-to-noise ratio.
    background
        Photons per pixel, log-uniform.
    psf_sigma_nm
        In-focus PSF standard deviation, nm.
    pixel_size_nm
        Camera pixel, nm.
    brightness_shape
        Shape of the gamma distribution of the emitters' brightness within a frame (mean 1); larger is more
        alike.
    defocus_nm
        Emitters' z is drawn uniform in [-defocus_nm, defocus_nm].
    structured
        Fraction of the frames whose emitters lie on filaments instead of anywhere.
    empty
        Fraction of the frames without any emitter.
    noise_variance_factor, read_noise_photons
        F and r of the camera model above.
    """

    density_per_um2: Spread
    snr: Spread
    background: Spread = Spread(30.0, 3.0, 600.0)
    psf_sigma_nm: Spread = Spread(110.0, 88.0, 140.0)
    pixel_size_nm: float = 100.0
    brightness_shape: float = 4.0
    defocus_nm: float = 200.0
    structured: float = 0.4
    empty: float = 0.03
    noise_variance_factor: float = 1.0
    read_noise_photons: float = 1.0

    def sample(
        self,
        n_frames: int,
        size_px: int,
        generator: torch.Generator,
        margin_px: float = 3.0,
        *,
        crowding: float = 1.0,
    ) -> Scenes:
        """Draw scenes for square frames.

        Parameters
        ----------
        n_frames
            Number of frames B.
        size_px
            Side of a frame, camera pixels.
        generator
            Source of randomness.
        margin_px
            Emitters are drawn up to this far outside the frame too.
        crowding
            Factor on the density.

        Returns
        -------
        Scenes
            B frames; emitters outside the frame are part of them.
        """
        low_nm = -margin_px * self.pixel_size_nm
        high_nm = (size_px + margin_px) * self.pixel_size_nm
        density = self.density_per_um2.sample(n_frames, generator)
        density[torch.rand(n_frames, generator=generator) < self.empty] = 0
        counts = torch.poisson(density * crowding * ((high_nm - low_nm) * 1e-3) ** 2, generator=generator)
        n_slots = max(int(counts.max()), 1)
        mask = torch.arange(n_slots) < counts.unsqueeze(1)
        xy = self._positions(n_frames, n_slots, low_nm, high_nm, generator)
        z = self.defocus_nm * (2 * torch.rand((n_frames, n_slots, 1), generator=generator) - 1)
        background = self.background.sample(n_frames, generator, log=True)
        sigma_nm = self.psf_sigma_nm.sample(n_frames, generator)
        noise = (self.noise_variance_factor * background + self.read_noise_photons**2).sqrt()
        peak = self.snr.sample(n_frames, generator, log=True) * noise
        mean_photons = peak * 2 * math.pi * (sigma_nm / self.pixel_size_nm) ** 2
        shape = torch.full((n_frames, n_slots), self.brightness_shape)
        brightness = torch._standard_gamma(shape, generator=generator) / self.brightness_shape
        photons = mean_photons.unsqueeze(1) * brightness * mask
        emitters = EmitterBatch(torch.cat([xy, z], -1) * mask.unsqueeze(-1), photons, mask)
        return Scenes(emitters, background, sigma_nm)

    def _positions(
        self, n_frames: int, n_slots: int, low_nm: float, high_nm: float, generator: torch.Generator
    ) -> Tensor:
        structured = torch.rand((n_frames, 1, 1), generator=generator) < self.structured
        anywhere = uniform_positions(n_frames, n_slots, low_nm, high_nm, generator)
        filaments = filament_positions(n_frames, n_slots, low_nm, high_nm, generator)
        return torch.where(structured, filaments, anywhere)
