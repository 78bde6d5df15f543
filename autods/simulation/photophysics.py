"""Blinking: which molecule shines in which frame, and how brightly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autods.core import EmitterBatch
from autods.simulation.structures import Sample


@dataclass(frozen=True)
class Blinks:
    """On-events of a movie, ordered by their start.

    Parameters
    ----------
    molecule
        (E,) index of the molecule.
    start, stop
        (E,) times of switching on and off, in frames; frame t lasts from t to t + 1.
    rate
        (E,) photons per frame while on.
    """

    molecule: Tensor
    start: Tensor
    stop: Tensor
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


def blink(
    sample: Sample,
    n_frames: int,
    emitters_per_frame: float,
    photons: float,
    generator: torch.Generator,
    *,
    on_frames: float = 2.0,
    brightness_shape: float = 4.0,
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
    brightness_shape
        Shape of the gamma distribution of the photon rate.
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
    shape = torch.full((n,), brightness_shape)
    rate = photons / brightness_shape * torch._standard_gamma(shape, generator=generator)
    return Blinks(molecule, start, start + duration, rate * sample.brightness[molecule])
