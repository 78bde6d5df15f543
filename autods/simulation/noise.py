"""From expected photons to camera values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autods.core import Camera


def expose(photons: Tensor, camera: Camera, generator: torch.Generator) -> Tensor:
    """Draw camera values from expected photons.

    Photo-electrons are Poisson; an EM register multiplies them with a gamma distribution of shape n and scale
    g (Basden et al., MNRAS 345, 985 (2003)), which doubles the variance; read noise is normal, with its own
    standard deviation in each pixel for sCMOS maps. Values are not rounded. Returns (B, Y, X) float32 ADU.

    Parameters
    ----------
    photons
        (B, Y, X) expected photons.
    camera
        Camera model; maps have the frames' shape.
    generator
        Source of randomness, on the device of ``photons``.

    Examples
    --------
    >>> import torch
    >>> from autods import Camera
    >>> camera, generator = Camera(offset_adu=100.0, e_per_adu=1.0), torch.Generator().manual_seed(0)
    >>> expose(torch.zeros(1, 8, 8), camera, generator).mean().round().item()
    100.0
    """
    electrons = torch.poisson(photons * camera.qe + camera.spurious_charge_e, generator=generator)
    if camera.em_gain is not None:
        # A tiny shape keeps the sampler defined where no electron came; the product is then 0 all the same.
        amplified = torch._standard_gamma(electrons.clamp_min(1e-3), generator=generator)
        electrons = torch.where(electrons > 0, amplified, electrons) * camera.em_gain
    read = _as_tensor(camera.read_noise_e, photons)
    noise = torch.randn(photons.shape, generator=generator, device=photons.device) * read
    return (electrons + noise) / camera.e_per_adu + _as_tensor(camera.offset_adu, photons)


def _as_tensor(value: float | np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)
