"""The step of all emitters together is that of the whole matrix."""

from __future__ import annotations

import pytest
import torch

from autods.inference import joint_step as module
from autods.inference.joint_step import joint_step
from autods.inference.linear_fit import scatter, tents


def test_step_is_that_of_the_dense_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ITERATIONS", 60)
    monkeypatch.setattr(module, "_TOLERANCE", 1e-3)
    random = torch.Generator().manual_seed(0)
    n_frames, side, window, n, k = 2, 24, 7, 9, 4
    frame = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1])
    corner = torch.randint(0, side - window, (n, 2), generator=random)
    grid = torch.arange(window)
    row, column = corner[:, :1] + grid, corner[:, 1:] + grid
    pixel = (frame[:, None, None] * side + row[:, :, None]) * side + column[:, None, :]
    image = torch.zeros(n_frames, side, side)
    slopes = torch.randn((n, k, window, window), generator=random)
    weight = 0.5 + torch.rand(image.shape, generator=random)
    residual = torch.randn(image.shape, generator=random)
    prior, gradient = torch.rand((n, k), generator=random), torch.randn((n, k), generator=random)
    axes = tents(side, 12.0, image), tents(side, 12.0, image)
    damping = torch.tensor([0.0, 0.1])
    step, nodes = joint_step(slopes, gradient, prior, pixel, frame, axes, residual, weight, damping)

    units = [
        scatter(torch.zeros_like(image), slopes[i, j][None], pixel[i][None])
        for i in range(n)
        for j in range(k)
    ]
    for t in range(n_frames):
        for a in axes[0].T:
            for b in axes[1].T:
                unit = torch.zeros_like(image)
                unit[t] = a[:, None] * b
                units.append(unit)
    jacobian = torch.stack(units).flatten(1).double()
    matrix = (jacobian * weight.flatten()) @ jacobian.T
    own = matrix.diagonal()[: n * k].clone()
    matrix.diagonal()[: n * k] += prior.flatten() + damping[frame].repeat_interleave(k) * own
    right = jacobian @ (weight * residual).flatten().double()
    right[: n * k] += gradient.flatten()
    dense = torch.linalg.solve(matrix, right)
    scale = dense[: n * k].abs().max()
    assert (step.flatten() - dense[: n * k]).abs().max() < 0.02 * scale
    left = right - matrix @ torch.cat([step.flatten(), nodes.flatten()]).double()
    assert left.norm() < 0.02 * right.norm()
