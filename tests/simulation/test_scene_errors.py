"""What a program believes of simulated frames: right without errors, else as wrong as it is said to be."""

import dataclasses

import pytest
import torch

from autods.core import Camera, EmitterBatch
from autods.simulation import GaussianRenderer, ImagingConditions, Scenes, Simulator, Spread
from autods.simulation.scene_errors import SceneErrors

NONE = SceneErrors(*(0.0,) * 2, (2.0, 24.0), *(0.0,) * 7)
SHAPE = (48, 48)


def observe(errors, camera, n=40, emitters=None, context=1):
    generator = torch.Generator().manual_seed(0)
    empty = EmitterBatch(torch.zeros(n, 1, 3), torch.zeros(n, 1), torch.zeros(n, 1, dtype=torch.bool))
    levels = torch.logspace(0.5, 2.5, n // context).repeat_interleave(context)
    scenes = Scenes(emitters or empty, levels, torch.full((n,), 130.0), None, context)
    simulator = Simulator([GaussianRenderer(100.0)], [camera], structure=0.5)
    exposure = simulator.exposure(scenes, SHAPE, generator)
    return exposure, *errors.observe(exposure, scenes, 100.0, generator)


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(100.0, 0.5, qe=0.8, read_noise_e=1.6),
        Camera(100.0, 10.0, em_gain=200.0, qe=0.9, read_noise_e=60.0),
    ],
    ids=["ideal", "scmos", "emccd"],
)
@pytest.mark.parametrize("pixel_noise", [0.0, 0.7])
def test_without_errors_structured_backgrounds_become_white_noise(camera, pixel_noise):
    errors = dataclasses.replace(NONE, pixel_noise=pixel_noise)
    exposure, frames, maps, _ = observe(errors, camera)
    white = maps.whiten(frames)
    assert white.shape == (40, 1, *SHAPE)
    assert torch.allclose(maps.background[:, 0], exposure.background)
    assert white.mean((1, 2, 3)).abs().max() < 0.1
    assert white.std((1, 2, 3)).numpy() == pytest.approx([1.0] * 40, rel=0.08)
    # Neighbours know nothing of each other.
    assert (white[..., 1:] * white[..., :-1]).mean().abs() < 0.02
    assert maps.psf_sigma_px.tolist() == pytest.approx([1.3] * 40)


def test_errors_are_as_large_as_they_are_said_to_be():
    for name in ("level", "residue", "pixel"):
        errors = dataclasses.replace(NONE, **{name: 0.6})
        exposure, _, maps, _ = observe(errors, Camera(), n=400)
        wrong = (maps.background[:, 0] - exposure.background) / exposure.background.sqrt()
        # A strength uniform from 0 to s has a mean square of s^2 / 3.
        assert wrong.square().mean().sqrt().item() == pytest.approx(0.6 / 3**0.5, rel=0.12), name
    told = observe(dataclasses.replace(NONE, width=0.05), Camera(), n=2000)[2].psf_sigma_px
    assert (told / 1.3).log().std().item() == pytest.approx(0.05, rel=0.1)


def test_crowds_are_partly_taken_for_background():
    conditions = ImagingConditions(Spread(3.0, 3.0, 3.0), Spread(20.0, 20.0, 20.0), empty=0.0)
    scenes = conditions.sample(20, 48, torch.Generator().manual_seed(1))
    exposure, _, maps, _ = observe(
        dataclasses.replace(NONE, occupancy=0.2), Camera(), 20, emitters=scenes.emitters
    )
    too_high = (maps.background[:, 0] - exposure.background).mean()
    light = (exposure.frames - exposure.background).mean()
    assert too_high.item() == pytest.approx(0.1 * light.item(), rel=0.4)


def test_invalid_areas_hold_noise_and_no_emitter():
    grid = torch.cartesian_prod(torch.arange(48), torch.arange(48)) * 100.0 + 50
    xyz = torch.cat([grid, torch.zeros(len(grid), 1)], 1).expand(60, -1, -1)
    everywhere = EmitterBatch(
        xyz, torch.full(xyz.shape[:2], 50.0), torch.ones(xyz.shape[:2], dtype=torch.bool)
    )
    errors = dataclasses.replace(NONE, masked=0.5)
    _, frames, maps, emitters = observe(errors, Camera(), 60, emitters=everywhere)
    white, kept = maps.whiten(frames)[:, 0], emitters.mask.view(60, 48, 48).transpose(1, 2)
    changed = ~kept.flatten(1).all(1)
    assert 15 < int(changed.sum()) < 45
    assert white[~kept].mean().abs() < 0.05
    assert white[~kept].std().item() == pytest.approx(1, rel=0.05)
    assert white[kept].mean() > 1


def test_the_frames_of_a_view_share_their_maps():
    _, frames, maps, _ = observe(SceneErrors(), Camera(), n=30, context=3)
    assert frames.shape == (10, 3, *SHAPE)
    assert maps.background.shape == maps.noise.shape == (10, 1, *SHAPE)
    assert maps.psf_sigma_px.shape == (10,)
