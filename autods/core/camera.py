"""Camera units: ADU, electrons, photons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from autods.core.errors import UserError

ArrayLike = TypeVar("ArrayLike", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class Camera:
    """Linear camera model.

    ``electrons = (adu - offset_adu) * e_per_adu / em_gain`` and ``photons = electrons / qe``.

    Parameters
    ----------
    offset_adu
        Level of a dark frame, ADU; a scalar or a map (Y, X) for an sCMOS.
    e_per_adu
        Conversion, electrons at the analogue-to-digital converter per ADU.
    em_gain
        Gain of the electron-multiplying register; None when there is none, which is not the same as 1
        (a register adds excess noise whatever its gain).
    qe
        Quantum efficiency, 0-1.
    read_noise_e
        Standard deviation of the read noise at the converter, electrons; a scalar or a map (Y, X).
    spurious_charge_e
        Clock-induced electrons per pixel and frame.

    Raises
    ------
    UserError
        If a number lies outside its physical range.

    Examples
    --------
    >>> import numpy
    >>> from autods import Camera
    >>> camera = Camera(offset_adu=100, e_per_adu=0.5, qe=0.8)
    >>> camera.photons_per_adu
    0.625
    >>> camera.to_photons(numpy.array([[100.0, 260.0]])).tolist()
    [[0.0, 100.0]]
    >>> Camera(em_gain=300).excess_noise_factor, Camera(em_gain=None).excess_noise_factor
    (2.0, 1.0)
    >>> Camera(qe=95)
    Traceback (most recent call last):
    autods.core.errors.UserError: camera.qe is 95: it must lie in (0, 1]
    """

    offset_adu: float | np.ndarray = 0.0
    e_per_adu: float = 1.0
    em_gain: float | None = None
    qe: float = 1.0
    read_noise_e: float | np.ndarray = 0.0
    spurious_charge_e: float = 0.0

    def __post_init__(self) -> None:
        if not self.e_per_adu > 0:
            raise UserError(f"camera.e_per_adu is {self.e_per_adu}: it must be greater than 0")
        if self.em_gain is not None and not self.em_gain > 0:
            raise UserError(
                f"camera.em_gain is {self.em_gain}: give a gain above 0, or null for no EM register"
            )
        if not 0 < self.qe <= 1:
            raise UserError(f"camera.qe is {self.qe}: it must lie in (0, 1]")
        if np.any(np.asarray(self.read_noise_e) < 0):
            raise UserError("camera.read_noise_e is negative: it must be at least 0")
        if self.spurious_charge_e < 0:
            raise UserError("camera.spurious_charge_e is negative: it must be at least 0")

    @property
    def photons_per_adu(self) -> float:
        """Photons that one ADU above the offset stands for."""
        return self.e_per_adu / (self.em_gain or 1.0) / self.qe

    @property
    def excess_noise_factor(self) -> float:
        """Factor on the shot-noise variance: 2 with an EM register at high gain, else 1."""
        return 1.0 if self.em_gain is None else 2.0

    @property
    def read_noise_photons(self) -> float | np.ndarray:
        """Read noise (standard deviation) referred to detected photons."""
        return self.read_noise_e / (self.em_gain or 1.0) / self.qe

    def to_photons(self, adu: ArrayLike) -> ArrayLike:
        """Convert camera values (..., Y, X) in ADU to photons of the same shape, float32.

        Raises
        ------
        UserError
            If an offset map does not have the frames' shape.
        """
        offset = self.offset_adu
        if isinstance(offset, np.ndarray) and offset.shape != tuple(adu.shape[-2:]):
            raise UserError(
                f"camera.offset_adu is a map of shape {offset.shape}, the movie's frames are"
                f" {tuple(adu.shape[-2:])}: give a map of the frame's shape"
            )
        if isinstance(adu, torch.Tensor):
            shift = torch.as_tensor(offset, dtype=torch.float32, device=adu.device)
            return (adu.to(torch.float32) - shift).mul_(self.photons_per_adu)
        return (np.asarray(adu, np.float32) - np.asarray(offset, np.float32)) * np.float32(
            self.photons_per_adu
        )
