"""An emitter that a network has placed at a wrong depth comes to the right one; light outside of windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autods.core import Camera, EmitterBatch, OpticalSystem
from autods.inference.observation import Observation
from autods.inference.other_depths import OtherDepths
from autods.inference.psf_fit import PsfFitter
from autods.optics import PSF_MODELS, PSFModel, tabulate
from autods.representation import Detections
from autods.simulation import PsfRenderer, Scenes

_PIXEL_NM, _SIDE_PX, _BACKGROUND = 110.0, 48, 10.0
_REACH_NM = {"double_helix": 900.0, "tetrapod": 1500.0}


@pytest.fixture(scope="module", params=sorted(_REACH_NM))
def case(request: pytest.FixtureRequest) -> tuple[PSFModel, float]:
    reach = _REACH_NM[request.param]
    model = PSF_MODELS[request.param](OpticalSystem(_PIXEL_NM, 660.0, 1.4))
    return tabulate(model, -reach, reach, reach / 20, 41), reach


def _frames(psf: PSFModel, xyz_nm: torch.Tensor, photons: float, size_px: int = 41) -> Observation:
    """One emitter a frame, over a constant background."""
    n = len(xyz_nm)
    emitters = EmitterBatch.from_flat(torch.arange(n), xyz_nm, torch.full((n,), photons), n)
    scenes = Scenes(emitters, torch.zeros(n), torch.full((n,), 100.0))
    generator = torch.Generator().manual_seed(0)
    light = PsfRenderer(psf, size_px)(scenes, (_SIDE_PX, _SIDE_PX)).clamp_min(0)
    frames = torch.poisson(light + _BACKGROUND, generator=generator)
    return Observation.over_level(frames, Camera(), _BACKGROUND)


def _found(xyz_nm: torch.Tensor) -> Detections:
    x, y, z = xyz_nm.double().unbind(1)
    return Detections(torch.arange(len(x)), x / _PIXEL_NM, y / _PIXEL_NM, torch.ones(len(x)), z_nm=z)


@pytest.mark.parametrize("photons", [3000.0, 12000.0])
def test_wrong_depths_are_left_and_right_ones_kept(case: tuple[PSFModel, float], photons: float) -> None:
    psf, reach = case
    depths = torch.linspace(-0.85, 0.85, 18) * reach
    middle = torch.full_like(depths, 24.3 * _PIXEL_NM)
    true = torch.stack([middle, middle, depths], 1)
    observation = _frames(psf, true, photons)
    fitter = PsfFitter(psf, 27, (-reach, reach))
    look = OtherDepths(psf, (-reach, reach), 27)
    for turned in (-depths, depths.roll(9)):
        placed = fitter(observation, _found(torch.stack([middle, middle, turned], 1)))
        assert placed.z_nm is not None
        wrong = (placed.z_nm - depths).abs() > 0.2 * reach
        assert int(wrong.sum()) >= 4
        elsewhere, places = look(fitter, observation, placed)
        settled = placed.z_nm.clone()
        assert places.z_nm is not None
        settled[elsewhere] = places.z_nm
        again = (settled - depths).abs() > 0.2 * reach
        assert int(again.sum()) <= 1
        assert not elsewhere[~wrong].any()


def test_light_outside_of_the_windows_is_told(case: tuple[PSFModel, float]) -> None:
    psf, reach = case
    true = torch.tensor([[2640.0, 2640.0, 0.8 * reach]])
    wide = PsfRenderer(psf, 41)(
        Scenes(
            EmitterBatch.from_flat(torch.tensor([0]), true, torch.ones(1), 1), torch.zeros(1), torch.ones(1)
        ),
        (_SIDE_PX, _SIDE_PX),
    )
    fitter = PsfFitter(psf, 13, (-reach, reach), image_px=41)
    one = _found(true)
    lit = Detections(one.frame, one.x_px, one.y_px, one.confidence, z_nm=one.z_nm, photons=torch.ones(1))
    shape = (1, _SIDE_PX, _SIDE_PX)
    tails = fitter.tails(lit, shape)
    assert float(tails.sum()) > 0.03
    np.testing.assert_allclose(fitter.image(lit, shape), wide, atol=1e-5)
    np.testing.assert_allclose(fitter.image(lit, shape, 13) + tails, wide, atol=1e-5)
    assert float(tails[0, 18:31, 18:31].abs().max()) < 1e-6
