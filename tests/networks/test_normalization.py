import math

import pytest
import torch

from autods.networks import context_frames, input_channels, needs_photons, needs_scene, normalize
from autods.networks.normalization import NORMALIZATIONS, noise_std

#: Kinds that look at shapes alone; the others need photons, or the noise.
RELATIVE = sorted(kind for kind in NORMALIZATIONS if not needs_photons(kind) and not needs_scene(kind))


def frames_with_emitters(n, noise=5.0, amplitude=60.0, size=64):
    generator = torch.Generator().manual_seed(n)
    grid = torch.arange(size) + 0.5
    position = (0.2 + 0.8 * torch.rand((n, 2), generator=generator)) * size
    spots = torch.exp(-0.5 * ((grid - position[..., None]) / 1.2) ** 2)
    image = 100 + noise * torch.randn((size, size), generator=generator)
    if n:
        image = image + amplitude * torch.einsum("ny,nx->yx", spots[:, 0], spots[:, 1])
    return image[None, None]


@pytest.mark.parametrize("noise", [0.5, 5.0, 50.0])
def test_noise_is_measured_without_emitters(noise):
    assert float(noise_std(frames_with_emitters(0, noise))) == pytest.approx(noise, rel=0.05)


@pytest.mark.parametrize("n", [1, 20, 60])
def test_noise_hardly_depends_on_the_emitters(n):
    assert float(noise_std(frames_with_emitters(n))) == pytest.approx(5.0, rel=0.35)


@pytest.mark.parametrize("kind", RELATIVE)
def test_offset_and_gain_of_the_camera_do_not_matter(kind):
    frames = frames_with_emitters(10)
    assert torch.allclose(normalize(frames, kind), normalize(3 * frames + 500, kind), atol=1e-3)


@pytest.mark.parametrize("kind", RELATIVE)
def test_constant_frames_give_zeros(kind):
    assert float(normalize(torch.full((1, 1, 16, 16), 7.0), kind).abs().max()) == 0


@pytest.mark.parametrize("kind", RELATIVE)
def test_each_frame_of_a_window_is_normalised_by_itself(kind):
    frames = [frames_with_emitters(n, noise) for n, noise in ((0, 3.0), (10, 5.0), (40, 20.0))]
    window = torch.cat(frames, 1)
    alone = torch.cat([normalize(frame, kind) for frame in frames], 1)
    assert torch.equal(normalize(window, kind), alone)


def test_amplitudes_read_as_signal_to_noise():
    frame = frames_with_emitters(0)
    frame[0, 0, 30, 30] = 100 + 10 * 5.0
    assert float(normalize(frame, "noise")[0, 0, 30, 30]) == pytest.approx(9.7, rel=0.1)


def test_an_empty_frame_stays_quiet_only_in_noise_units():
    sparse, empty = frames_with_emitters(3, amplitude=400), frames_with_emitters(0)
    noise = [float(normalize(f, "noise")[..., :8, :8].std()) for f in (sparse, empty)]
    total = [float(normalize(f, "standard")[..., :8, :8].std()) for f in (sparse, empty)]
    assert noise[0] == pytest.approx(noise[1], rel=0.3)
    assert total[1] > 2 * total[0]


def test_the_camera_kind_adds_noise_and_background_in_photons():
    frames = torch.cat([frames_with_emitters(n) for n in (0, 20, 3)], 1)
    images = normalize(frames, "camera")
    assert images.shape[1] == input_channels(3, "camera") == 5
    assert context_frames(5, "camera") == context_frames(3, "noise") == 3
    assert torch.equal(images[:, :3], normalize(frames, "noise"))
    noise, level = images[0, 3], images[0, 4]
    assert bool((noise == noise[0, 0]).all() and (level == level[0, 0]).all())
    assert float(noise[0, 0].exp()) == pytest.approx(5.0**2, rel=0.35)
    assert float(level[0, 0].exp()) == pytest.approx(101, rel=0.05)
    brighter = normalize(10 * frames, "camera")
    rise = (brighter - images)[0, 3:, 0, 0]
    assert rise.tolist() == pytest.approx([math.log(100), math.log(10)], abs=0.02)
    assert torch.allclose(brighter[:, :3], images[:, :3], atol=1e-3)


def test_dark_frames_have_levels_too():
    assert bool(normalize(torch.full((1, 1, 8, 8), -3.0), "camera").isfinite().all())


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="unit"):
        normalize(torch.zeros(1, 1, 8, 8), "unit")


def test_the_scene_is_compressed_and_the_width_told():
    white = torch.tensor([0.0, 1.0, 20.0, 1e4]).view(1, 1, 1, 4).repeat(2, 1, 1, 1)
    images = normalize(white, "scene_width", psf_sigma_px=torch.tensor([0.6, 2.5]))
    assert images.shape == (2, 2, 1, 4)
    assert images[0, 0, 0].tolist() == pytest.approx([0, 1.0, 17.63, 138.2], rel=1e-3)
    assert images[:, 1, 0, 0].exp().tolist() == pytest.approx([0.6, 2.5])
    assert torch.equal(normalize(white, "scene"), images[:, :1])
    assert torch.equal(normalize(white[:1], "scene_width", psf_sigma_px=0.6), images[:1])
    with pytest.raises(ValueError, match="width"):
        normalize(white, "scene_width")
