"""What cameras, and what was done to a movie afterwards, add to the light: patterns, defects, cut values."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from autods.core import Camera


def scmos_maps(camera: Camera, shape: tuple[int, int], generator: torch.Generator) -> Camera:
    """Return a camera whose pixels differ in offset and read noise, as those of an sCMOS do.

    The offset varies by 2 ADU; the read noise is the camera's in the median, log-normal by a factor 1.35, and
    3 % of the pixels are noisier by a factor of 2 to 8.
    """
    spread = torch.exp(0.3 * torch.randn(shape, generator=generator))
    loud = 2 + 6 * torch.rand(shape, generator=generator)
    factor = torch.where(torch.rand(shape, generator=generator) < 0.03, loud, spread)
    offset = 2 * torch.randn(shape, generator=generator)
    return dataclasses.replace(
        camera,
        offset_adu=(offset + float(camera.offset_adu)).numpy(),
        read_noise_e=(factor * float(camera.read_noise_e)).numpy(),
    )


def column_offsets(shape: tuple[int, int], std_adu: float, generator: torch.Generator) -> Tensor:
    """Draw a fixed offset for each column: (Y, X), ADU."""
    return (std_adu * torch.randn(shape[1], generator=generator)).expand(shape).clone()


def hot_pixels(
    frames: Tensor, share: float, level_adu: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Let some pixels stand out in all frames, by a level of their own and shot noise that belongs to it.

    Returns ``frames, hot``: (T, Y, X) ADU and (Y, X) bool.

    Parameters
    ----------
    frames
        (T, Y, X) ADU.
    share
        Of the pixels that are hot.
    level_adu
        Least and largest level, ADU; log-uniform.
    generator
        Source of randomness.
    """
    shape = frames.shape[-2:]
    low, high = (torch.tensor(level).log() for level in level_adu)
    level = torch.exp(low + (high - low) * torch.rand(shape, generator=generator))
    hot = torch.rand(shape, generator=generator) < share
    noise = torch.randn(frames.shape, generator=generator) * level.sqrt()
    return frames + torch.where(hot, level + noise, torch.zeros(())), hot


def zero_border(frames: Tensor, width_px: int) -> tuple[Tensor, Tensor]:
    """Zero a border, as registration leaves it; return the frames and what is valid of them, (T, Y, X)."""
    valid = torch.zeros(frames.shape, dtype=torch.bool)
    inner = slice(width_px, -width_px)
    valid[:, inner, inner] = True
    return frames * valid, valid


def growing_border(frames: Tensor, width_px: int) -> tuple[Tensor, Tensor]:
    """Zero a growing strip at the left of frames (T, Y, X), as drift correction leaves it.

    It reaches its width with the last frame.
    """
    n_frames, _, width = frames.shape
    strip = (torch.arange(n_frames) * width_px // n_frames + 1).view(-1, 1, 1)
    valid = (torch.arange(width).view(1, 1, -1) >= strip).expand(frames.shape)
    return frames * valid, valid


def constant_half(frames: Tensor, value_adu: float) -> tuple[Tensor, Tensor]:
    """Let the lower half of all frames (T, Y, X) hold one value; return them and what is valid."""
    valid = torch.ones(frames.shape, dtype=torch.bool)
    valid[:, frames.shape[1] // 2 :] = False
    return torch.where(valid, frames, value_adu), valid


def saturated_area(frames: Tensor, side_px: int, value_adu: float = 65535.0) -> tuple[Tensor, Tensor]:
    """Saturate a square in the middle of all frames (T, Y, X); return them and what is valid."""
    valid = torch.ones(frames.shape, dtype=torch.bool)
    top, left = ((side - side_px) // 2 for side in frames.shape[1:])
    valid[:, top : top + side_px, left : left + side_px] = False
    return torch.where(valid, frames, value_adu), valid


def digitize(frames: Tensor, pedestal_adu: float = 0.0) -> Tensor:
    """Subtract a pedestal and round to 16 bits; what is below 0 becomes 0, as in other programs.

    Returns (T, Y, X) as ``frames``, uint16.

    Examples
    --------
    >>> import torch
    >>> digitize(torch.tensor([[[99.6, 105.2]]]), pedestal_adu=100.0).tolist()
    [[[0, 5]]]
    """
    return (frames - pedestal_adu).round().clamp(0, 65535).to(torch.uint16)
