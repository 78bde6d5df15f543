"""Least squares for all amplitudes of a block of frames at once, with a background that varies slowly.

A frame is a sum of unit PSFs in windows and of a background that is linear between the nodes of a coarse
grid. The normal equations are solved by conjugate gradients without ever forming a matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Stopping early keeps noise from being shared out between emitters much closer than the PSF is wide: against
#: a solution to 1e-5, the photons' error is the same or smaller at any density, in half of the time.
_MAX_ITERATIONS, _TOLERANCE = 80, 1e-3

#: The two kinds of unknowns, photons (N,) and nodes (T, ny, nx); or one value for each axis.
Pair = tuple[Tensor, Tensor]


def tents(length: int, node_px: float, like: Tensor) -> Tensor:
    """(length, nodes) values at the pixels' centres of the linear interpolation between even nodes."""
    nodes = max(2, round(length / node_px) + 1)
    position = (torch.arange(length, device=like.device) + 0.5) / length * (nodes - 1)
    distance = (position[:, None] - torch.arange(nodes, device=like.device)).abs()
    return (1 - distance).clamp_min(0).to(torch.float32)


def scatter(image: Tensor, windows: Tensor, pixel: Tensor) -> Tensor:
    """Add windows (N, W, W) to a block (T, Y, X)."""
    return image.flatten().index_add(0, pixel.flatten(), windows.flatten()).view_as(image)


def solve(frames: Tensor, psf: Tensor, pixel: Tensor, frame: Tensor, axes: Pair, weight: Tensor) -> Pair:
    """Solve the weighted normal equations for photons (N,) and nodes (T, ny, nx).

    Conjugate gradients with Jacobi's preconditioner and a step length for each frame: frames are separate
    systems, whose results must not depend on which others share the block. Spots without any pixel keep 0.
    """

    def model(photons: Tensor, nodes: Tensor) -> Tensor:
        return scatter(axes[0] @ nodes @ axes[1].T, psf * photons[:, None, None], pixel)

    def adjoint(image: Tensor) -> Pair:
        spots = (image.flatten()[pixel] * psf).sum((1, 2))
        return spots, axes[0].T @ image @ axes[1]

    diagonal = (
        (weight.flatten()[pixel] * psf**2).sum((1, 2)),
        (axes[0] ** 2).T @ weight @ (axes[1] ** 2),
    )
    inverse = [torch.where(d > 0, 1 / d.clamp_min(1e-30), 0) for d in diagonal]

    def precondition(pair: Pair) -> Pair:
        return inverse[0] * pair[0], inverse[1] * pair[1]

    residual = adjoint(weight * frames)
    solution = torch.zeros_like(residual[0]), torch.zeros_like(residual[1])
    direction = precondition(residual)
    power = start = _dots(residual, direction, frame)
    for _ in range(_MAX_ITERATIONS):
        going = power > _TOLERANCE**2 * start
        if not bool(going.any()):
            break
        image = adjoint(weight * model(*direction))
        step = torch.where(going, power / _dots(direction, image, frame).clamp_min(1e-30), 0)
        solution = _add(solution, step, direction, frame)
        residual = _add(residual, -step, image, frame)
        preconditioned = precondition(residual)
        last, power = power, torch.where(going, _dots(residual, preconditioned, frame), 0)
        direction = _add(preconditioned, power / last.clamp_min(1e-30), direction, frame)
    return solution


def _dots(a: Pair, b: Pair, frame: Tensor) -> Tensor:
    """(T,) scalar products of each frame's unknowns."""
    nodes = (a[1] * b[1]).sum((1, 2))
    return nodes.index_add(0, frame, a[0] * b[0])


def _add(a: Pair, factor: Tensor, b: Pair, frame: Tensor) -> Pair:
    """Return ``a + factor * b`` with one factor a frame."""
    return a[0] + factor[frame] * b[0], a[1] + factor[:, None, None] * b[1]
