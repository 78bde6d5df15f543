"""The pretended GPU refuses what a GPU refuses, and gives the CPU's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.devices.pretended import GPU_TYPE, pretended_gpu


@pytest.fixture(autouse=True)
def _gpu() -> Iterator[None]:
    with pretended_gpu():
        yield


def _on_gpu(*values: float) -> Tensor:
    return torch.tensor(values, device=GPU_TYPE)


def test_tensors_are_made_moved_and_read() -> None:
    made = [
        torch.arange(3.0, device=GPU_TYPE),
        torch.as_tensor(np.arange(3, dtype=np.float32), device=GPU_TYPE),
        torch.arange(3.0).to(GPU_TYPE),
        torch.zeros(3, device=GPU_TYPE).copy_(torch.arange(3.0)),
        _on_gpu(0, 1, 2),
    ]
    for tensor in made:
        assert tensor.device.type == GPU_TYPE
        assert tensor.cpu().device.type == "cpu"
        assert (2 * tensor + 1).tolist() == [1.0, 3.0, 5.0]
    made[0][1:] += 1
    assert made[0].sum().item() == 5.0
    assert bool((made[0] >= 0).all())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: torch.ones(2, device=GPU_TYPE).sum().item()).result() == 2.0


_TABLE, _ROWS = torch.ones(5, 2), torch.zeros(3, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("mixed", "message"),
    [
        (lambda: _on_gpu(1, 2) + torch.ones(2), "same device"),
        (lambda: torch.ones(2).add_(_on_gpu(1, 2)), "same device"),
        (lambda: torch.tensor(1.0).add_(_on_gpu(1)[0]), "same device"),
        (lambda: torch.stack([_on_gpu(1)[0], torch.tensor(1.0)]), "same device"),
        (lambda: nn.functional.embedding_bag(_ROWS, _TABLE.to(GPU_TYPE)), "same device"),
        (lambda: nn.Conv2d(1, 1, 3).to(GPU_TYPE)(torch.ones(1, 1, 5, 5)), "same device"),
        (lambda: torch.ones(2)[_on_gpu(0).long()], "indices should be either on cpu"),
        (lambda: _on_gpu(1).numpy(), "numpy"),
        (lambda: np.asarray(_on_gpu(1)), "numpy"),
        (lambda: torch.rand(2, generator=torch.Generator(GPU_TYPE)), "generator"),
        (lambda: torch.rand(2, device=GPU_TYPE, generator=torch.Generator()), "generator"),
    ],
)
def test_devices_do_not_mix(mixed: Callable[[], object], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        mixed()


def test_what_may_mix() -> None:
    values = _on_gpu(1, 2, 3)
    assert values[torch.tensor([0, 2])].tolist() == [1.0, 3.0]
    assert values[np.array([True, False, True])].tolist() == [1.0, 3.0]
    assert (values * torch.tensor(2.0)).tolist() == [2.0, 4.0, 6.0]
    assert torch.where(values > 1, values, torch.tensor(0.0)).tolist() == [0.0, 2.0, 3.0]


def test_networks_learn_and_derivatives_agree() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))
    frames = torch.rand(2, 1, 9, 9)
    expected = float(network(frames).detach().square().mean())
    network.to(GPU_TYPE, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(3):
        loss = network(frames.to(GPU_TYPE)).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(expected, rel=1e-5)
    assert losses[2] < losses[0]

    def light(x: Tensor) -> Tensor:
        return torch.fft.ifft(torch.fft.fft(x).conj() * 2).imag + torch.exp(x - 1) * x[0]

    x = torch.tensor([0.5, 1.5, -1.0])
    for derive in (torch.func.jacfwd, torch.func.jacrev):
        torch.testing.assert_close(derive(light)(x.to(GPU_TYPE)).cpu(), derive(light)(x))
