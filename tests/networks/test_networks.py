import pytest
import torch

from autods.core import UserError
from autods.networks import NETWORKS, DeepStorm, build_network

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


def test_nothing_beyond_the_margin_matters(network):
    torch.manual_seed(1)
    frames = torch.randn(1, 1, 48, 48)
    changed = frames.clone()
    changed[..., : 48 // 2 - network.margin_px - 1] += 5 * torch.randn(48, 48 // 2 - network.margin_px - 1)
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
