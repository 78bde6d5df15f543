"""When the test stage of the 3D pipeline says that the PSF does not explain the frames."""

from __future__ import annotations

import pytest
import torch

from autods.core import OpticalSystem
from autods.optics import PSF_MODELS
from autods.optics.turned import TURNS, TurnedPSF
from autods.pipelines.trial3d import unexplained


def test_a_turned_psf_that_explains_more_is_named() -> None:
    real = {"explained_variance": 0.6, "turned": {"mirrored": 0.5, "reversed in z": 0.8}}
    assert "reversed in z" in str(unexplained(real, {"explained_variance": 0.9}))


def test_much_less_than_in_simulated_frames_is_said() -> None:
    real: dict[str, object] = {"explained_variance": 0.3, "turned": {}}
    assert "one microscope" in str(unexplained(real, {"explained_variance": 0.9}))
    assert unexplained(real, {"explained_variance": 0.5}) is None
    assert unexplained(real, None) is None


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
