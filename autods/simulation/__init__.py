"""Simulated movies and training frames: emitters, structures, photophysics, background, camera noise."""

from autods.simulation.conditions import ImagingConditions, Spread
from autods.simulation.frames import FrameRenderer, GaussianRenderer
from autods.simulation.movie import simulate_movie
from autods.simulation.noise import expose
from autods.simulation.photophysics import Blinks, blink
from autods.simulation.psf_bank import PsfBankRenderer
from autods.simulation.scenes import Scenes
from autods.simulation.simulator import Simulator
from autods.simulation.structures import STRUCTURES, Sample, vary

__all__ = [
    "STRUCTURES",
    "Blinks",
    "FrameRenderer",
    "GaussianRenderer",
    "ImagingConditions",
    "PsfBankRenderer",
    "Sample",
    "Scenes",
    "Simulator",
    "Spread",
    "blink",
    "expose",
    "simulate_movie",
    "vary",
]
