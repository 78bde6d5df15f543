"""Which frames the test stage of the 3D pipeline looks at, and which turned PSFs."""

from __future__ import annotations

import pytest
import torch

from autods.core import Camera, OpticalSystem
from autods.inference.observation import Observation
from autods.optics import PSF_MODELS
from autods.optics.turned import TURNS, TurnedPSF
from autods.pipelines.trial3d import brightest_window, chosen_frames


@pytest.mark.parametrize("turn", TURNS)
def test_turning_twice_gives_the_psf_again(turn: str) -> None:
    psf = PSF_MODELS["double_helix"](OpticalSystem(110.0, 660.0, 1.4))
    once = TurnedPSF(psf, turn, (-200.0, 500.0))
    xyz = torch.tensor([[30.0, -20.0, 100.0], [0.0, 40.0, 300.0]])
    expected = psf(xyz, 21)
    assert not torch.allclose(once(xyz, 21), expected, atol=1e-4)
    torch.testing.assert_close(
        TurnedPSF(once, turn, (-200.0, 500.0))(xyz, 21), expected, atol=1e-6, rtol=1e-4
    )


def test_large_frames_are_tried_where_most_light_is() -> None:
    light = torch.zeros(3, 400, 500)
    light[:, 290:310, 130:150] = 5.0
    frames = Observation.of_light(light, torch.ones(3), Camera())
    part = brightest_window(frames, 160)
    assert part.light.shape == (3, 160, 160)
    assert part.light.sum() == light.sum()
    assert brightest_window(frames, 600) is frames
    narrow = Observation.of_light(light[:, :64], torch.ones(3), Camera())
    assert brightest_window(narrow, 160).light.shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("n_frames", "side_px", "per_frame", "n_chosen"),
    [
        (1000, 64, 6.0, 10),  # enough molecules in a few frames
        (1000, 64, 1.5, 40),
        (1000, 64, 0.0, 61),  # as much as a few frames of a larger field
        (1000, 160, 0.5, 10),
        (7, 64, 0.5, 7),
    ],
)
def test_more_frames_are_tried_of_a_sparse_movie(
    n_frames: int, side_px: int, per_frame: float, n_chosen: int
) -> None:
    chosen = chosen_frames(n_frames, side_px, per_frame / side_px**2)
    assert len(chosen) == n_chosen
    assert (chosen[0], chosen[-1]) == (0, n_frames - 1)
