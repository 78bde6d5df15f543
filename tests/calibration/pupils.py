"""How close two pupils are, and the twin of one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autods.calibration.quality import remove_focus
from autods.optics.pupil import Pupil


def conjugate_twin(phase: Tensor) -> Tensor:
    """Twin of a pupil phase (P, P): it gives the same images with the z axis reversed.

    Conjugating a field and mirroring the pupil, ``-phase(-u, -v)``, leaves ``|F{E}|^2`` unchanged and turns
    defocus into its opposite, so that a stack read in the wrong direction is retrieved as the twin.
    """
    return -phase.flip(0, 1)


@dataclass(frozen=True)
class PupilComparison:
    """Difference of two pupil phases."""

    #: Root mean square difference inside the aperture after piston, tilt and defocus are removed, in waves.
    rms_waves: float
    #: The same against the reference's conjugate twin.
    twin_rms_waves: float

    @property
    def is_twin(self) -> bool:
        """Whether the phase looks like the twin: the stack was read in the wrong direction."""
        return self.twin_rms_waves < 0.7 * self.rms_waves


def compare_pupils(phase: Tensor, reference: Tensor, pupil: Pupil) -> PupilComparison:
    """Compare two phases (P, P) in radians, up to piston, tilt, defocus and multiples of 2 pi."""
    return PupilComparison(
        _difference(phase, reference, pupil), _difference(phase, conjugate_twin(reference), pupil)
    )


def _difference(phase: Tensor, reference: Tensor, pupil: Pupil) -> float:
    """Wrapped rms difference in waves, refined by Gauss-Newton from the unwrapped solution."""
    residual = remove_focus(phase - reference, pupil)[0]
    for _ in range(20):
        wrapped = torch.angle(torch.exp(1j * residual))
        residual = remove_focus(wrapped, pupil)[0]
    wrapped = torch.angle(torch.exp(1j * residual))
    mean_square = (pupil.aperture * wrapped**2).sum() / pupil.aperture.sum()
    return float(mean_square.sqrt() / (2 * math.pi))
