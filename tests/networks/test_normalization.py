import pytest
import torch

from autods.networks import NORMALIZATIONS, normalize
from autods.networks.normalization import noise_std


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


@pytest.mark.parametrize("kind", sorted(NORMALIZATIONS))
def test_offset_and_gain_of_the_camera_do_not_matter(kind):
    frames = frames_with_emitters(10)
    assert torch.allclose(normalize(frames, kind), normalize(3 * frames + 500, kind), atol=1e-3)


@pytest.mark.parametrize("kind", sorted(NORMALIZATIONS))
def test_constant_frames_give_zeros(kind):
    assert float(normalize(torch.full((1, 1, 16, 16), 7.0), kind).abs().max()) == 0


@pytest.mark.parametrize("kind", sorted(NORMALIZATIONS))
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


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="unit"):
        normalize(torch.zeros(1, 1, 8, 8), "unit")
