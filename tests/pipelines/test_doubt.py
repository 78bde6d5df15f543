"""When the test stage of the 3D pipeline says that the PSF does not explain the frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSF_MODELS, PSFModel
from autods.pipelines import doubt, train3d, trial3d
from autods.pipelines.measure3d import Extent
from autods.pipelines.population import Population
from autods.pipelines.population_frames import population_frames
from autods.pipelines.psf_source import KnownPsf
from autods.pipelines.streaming3d import VolumeLocalizer

CAMERA = Camera(read_noise_e=1.5)
KNOWN = KnownPsf(PSF_MODELS["astigmatism"](OpticalSystem(100.0, 660.0, 1.4)), (-400.0, 400.0))


def shown(half: float, misfit: float = 1.0, crowd: float = 1.0, n: int = 50, **turned: Any) -> dict[str, Any]:
    return {
        "localizations": n,
        "explained_in_half": half,
        "misfit": misfit,
        "neighbours": 20.0 * crowd,
        "neighbours_by_chance": 20.0,
        "turned": turned,
    }


def test_each_sign_counts_and_what_any_calibration_leaves_does_not() -> None:
    usual = shown(0.95)
    assert doubt.unexplained(shown(0.95), usual) is None
    assert doubt.unexplained(shown(0.95, 1.2), shown(0.99)) is None
    assert "one microscope" in str(doubt.unexplained(shown(0.7), usual))
    assert "one microscope" in str(doubt.unexplained(shown(0.9, 1.5, 2.0), usual))
    assert doubt.unexplained(shown(0.7), None) is None
    assert doubt.unexplained(shown(0.7, n=8), usual) is None  # too few to tell


def test_a_turned_psf_that_explains_more_is_named() -> None:
    assert "mirrored" in str(doubt.unexplained(shown(0.6, mirrored=shown(0.9)), shown(0.6)))
    assert doubt.unexplained(shown(0.9, mirrored=shown(0.6)), shown(0.9)) is None


def test_frames_without_light_tell_nothing() -> None:
    nothing = np.zeros((2, 9, 9), np.float32)
    told = doubt.signs(nothing, nothing, nothing + 1, LocalizationTable.empty(), 100.0)
    assert np.isnan(told["explained_in_half"])
    assert doubt.unexplained({**told, "turned": {}}, told) is None


def test_neighbours_of_a_structure_are_in_other_frames_too() -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 300, (200, 2))  # all on one spot of the sample
    light = np.ones((50, 9, 9), np.float32)

    def told(frame: np.ndarray) -> dict[str, float]:
        found = LocalizationTable.build(frame, *place.T)
        return doubt.signs(light, light, light, found, 150.0)

    apart = told(np.arange(200) % 50)
    assert apart["neighbours"] == pytest.approx(apart["neighbours_by_chance"], rel=0.25)
    beside = told(np.repeat(np.arange(50), 4))
    assert beside["neighbours_by_chance"] == pytest.approx(apart["neighbours_by_chance"], rel=0.1)


class _Deeper(nn.Module):
    """The PSF of another focus."""

    pixel_size_nm = 100.0

    def forward(self, xyz_nm: torch.Tensor, size_px: int) -> torch.Tensor:
        return KNOWN.model(xyz_nm + xyz_nm.new_tensor([0.0, 0.0, 320.0]), size_px)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.2, 0.4])
def test_another_focus_is_noticed_and_the_right_one_not_doubted(density: float) -> None:
    noise, population = torch.full((12,), 4.7), Population(density, 2500.0, 0.3)
    frames, _ = population_frames(KNOWN, Extent.of(KNOWN), CAMERA, 64, noise)(population, 0)
    assert _line(KNOWN.model, frames, population) is None
    assert "one microscope" in str(_line(_Deeper(), frames, population))


def _line(model: PSFModel, frames: Observation, population: Population) -> str | None:
    told = replace(KNOWN, model=model)
    extent, near_px = Extent.of(told), doubt.near_px(told)
    fitter = PsfFitter(told.over_field(extent.fit_px), extent.fit_px, (-450.0, 450.0))
    finder = train3d.shipped_finder(told, extent, torch.device("cpu"))
    localizer = VolumeLocalizer(finder, fitter, 3.0, passes=2)
    real = trial3d.explained_of(localizer, frames, near_px)
    usual = trial3d.try_population(localizer, told, extent, CAMERA, population, frames, near_px)
    return doubt.unexplained({**real, "turned": {}}, usual)
