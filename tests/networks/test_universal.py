"""The network that is told the PSF, and its matched filter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from autods.networks.matched_filter import MatchedFilter
from autods.networks.universal import TELLINGS, UniversalNet


def _kernels(n: int, planes: int = 16, side: int = 9) -> torch.Tensor:
    kernels = torch.rand(n, planes, side, side, generator=torch.Generator().manual_seed(1))
    return kernels / kernels.sum((2, 3), keepdim=True)


def test_the_matched_filter_is_a_correlation_over_its_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    kernels = _kernels(2, 5, 7)
    weight = torch.rand(6, 20, 24, generator=generator) + 0.5
    frames = torch.randn(6, 20, 24, generator=generator)
    matched = MatchedFilter(kernels, weight)
    for row in range(6):
        kernel, w = kernels[row // 3][:, None], weight[row, None, None]
        norm = F.conv2d(w.square(), kernel.square(), padding=3)[0].sqrt()
        found = F.conv2d(frames[row, None, None] * w, kernel, padding=3)[0] / norm
        torch.testing.assert_close(matched.significance(frames)[row], found, atol=1e-4, rtol=1e-4)


def test_a_lone_emitter_has_its_significance_at_its_place_and_plane() -> None:
    kernels = _kernels(1)
    weight = torch.ones(1, 32, 32)
    matched = MatchedFilter(kernels, weight)
    volume = torch.zeros(1, 16, 32, 32)
    volume[0, 6, 14, 18] = 20.0
    image = matched.render(volume)
    significance = matched.significance(image)
    assert significance[0, 6, 14, 18] == pytest.approx(20.0, rel=1e-3)
    assert int(significance.argmax()) == int(volume.argmax())


@pytest.mark.parametrize("tell", TELLINGS)
def test_frames_of_any_size_share_a_psf(tell: str) -> None:
    network = UniversalNet(width=8, tell=tell, steps=2 if tell in ("planes", "both") else 1).eval()
    frames = torch.randn(4, 30, 41, generator=torch.Generator().manual_seed(0))
    weight = torch.ones_like(frames)
    kernels = _kernels(2)
    with torch.no_grad():
        both = network(frames, weight, kernels)
        alone = network(frames[2:], weight[2:], kernels[1:])
    assert both.output.shape == (4, 7, 30, 41)
    assert len(both.explained) == len(network.stages) - 1
    torch.testing.assert_close(both.output[2:], alone.output, atol=1e-4, rtol=1e-3)


def test_a_network_without_planes_has_one_stage() -> None:
    with pytest.raises(ValueError, match="steps"):
        UniversalNet(tell="code", steps=2)


@pytest.mark.parametrize("steps", [1, 2])
def test_context_is_the_frame_before_and_the_frame_after(steps: int) -> None:
    network = UniversalNet(width=8, context=True, steps=steps).eval()
    frames = torch.randn(6, 32, 32, generator=torch.Generator().manual_seed(0))
    weight, kernels = torch.ones_like(frames), _kernels(1)
    with torch.no_grad():
        whole = network(frames, weight, kernels, 6).output
        alone = network(frames, weight, kernels).output
        # Frames 2 and 3 need 1 to 4, the first of two runs of three knows nothing of the second.
        part = network(frames[1:5], weight[1:5], kernels, 4, slice(1, 3)).output
        runs = network(frames, weight, kernels, 3).output
    torch.testing.assert_close(part, whole[2:4], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(runs[1], whole[1], atol=1e-4, rtol=1e-3)
    assert float((runs[2] - whole[2]).abs().max()) > 1e-3
    assert float((alone - whole).abs().amax((1, 2, 3)).min()) > 1e-3


def test_context_needs_planes() -> None:
    with pytest.raises(ValueError, match="context"):
        UniversalNet(tell="code", context=True)
