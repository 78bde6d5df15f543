"""Where emitters lie in a frame, drawn for many frames at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def uniform_positions(
    n_frames: int, n_slots: int, low_nm: float, high_nm: float, generator: torch.Generator
) -> Tensor:
    """Draw positions uniform in the square [low_nm, high_nm)^2.

    Returns (n_frames, n_slots, 2) x and y in nm.
    """
    unit = torch.rand((n_frames, n_slots, 2), generator=generator)
    return low_nm + (high_nm - low_nm) * unit


def filament_positions(
    n_frames: int,
    n_slots: int,
    low_nm: float,
    high_nm: float,
    generator: torch.Generator,
    *,
    n_filaments: int = 4,
    width_nm: float = 25.0,
) -> Tensor:
    """Draw positions on a few gently bent filaments a frame, so that the local density varies as in a cell.

    Each frame gets ``n_filaments`` parabolic arcs through the square [low_nm, high_nm)^2; an emitter takes
    one of them, with weights that differ from filament to filament, and a lateral deviation of standard
    deviation ``width_nm``. Positions outside the square are folded back by reflection. Returns (n_frames,
    n_slots, 2) x and y in nm.
    """
    span = high_nm - low_nm
    shape = (n_frames, n_filaments)
    centre = low_nm + span * torch.rand((*shape, 2), generator=generator)
    angle = math.pi * torch.rand(shape, generator=generator)
    bend = torch.randn(shape, generator=generator) * 0.3 / span
    weights = torch.rand(shape, generator=generator) + 0.05
    pick = torch.multinomial(weights, n_slots, replacement=True, generator=generator)
    along = (torch.rand((n_frames, n_slots), generator=generator) - 0.5) * 1.4 * span
    across = bend.gather(1, pick) * along**2
    across += width_nm * torch.randn((n_frames, n_slots), generator=generator)
    cos, sin = angle.cos().gather(1, pick), angle.sin().gather(1, pick)
    start = centre.gather(1, pick.unsqueeze(-1).expand(-1, -1, 2))
    offset = torch.stack([along * cos - across * sin, along * sin + across * cos], dim=-1)
    folded = torch.remainder(start + offset - low_nm, 2 * span)
    return low_nm + torch.where(folded < span, folded, 2 * span - folded).clamp(max=span * (1 - 1e-6))
