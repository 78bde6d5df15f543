"""Imaging conditions that a network is trained for, and scenes drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import EmitterBatch
from autods.simulation.positions import filament_positions, uniform_positions
from autods.simulation.scenes import Scenes

#: A camera pixel tells of one emitter: narrow PSFs do not make room for many more.
MAX_CROWDING = 2.0


@dataclass(frozen=True)
class Spread:
    """A quantity with a centre and limits: half of the draws lie in [low, centre], half in [centre, high].

    Raises `ValueError` if not low <= centre <= high.
    """

    centre: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.centre <= self.high:
            raise ValueError(f"a spread needs low <= centre <= high, got {self}")

    def sample(self, n: int, generator: torch.Generator, *, log: bool = False) -> Tensor:
        """Draw values (n,), uniform on each side of the centre (in the logarithm with ``log``)."""
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
    """

    #: Emitters per um^2 and frame.
    density_per_um2: Spread
    #: Signal-to-noise ratio.
    snr: Spread
    #: Photons per pixel, log-uniform.
    background: Spread = Spread(30.0, 3.0, 600.0)
    #: In-focus PSF standard deviation, nm.
    psf_sigma_nm: Spread = Spread(110.0, 88.0, 140.0)
    #: Camera pixel, nm.
    pixel_size_nm: float = 100.0
    #: Shape of the gamma distribution of the emitters' brightness within a frame (mean 1); larger is more
    #: alike.
    brightness_shape: float = 4.0
    #: Emitters' z is drawn uniform in [-defocus_nm, defocus_nm], nm.
    defocus_nm: float = 200.0
    #: Fraction of the frames whose emitters lie on filaments instead of anywhere.
    structured: float = 0.4
    #: Fraction of the frames without any emitter.
    empty: float = 0.03
    #: F and r of the camera model above.
    noise_variance_factor: float = 1.0
    read_noise_photons: float = 1.0
    #: Whether ``density_per_um2`` holds at the centre of the widths, and others have as many emitters per
    #: area of the PSF; at most `MAX_CROWDING` times as many per um^2.
    by_psf_area: bool = False
    #: Fraction of the frames whose SNR lies, log-uniform, between the upper limit of ``snr`` and this.
    bright: float = 0.0
    brightest_snr: float = 5000.0
    #: Fraction of the frames in which one emitter is 10 to 300 times as bright as it were, as fiducials are.
    beacons: float = 0.0

    def sample(
        self,
        n_frames: int,
        size_px: int,
        generator: torch.Generator,
        margin_px: float | None = None,
        *,
        crowding: float = 1.0,
    ) -> Scenes:
        """Draw scenes for square frames.

        Returns B frames; emitters outside the frame are part of them.

        Parameters
        ----------
        n_frames
            Number of frames B.
        size_px
            Side of a frame, camera pixels.
        generator
            Source of randomness.
        margin_px
            Emitters are drawn up to this far outside the frame too, px; None: as far as the widest PSF
            reaches.
        crowding
            Factor on the density.
        """
        if margin_px is None:
            margin_px = max(3.0, 2.1 * self.psf_sigma_nm.high / self.pixel_size_nm)
        low_nm = -margin_px * self.pixel_size_nm
        high_nm = (size_px + margin_px) * self.pixel_size_nm
        density = self.density_per_um2.sample(n_frames, generator)
        # Else drawn below, in the order that the seeds of the zoo's test sets stand for.
        sigma_nm = self.psf_sigma_nm.sample(n_frames, generator) if self.by_psf_area else None
        if sigma_nm is not None:
            density *= ((self.psf_sigma_nm.centre / sigma_nm) ** 2).clamp(max=MAX_CROWDING)
        density[torch.rand(n_frames, generator=generator) < self.empty] = 0
        counts = torch.poisson(density * crowding * ((high_nm - low_nm) * 1e-3) ** 2, generator=generator)
        n_slots = max(int(counts.max()), 1)
        mask = torch.arange(n_slots) < counts.unsqueeze(1)
        xy = self._positions(n_frames, n_slots, low_nm, high_nm, generator)
        z = self.defocus_nm * (2 * torch.rand((n_frames, n_slots, 1), generator=generator) - 1)
        background = self.background.sample(n_frames, generator, log=True)
        if sigma_nm is None:
            sigma_nm = self.psf_sigma_nm.sample(n_frames, generator)
        noise = (self.noise_variance_factor * background + self.read_noise_photons**2).sqrt()
        area_px = 2 * math.pi * (sigma_nm / self.pixel_size_nm) ** 2
        mean_photons = self._snr(n_frames, generator) * noise * area_px
        shape = torch.full((n_frames, n_slots), self.brightness_shape)
        brightness = torch._standard_gamma(shape, generator=generator) / self.brightness_shape
        if self.beacons:
            has_one = torch.rand(n_frames, generator=generator) < self.beacons
            brightness[:, 0] *= torch.where(has_one, _log_uniform(10, 300, n_frames, generator), 1.0)
        photons = mean_photons.unsqueeze(1) * brightness * mask
        emitters = EmitterBatch(torch.cat([xy, z], -1) * mask.unsqueeze(-1), photons, mask)
        return Scenes(emitters, background, sigma_nm)

    def _snr(self, n_frames: int, generator: torch.Generator) -> Tensor:
        snr = self.snr.sample(n_frames, generator, log=True)
        if not self.bright:
            return snr
        bright = _log_uniform(self.snr.high, self.brightest_snr, n_frames, generator)
        return torch.where(torch.rand(n_frames, generator=generator) < self.bright, bright, snr)

    def _positions(
        self, n_frames: int, n_slots: int, low_nm: float, high_nm: float, generator: torch.Generator
    ) -> Tensor:
        structured = torch.rand((n_frames, 1, 1), generator=generator) < self.structured
        anywhere = uniform_positions(n_frames, n_slots, low_nm, high_nm, generator)
        filaments = filament_positions(n_frames, n_slots, low_nm, high_nm, generator)
        return torch.where(structured, filaments, anywhere)


def _log_uniform(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    return torch.exp(math.log(low) + math.log(high / low) * torch.rand(n, generator=generator))
