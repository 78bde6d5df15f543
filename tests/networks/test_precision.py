"""Half precision is used where a processor is faster with it, and nowhere else."""

import pytest
import torch

from autods.networks.precision import half_where_faster, is_faster_in_half

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
