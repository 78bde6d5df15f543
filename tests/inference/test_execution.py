import pytest
import torch
from torch import nn

from autods.inference.execution import prepare, without_padding
from autods.networks import build_network

CPU = torch.device("cpu")


def trained_looking(name, **args):
    """Return a network whose running statistics are not 0 and 1."""
    torch.manual_seed(0)
    network = build_network(name, **args).train()
    for _ in range(3):
        network(torch.randn(4, 1, 24, 24))
    return network.eval()


@pytest.mark.parametrize(
    ("name", "args"),
    [("pixel", {"width": 16}), ("subpixel", {"width": 16}), ("deepstorm", {}), ("dilated", {"width": 16})],
)
@pytest.mark.parametrize(("half", "part"), [(False, 1e-4), (True, 0.02)])
def test_prepared_networks_compute_the_same(name, args, half, part):
    """Up to rounding: of 32 bits, or of 16."""
    network = trained_looking(name, **args)
    frames = torch.randn(2, 1, 40, 44)
    with torch.inference_mode():
        expected, found = network(frames), prepare(network, CPU, half=half)(frames)
    assert found.dtype == torch.float32
    assert float((found - expected).std()) < part * float(expected.square().mean().sqrt())


@pytest.mark.parametrize("half", [False, True])
def test_windows_see_what_the_whole_frame_does(half):
    network = prepare(trained_looking("pixel", width=16), CPU, half=half)
    bare, margin = without_padding(network), network.margin_px
    assert bare is not None
    frames = torch.randn(2, 1, 40, 44)
    with torch.inference_mode():
        whole, inner = network(frames), bare(frames)
    assert inner.shape[-2:] == (40 - 2 * margin, 44 - 2 * margin)
    assert torch.allclose(inner, whole[..., margin:-margin, margin:-margin], atol=2e-2 if half else 1e-5)
    shared = {p.data_ptr() for p in network.parameters()}
    assert {p.data_ptr() for p in bare.parameters()} == shared
    assert without_padding(nn.Identity()) is None
