import math

import pytest
import torch

from autods.core import UserError
from autods.simulation import (
    BlinkingWindows,
    GaussianRenderer,
    ImagingConditions,
    PsfBankRenderer,
    Simulator,
    Spread,
    VolumeConditions,
)

CONDITIONS = ImagingConditions(
    Spread(1.5, 1.5, 1.5), Spread(6.0, 6.0, 6.0), structured=0.5, empty=0.0, brightness_shape=1e4,
    background=Spread(25.0, 25.0, 25.0), psf_sigma_nm=Spread(110.0, 110.0, 110.0),
)  # fmt: skip


def windows(n_frames=3, on_frames=3.0, n=300, seed=0, sampler=CONDITIONS):
    return BlinkingWindows(sampler, n_frames, on_frames).sample(n, 40, torch.Generator().manual_seed(seed))


def shared(scenes, n_frames, first, second):
    """Fraction of the emitters of a frame of the windows that shine in another frame of them."""
    places = [
        {
            (frame // n_frames, *xyz)
            for frame, xyz in zip(frames.tolist(), map(tuple, xyz.tolist()), strict=True)
        }
        for frames, xyz in (
            (f[f % n_frames == k], p[f % n_frames == k])
            for k in (first, second)
            for f, p, _ in [scenes.emitters.flat()]
        )
    ]
    return len(places[0] & places[1]) / len(places[0])


@pytest.mark.parametrize("on_frames", [0.7, 3.0])
@pytest.mark.parametrize("n_frames", [1, 3, 5])
def test_density_and_light_are_the_samplers_in_every_frame(n_frames, on_frames):
    scenes = windows(n_frames, on_frames)
    assert len(scenes) == 300 * n_frames
    frame, _, photons = scenes.emitters.flat()
    still = CONDITIONS.sample(300, 40, torch.Generator().manual_seed(1)).emitters
    for k in range(n_frames):
        here = photons[frame % n_frames == k]
        assert len(here) == pytest.approx(int(still.mask.sum()), rel=0.04)
        assert float(here.mean()) == pytest.approx(float(still.photons[still.mask].mean()), rel=0.04)


@pytest.mark.parametrize("on_frames", [0.7, 3.0, 20.0])
def test_neighbours_share_emitters_as_exponential_on_times_say(on_frames):
    """Of those that shine in a frame, ``d / (d + 1)`` are on at its end: they shine in the next, too."""
    scenes = windows(3, on_frames)
    for neighbour in (0, 2):
        assert shared(scenes, 3, 1, neighbour) == pytest.approx(on_frames / (on_frames + 1), abs=0.02)
    both = on_frames * math.exp(-1 / on_frames) / (on_frames + 1)
    assert shared(scenes, 3, 0, 2) == pytest.approx(both, abs=0.02)


def test_only_frames_in_which_an_emitter_switches_are_dim():
    frame, xyz, photons = windows(5, 4.0).emitters.flat()
    events = {}
    for f, p, n in zip(frame.tolist(), map(tuple, xyz.tolist()), photons.tolist(), strict=True):
        events.setdefault((f // 5, *p), {})[f % 5] = n
    long = [event for event in events.values() if len(event) >= 4]
    assert len(long) > 300
    for event in long:
        times = sorted(event)
        assert times == list(range(times[0], times[-1] + 1))
        inner = [event[t] for t in times[1:-1]]
        assert inner == pytest.approx([inner[0]] * len(inner), rel=1e-3)
        assert max(event[times[0]], event[times[-1]]) <= inner[0] * 1.001


def test_frames_of_a_window_share_background_and_psf():
    bank = PsfBankRenderer.aberrated_airy(100.0, n_models=8)
    scenes = windows(3, 1e6, n=4)  # nothing blinks: the frames differ in nothing but their noise
    generator = torch.Generator().manual_seed(0)
    exposure = Simulator([bank]).exposure(scenes, (40, 40), generator)
    background = exposure.background.view(4, 3, 40, 40)
    assert torch.equal(background[:, :1].expand_as(background), background)
    assert not torch.allclose(background[0, 0], background[1, 0], rtol=0.01)
    light = bank(scenes, (40, 40), generator).view(4, 3, 40, 40)
    assert torch.allclose(light[:, :1].expand_as(light), light, rtol=1e-3, atol=1e-3)


def test_middle_frames_are_the_same_with_and_without_neighbours():
    alone, middle = windows(1).emitters, windows(3).emitters[1::3]
    for one, two in zip(alone.flat(), middle.flat(), strict=True):
        assert torch.equal(one, two)


def test_a_movie_in_depth_blinks_too():
    conditions = VolumeConditions(
        -400.0, 400.0, (2500.0, 3000.0), 100.0, (10, 14), edge_px=3.0, noise_std=(4.0, 12.0)
    )
    scenes = windows(3, 3.0, sampler=conditions)
    assert float(scenes.emitters.counts.float().mean()) == pytest.approx(12, rel=0.03)
    assert scenes.noise_std.shape == (900,)


def test_frames_without_neighbours_are_drawn_as_before():
    simulator = Simulator([GaussianRenderer(100.0)])
    scenes = CONDITIONS.sample(3, 24, torch.Generator().manual_seed(0))
    frames = simulator(scenes, (24, 24), torch.Generator().manual_seed(1))
    exposure = simulator.exposure(scenes, (24, 24), torch.Generator().manual_seed(1))
    assert torch.equal(frames, exposure.frames)
    empty = (frames - exposure.background).mean(dim=(1, 2))
    light = GaussianRenderer(100.0)(scenes, (24, 24), torch.Generator()).mean(dim=(1, 2))
    assert torch.allclose(empty, light, rtol=0.1)


@pytest.mark.parametrize(
    ("n_frames", "on_frames", "word"), [(2, 3.0, "odd"), (0, 3.0, "odd"), (3, 0.0, "on_frames")]
)
def test_impossible_windows_are_refused(n_frames, on_frames, word):
    with pytest.raises(UserError, match=word):
        BlinkingWindows(CONDITIONS, n_frames, on_frames)
