"""Blinking: which molecule shines in which frame, and how brightly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from autods.core import EmitterBatch, UserError
from autods.simulation.scenes import Scenes
from autods.simulation.structures import Sample


@dataclass(frozen=True)
class Blinks:
    """On-events of a movie, ordered by their start."""

    #: (E,) index of the molecule.
    molecule: Tensor
    #: (E,) times of switching on and off, in frames; frame t lasts from t to t + 1.
    start: Tensor
    stop: Tensor
    #: (E,) photons per frame while on.
    rate: Tensor

    def during(self, sample: Sample, first: int, last: int) -> EmitterBatch:
        """Return the emitters of frames [first, last); photons scale with the time spent on in the frame."""
        picked = torch.nonzero((self.start < last) & (self.stop > first)).squeeze(1)
        start, stop = self.start[picked], self.stop[picked]
        first_frame = start.floor().clamp_min(first).long()
        n_frames = stop.ceil().clamp_max(last).long() - first_frame
        event = torch.repeat_interleave(torch.arange(len(picked)), n_frames)
        within = torch.arange(len(event)) - (n_frames.cumsum(0) - n_frames)[event]
        frame = first_frame[event] + within
        on = torch.minimum(stop[event], frame + 1.0) - torch.maximum(start[event], frame.to(start.dtype))
        photons = (self.rate[picked][event] * on).float()
        xyz = sample.xyz_nm[self.molecule[picked][event]]
        seen = photons > 0
        return EmitterBatch.from_flat(frame[seen] - first, xyz[seen], photons[seen], last - first)


#: Shape of the gamma distribution of the photon rate.
_BRIGHTNESS_SHAPE = 4.0


def blink(
    sample: Sample,
    n_frames: int,
    emitters_per_frame: float,
    photons: float,
    generator: torch.Generator,
    *,
    on_frames: float = 2.0,
) -> Blinks:
    """Draw the on-events of a movie in its steady state.

    Events are a Poisson process; a molecule is chosen in proportion to its activity; on-times are
    exponential; the photon rate is gamma-distributed from event to event.

    Parameters
    ----------
    sample
        The molecules.
    n_frames
        Length of the movie.
    emitters_per_frame
        Expected number of molecules that shine during a frame, if only for part of it.
    photons
        Mean photons per frame of a molecule of brightness 1.
    generator
        Source of randomness.
    on_frames
        Mean on-time, frames.
    """
    warm_up = 6 * on_frames
    # An event of duration d touches d + 1 frames on average.
    expected = emitters_per_frame * (n_frames + warm_up) / (on_frames + 1)
    n = int(torch.poisson(torch.tensor(expected), generator=generator))
    start = torch.rand(n, generator=generator, dtype=torch.float64) * (n_frames + warm_up) - warm_up
    start = start.sort().values
    molecule = torch.zeros(0, dtype=torch.long)
    if n:
        # Inverse-transform sampling: torch.multinomial takes at most 2^24 categories.
        cumulative = sample.activity.double().cumsum(0)
        draw = torch.rand(n, generator=generator, dtype=torch.float64) * cumulative[-1]
        molecule = torch.searchsorted(cumulative, draw, right=True).clamp(max=len(sample) - 1)
    duration = torch.zeros(n, dtype=torch.float64).exponential_(1 / on_frames, generator=generator)
    shape = torch.full((n,), _BRIGHTNESS_SHAPE)
    rate = photons / _BRIGHTNESS_SHAPE * torch._standard_gamma(shape, generator=generator)
    return Blinks(molecule, start, start + duration, rate * sample.brightness[molecule])


def with_beads(
    sample: Sample, blinks: Blinks, xyz_nm: Tensor, photons: float, n_frames: int
) -> tuple[Sample, Blinks]:
    """Add beads that shine in every frame.

    Parameters
    ----------
    sample, blinks
        The molecules and their on-events.
    xyz_nm
        (K, 3) positions of the beads, nm.
    photons
        Photons of a bead in a frame.
    n_frames
        Length of the movie.
    """
    n, k = len(sample), len(xyz_nm)
    one = torch.ones(k)
    whole = Sample(
        torch.cat([sample.xyz_nm, xyz_nm.to(sample.xyz_nm)]),
        torch.cat([sample.activity, 0 * one]),
        torch.cat([sample.brightness, one]),
    )
    return whole, Blinks(
        torch.cat([torch.arange(n, n + k), blinks.molecule]),
        torch.cat([torch.zeros(k, dtype=blinks.start.dtype), blinks.start]),
        torch.cat([torch.full((k,), float(n_frames), dtype=blinks.stop.dtype), blinks.stop]),
        torch.cat([(photons * one).to(blinks.rate), blinks.rate]),
    )


class SceneSampler(Protocol):
    """Draws what lies in front of the camera in independent frames, such as `ImagingConditions`."""

    def sample(
        self, n_frames: int, size_px: int, generator: torch.Generator, *, crowding: float = 1.0
    ) -> Scenes:
        """Return scenes for ``n_frames`` square frames, ``crowding`` times as many emitters as usual."""
        ...


@dataclass(frozen=True)
class BlinkingWindows:
    """Scenes of a few consecutive frames of blinking emitters, made of a sampler's independent frames.

    Emitters switch on at any time, at a constant rate, and stay on for exponentially distributed times, in
    which their brightness is constant. In each of the frames the expected number of emitters, and the mean of
    their photons, are the sampler's: an event of mean duration d touches d + 1 frames, and a window of n
    frames sees ``(d + n) / (d + 1)`` times the events that a single frame sees. Raises `UserError` if a
    number is out of its range.
    """

    #: Source of positions, photons, background and PSF width.
    sampler: SceneSampler
    #: Frames of a window, odd.
    n_frames: int
    #: Mean on-time d, frames.
    on_frames: float

    def __post_init__(self) -> None:
        if self.n_frames < 1 or self.n_frames % 2 == 0:
            raise UserError(f"data.context={self.n_frames}: give an odd number of frames, the middle counts")
        if not self.on_frames > 0:
            raise UserError(f"data.on_frames={self.on_frames}: the mean on-time must be greater than 0")

    def sample(self, n_windows: int, size_px: int, generator: torch.Generator) -> Scenes:
        """Draw the scenes of windows.

        The events of a window of three frames are drawn even for one of a single frame, so that trainings and
        tests with and without neighbours get the same middle frames. Returns ``B * n_frames`` frames, window
        by window.

        Parameters
        ----------
        n_windows
            Number of windows B.
        size_px, generator
            See `SceneSampler`.
        """
        drawn = max(self.n_frames, 3)
        still = self.sampler.sample(
            n_windows,
            size_px,
            generator,
            crowding=(self.on_frames + drawn) / (self.on_frames + 1),
        )
        on = self._time_on(still.emitters.photons.shape, drawn, generator)
        first = (drawn - self.n_frames) // 2
        on = on[:, first : first + self.n_frames]
        rate = still.emitters.photons * (self.on_frames + 1) / self.on_frames
        photons = (rate.unsqueeze(1) * on).flatten(0, 1)
        frame, slot = torch.nonzero(photons, as_tuple=True)
        xyz = still.emitters.xyz_nm[frame // self.n_frames, slot]
        emitters = EmitterBatch.from_flat(frame, xyz, photons[frame, slot], len(photons))
        background, sigma, noise = (
            None if value is None else value.repeat_interleave(self.n_frames)
            for value in (still.background, still.psf_sigma_nm, still.noise_std)
        )
        assert background is not None
        assert sigma is not None
        return Scenes(emitters, background, sigma, noise, self.n_frames)

    def _time_on(self, shape: torch.Size, n_frames: int, generator: torch.Generator) -> Tensor:
        """Return (B, n_frames, K) time, in frames, that each of (B, K) emitters shines in each frame."""
        mean = self.on_frames
        # Of the events of a window, these were on before it; of those, what is left is exponential too.
        before = torch.rand(shape, generator=generator) < mean / (mean + n_frames)
        start = torch.rand(shape, generator=generator) * n_frames * ~before
        stop = start + torch.zeros(shape).exponential_(1 / mean, generator=generator)
        frame = torch.arange(n_frames).view(1, -1, 1)
        start, stop = start.unsqueeze(1), stop.unsqueeze(1)
        return (torch.minimum(stop, frame + 1.0) - torch.maximum(start, frame.float())).clamp_min(0)
