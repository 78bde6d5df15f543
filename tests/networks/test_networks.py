import pytest
import torch

from autods.core import UserError
from autods.networks import DS3D, NETWORKS, DeepStorm, build_network

HEATMAP = ("deepstorm", "subpixel")


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    torch.manual_seed(0)
    arguments = {"upsampling": 4} if request.param in HEATMAP else {}
    return build_network(request.param, **arguments).eval()


def test_output_has_the_size_of_the_input(network):
    with torch.inference_mode():
        output = network(torch.randn(2, 1, 24, 36))
    factor = output.shape[-1] // 36
    assert output.shape == (2, output.shape[1], 24 * factor, 36 * factor)
    assert factor in (1, 4)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_takes_several_frames(name):
    torch.manual_seed(0)
    network = build_network(name, in_channels=3).eval()
    assert network.in_channels == 3
    frames = torch.randn(1, 3, 16, 24)
    swapped = frames.flip(1)
    with torch.inference_mode():
        assert not torch.allclose(network(frames), network(swapped), atol=1e-5)
    assert build_network(name).in_channels == 1


def test_nothing_beyond_the_margin_matters(network):
    torch.manual_seed(1)
    size = 2 * network.margin_px + 28
    beyond = size // 2 - network.margin_px - 1
    frames = torch.randn(1, 1, size, size)
    changed = frames.clone()
    changed[..., :beyond] += 5 * torch.randn(size, beyond)
    with torch.inference_mode():
        one, two = network(frames), network(changed)
    half = one.shape[-1] // 2
    assert torch.allclose(one[..., half:], two[..., half:], atol=1e-4)
    assert not torch.allclose(one[..., :half], two[..., :half], atol=1e-4)


def test_gradients_reach_every_weight(network):
    network.train()
    network(torch.randn(2, 1, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


@pytest.mark.parametrize(("upsampling", "parameters"), [(4, 800_000), (8, 820_000), (16, 850_000)])
def test_the_papers_network_at_its_upsamplings(upsampling, parameters):
    network = DeepStorm(upsampling)
    assert network(torch.zeros(1, 1, 8, 8)).shape[-1] == 8 * upsampling
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(parameters, rel=0.05)


def test_wrong_names_and_arguments_say_what_is_wrong():
    with pytest.raises(UserError, match="resnet"):
        build_network("resnet")
    with pytest.raises(UserError, match="colour"):
        build_network("subpixel", colour=3)
    with pytest.raises(ValueError, match="upsampling"):
        DeepStorm(upsampling=6)


@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_volumes_at_each_upsampling(upsampling):
    with torch.inference_mode():
        volume = DS3D(n_slices=9, upsampling=upsampling, width=8)(torch.randn(2, 1, 12, 16))
    assert volume.shape == (2, 9, 12 * upsampling, 16 * upsampling)
    assert 0 <= float(volume.min()) <= float(volume.max()) <= 800
    with pytest.raises(ValueError, match="upsampling"):
        DS3D(upsampling=3)


def test_the_published_layers():
    # 3 x 3 layers: 1 to 64, five of 65 to 64, 65 to 64, 64 to 64, 64 to D, two of D to D; 1 x 1 of D to D.
    depth = 81
    weights = 9 * (64 + 6 * 65 * 64 + 64 * 64 + 64 * depth + 2 * depth**2) + depth**2
    found = sum(p.numel() for name, p in DS3D(depth).named_parameters() if p.dim() == 4)
    assert found == weights


def test_a_volume_that_has_fallen_to_zero_still_learns():
    torch.manual_seed(0)
    network = DS3D(n_slices=5, width=8)
    torch.nn.init.constant_(network.head.bias, -1.0)
    frames = torch.randn(2, 1, 12, 16)
    volume = network(frames)
    assert float(volume.detach().max()) == 0
    ((volume[:, 2, 5, 5] - 800) ** 2).sum().backward()
    assert float(network.head.bias.grad[2]) < 0
    assert float(network.head.bias.grad[[0, 1, 3, 4]].abs().max()) == 0
