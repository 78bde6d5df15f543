"""Simulated movies and training frames: emitters, structures, photophysics, background, camera noise."""

from autods.simulation.conditions import ImagingConditions, Spread
from autods.simulation.frames import FrameRenderer, GaussianRenderer
from autods.simulation.noise import expose
from autods.simulation.psf_bank import PsfBankRenderer
from autods.simulation.scenes import Scenes
from autods.simulation.simulator import Simulator

__all__ = [
    "FrameRenderer",
    "GaussianRenderer",
    "ImagingConditions",
    "PsfBankRenderer",
    "Scenes",
    "Simulator",
    "Spread",
    "expose",
]
