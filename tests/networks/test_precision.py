"""Half precision is used where a processor is faster with it, and nowhere else."""

import pytest
import torch

from autods.networks import NETWORKS, build_network
from autods.networks.precision import half_where_faster, is_faster_in_half
from autods.networks.universal import UniversalNet
from autods.training.universal import CANDIDATES

CPU = torch.device("cpu")


def with_units(monkeypatch, *units):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(units, True), raising=False)


@pytest.mark.parametrize(
    ("units", "faster"),
    [
        (("amx_bf16", "avx512_f"), True),
        (("avx512_bf16",), True),
        (("avx512_f", "avx512_vnni"), False),
        ((), False),
    ],
)
def test_units_decide(monkeypatch, units, faster):
    with_units(monkeypatch, *units)
    assert is_faster_in_half(CPU) == faster
    frames, layer = torch.ones(1, 1, 8, 8), torch.nn.Conv2d(1, 1, 3)
    with half_where_faster(CPU):
        assert layer(frames).dtype == (torch.bfloat16 if faster else torch.float32)


def test_older_versions_of_pytorch_compute_with_32_bits(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not is_faster_in_half(CPU)


def test_graphics_cards_of_some_age_compute_with_32_bits(monkeypatch):
    for capability, faster in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert is_faster_in_half(torch.device("cuda")) == faster
    assert not is_faster_in_half(torch.device("mps"))


def gradient(network, *inputs, half):
    """Return the gradient of a network's output, in memory that has held what is no number."""
    network.zero_grad()
    used = [torch.full((1 << size,), torch.nan) for size in range(12, 23, 2) for _ in range(6)]
    del used
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        output = network(*inputs)
    output = output if isinstance(output, torch.Tensor) else output.output
    torch.linspace(-1, 1, output.numel()).dot(output.float().flatten()).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_gradients_in_half_precision_are_those_of_32_bits(name, in_channels):
    torch.manual_seed(0)
    network = build_network(name, in_channels=in_channels).to(memory_format=torch.channels_last).train()
    frames = torch.randn(4, in_channels, 32, 32)
    whole, half = (gradient(network, frames, half=half) for half in (False, True))
    assert bool(torch.isfinite(half).all())
    assert float(torch.cosine_similarity(whole, half, 0)) > 0.98


def test_gradients_of_the_network_that_is_told_the_psf_in_half_precision():
    torch.manual_seed(0)
    network = UniversalNet(**CANDIDATES["context"]).to(memory_format=torch.channels_last).train()
    inputs = torch.randn(4, 48, 48), torch.ones(4, 48, 48), torch.rand(2, 16, 9, 9) / 81
    whole, half = (gradient(network, *inputs, half=half) for half in (False, True))
    assert bool(torch.isfinite(half).all())
    # Rounding adds up over some twenty layers.
    assert float(torch.cosine_similarity(whole, half, 0)) > 0.95
