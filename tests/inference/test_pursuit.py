"""The matched filter that looks for what a network has missed."""

from __future__ import annotations

import torch

from autods.core import OpticalSystem
from autods.inference.pursuit import Pursuit
from autods.optics import PSF_MODELS

_PSF = PSF_MODELS["astigmatic_gaussian"](OpticalSystem(100.0, 660.0, 1.4))
_RANGE_NM, _NOISE = (-400.0, 400.0), 4.0


def _noise(n_frames: int) -> torch.Tensor:
    return _NOISE * torch.randn(n_frames, 48, 48, generator=torch.Generator().manual_seed(1))


def test_an_emitter_above_the_noise_is_found_near_its_place_and_depth() -> None:
    light = _noise(6)
    depths = torch.tensor([-300.0, -200.0, -50.0, 100.0, 200.0, 300.0])
    place = torch.stack([torch.full((6,), 20.0), torch.full((6,), -30.0), depths], 1)
    light[:, 10:31, 14:35] += 1500.0 * _PSF(place, 21)
    found = Pursuit(_PSF, _RANGE_NM, 21)(light, torch.full_like(light, _NOISE**2), 8.0)
    assert found.frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.z_nm is not None
    assert abs(found.x_px - 24.7).max() < 1
    assert abs(found.y_px - 20.2).max() < 1
    assert abs(found.z_nm - depths).max() < 120


def test_noise_and_pixels_that_are_not_valid_hold_nothing() -> None:
    light, variance = _noise(20), torch.full((20, 48, 48), _NOISE**2)
    light[:, 5:8, 5:8], variance[:, 5:8, 5:8] = 900.0, torch.inf
    assert not len(Pursuit(_PSF, _RANGE_NM, 21)(light, variance, 8.0))


def test_an_emitter_beyond_the_border_is_found_there() -> None:
    light = _noise(6)
    places = [-1.8, -1.3, -0.6, 48.8, 49.4, 49.9]
    for frame, x_px in enumerate(places):
        column = int(x_px // 1) + 20
        place = torch.tensor([[100.0 * (x_px % 1 - 0.5), 0.0, 250.0]])
        image = torch.zeros(48, 88)
        image[10:31, column - 10 : column + 11] += 9000.0 * _PSF(place, 21)[0]
        light[frame] += image[:, 20:68]
    found = Pursuit(_PSF, _RANGE_NM, 21)(light, torch.full_like(light, _NOISE**2), 8.0)
    strongest = [int((found.frame == frame).nonzero()[0, 0]) for frame in range(6)]
    assert len(found) == 6
    assert abs(found.x_px[strongest] - torch.tensor(places)).max() < 1
    assert abs(found.y_px[strongest] - 20.5).max() < 1
