"""Simulated movies and training frames: emitters, structures, photophysics, background, camera noise."""

from autods.simulation.conditions import ImagingConditions, Spread
from autods.simulation.frames import FrameRenderer, GaussianRenderer
from autods.simulation.movie import simulate_movie
from autods.simulation.noise import expose
from autods.simulation.photophysics import BlinkingWindows, Blinks, SceneSampler, blink
from autods.simulation.psf_bank import PsfBankRenderer
from autods.simulation.psf_frames import PsfRenderer
from autods.simulation.scenes import Scenes
from autods.simulation.simulator import Exposure, Simulator
from autods.simulation.structures import STRUCTURES, Sample, vary
from autods.simulation.structures3d import STRUCTURES_3D
from autods.simulation.volume_conditions import VolumeConditions

__all__ = [
    "STRUCTURES",
    "STRUCTURES_3D",
    "BlinkingWindows",
    "Blinks",
    "Exposure",
    "FrameRenderer",
    "GaussianRenderer",
    "ImagingConditions",
    "PsfBankRenderer",
    "PsfRenderer",
    "Sample",
    "SceneSampler",
    "Scenes",
    "Simulator",
    "Spread",
    "VolumeConditions",
    "blink",
    "expose",
    "simulate_movie",
    "vary",
]
