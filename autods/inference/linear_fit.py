"""Least squares for all amplitudes of a block of frames at once, with a background that varies slowly.

A frame is a sum of unit PSFs in windows and of a background that is linear between the nodes of a coarse
grid. The normal equations, of which few entries are not zero, are solved by conjugate gradients; what an
iteration costs grows with the emitters and the nodes, not with the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

#: Stopping early keeps noise from being shared out between emitters much closer than the PSF is wide: against
#: a solution to 1e-5, the photons' error is the same or smaller at any density, in half of the time.
_MAX_ITERATIONS, _TOLERANCE = 80, 1e-3
#: Pixels of pairs of windows that are worked on at once.
_PAIR_PX = 4_000_000

#: The two kinds of unknowns, of emitters (N,) or (N, k) and nodes (T, ny, nx); or one value for each axis.
Pair = tuple[Tensor, Tensor]


def tents(length: int, node_px: float, like: Tensor) -> Tensor:
    """(length, nodes) values at the pixels' centres of the linear interpolation between even nodes."""
    nodes = max(2, round(length / node_px) + 1)
    position = (torch.arange(length, device=like.device) + 0.5) / length * (nodes - 1)
    distance = (position[:, None] - torch.arange(nodes, device=like.device)).abs()
    return (1 - distance).clamp_min(0).to(torch.float32)


def scatter(image: Tensor, windows: Tensor, pixel: Tensor) -> Tensor:
    """Add windows (N, W, W) to a block (T, Y, X), which is changed and returned."""
    image.view(-1).index_add_(0, pixel.flatten(), windows.flatten())
    return image


@dataclass(frozen=True)
class Support:
    """Where the windows of N spots lie: in the block, among each other, and on the background's grid."""

    #: (N, W, W) the windows' pixels as flat indices into the block, and (N,) the frame of each window.
    pixel: Tensor
    frame: Tensor
    #: (N, 2) row and column of each window's first pixel, which may lie outside of the frame.
    corner: Tensor
    #: `tents` of rows and columns.
    axes: Pair
    #: (P, 2) spots of which windows overlap, each pair once.
    pairs: Tensor
    #: (N, k) flat node under each window, and the nodes' values at its rows and columns (N, W, k).
    node: Tensor
    tents: Pair

    @classmethod
    def of(cls, pixel: Tensor, corner: Tensor, frame: Tensor, axes: Pair) -> Support:
        """Find the pairs and the nodes of N windows; arguments as the fields, (N, W, W) to (N,)."""
        side = pixel.shape[-1]
        rows, columns = (_local(axis, corner[:, k], side) for k, axis in enumerate(axes))
        ny, nx = axes[0].shape[1], axes[1].shape[1]
        node = (frame[:, None, None] * ny + rows[0][:, :, None]) * nx + columns[0][:, None, :]
        pairs = _overlapping(corner, frame, side)
        return cls(pixel, frame, corner, axes, pairs, node.flatten(1), (rows[1], columns[1]))


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Return what stands at flat indices of any shape: plain indexing takes twice as long."""
    return values.flatten().index_select(0, index.flatten()).view(index.shape)


def solve(frames: Tensor, psf: Tensor, support: Support, weight: Tensor) -> Pair:
    """Solve the weighted normal equations for photons (N,) and nodes (T, ny, nx).

    Conjugate gradients with Jacobi's preconditioner and a step length for each frame: frames are separate
    systems, whose results must not depend on which others share the block. Spots without any pixel keep 0.

    Parameters
    ----------
    frames, weight
        (T, Y, X) values and their weights.
    psf
        (N, W, W) unit PSFs in windows.
    support
        Where the windows are.
    """
    system = _Normal.of(psf, support, weight)
    inverse = [torch.where(d > 0, 1 / d.clamp_min(1e-30), 0) for d in (system.own, system.stencil[0])]

    def precondition(pair: Pair) -> Pair:
        return inverse[0] * pair[0], inverse[1] * pair[1]

    image, (down, across) = weight * frames, support.axes
    right = (pick(image, support.pixel) * psf).sum((1, 2)), down.T @ image @ across
    return conjugate_gradients(system, precondition, right, support.frame, _MAX_ITERATIONS, _TOLERANCE)


def conjugate_gradients(
    apply: Callable[[Pair], Pair],
    precondition: Callable[[Pair], Pair],
    right: Pair,
    frame: Tensor,
    max_iterations: int,
    tolerance: float,
) -> Pair:
    """Solve a system with a step length for each frame: frames are separate systems.

    Parameters
    ----------
    apply, precondition
        The system, symmetric and positive, and its rough inverse.
    right
        Right side: numbers of each emitter (N,) or (N, k), and of the nodes (T, ny, nx).
    frame
        (N,) frame of each emitter.
    max_iterations, tolerance
        A frame is solved when its preconditioned residual has become so much smaller.
    """
    residual = right
    solution = torch.zeros_like(residual[0]), torch.zeros_like(residual[1])
    direction = precondition(residual)
    power = start = _dots(residual, direction, frame)
    for _ in range(max_iterations):
        going = power > tolerance**2 * start
        if not bool(going.any()):
            break
        applied = apply(direction)
        step = torch.where(going, power / _dots(direction, applied, frame).clamp_min(1e-30), 0)
        solution = _add(solution, step, direction, frame)
        residual = _add(residual, -step, applied, frame)
        preconditioned = precondition(residual)
        last, power = power, torch.where(going, _dots(residual, preconditioned, frame), 0)
        direction = _add(preconditioned, power / last.clamp_min(1e-30), direction, frame)
    return solution


@dataclass(frozen=True)
class _Normal:
    """The normal equations without their zeros: of spots, of pairs that overlap, of nodes and neighbours."""

    #: (N,) squares of the spots.
    own: Tensor
    #: (P,) spots of which windows overlap, each pair once, and their product.
    first: Tensor
    second: Tensor
    overlap: Tensor
    #: (N, k) flat node under each window, and (N, k) the product of spot and node.
    node: Tensor
    coupling: Tensor
    #: Products of nodes (T, ny, nx) with themselves, with the next in their row, in their column, and
    #: diagonally, which are one array for both diagonals.
    stencil: tuple[Tensor, Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, psf: Tensor, support: Support, weight: Tensor) -> _Normal:
        """Set up; arguments as of `solve`."""
        weighted = pick(weight, support.pixel) * psf
        per_part = max(1, _PAIR_PX // max(psf[0].numel() if len(psf) else 1, 1))
        parts = [
            _overlap(weighted, psf, support.corner, part) for part in torch.split(support.pairs, per_part)
        ]
        coupling = support.tents[0].transpose(1, 2) @ weighted @ support.tents[1]
        down, across = ([axis**2, axis[:, 1:] * axis[:, :-1]] for axis in support.axes)
        row, next_row = (product.T @ weight for product in down)
        stencil = row @ across[0], row @ across[1], next_row @ across[0], next_row @ across[1]
        first, second = support.pairs.T.contiguous()
        own = (weighted * psf).sum((1, 2))
        return cls(own, first, second, torch.cat(parts), support.node, coupling.flatten(1), stencil)

    def __call__(self, pair: Pair) -> Pair:
        """Return the product with photons (N,) and nodes (T, ny, nx)."""
        photons, nodes = pair
        spots = self.own * photons + (self.coupling * pick(nodes, self.node)).sum(1)
        spots.index_add_(0, self.first, self.overlap * photons.index_select(0, self.second))
        spots.index_add_(0, self.second, self.overlap * photons.index_select(0, self.first))
        same, row, column, diagonal = self.stencil
        out = same * nodes
        out[..., :-1] += row * nodes[..., 1:]
        out[..., 1:] += row * nodes[..., :-1]
        out[:, :-1] += column * nodes[:, 1:]
        out[:, 1:] += column * nodes[:, :-1]
        out[:, :-1, :-1] += diagonal * nodes[:, 1:, 1:]
        out[:, 1:, 1:] += diagonal * nodes[:, :-1, :-1]
        out[:, :-1, 1:] += diagonal * nodes[:, 1:, :-1]
        out[:, 1:, :-1] += diagonal * nodes[:, :-1, 1:]
        return spots, scatter(out, self.coupling * photons[:, None], self.node)


def _overlapping(corner: Tensor, frame: Tensor, side: int) -> Tensor:
    """Return (P, 2) the pairs of windows of one frame that share pixels."""
    places = corner.cpu().numpy().astype(np.float64)
    if not len(places):
        return corner.new_zeros((0, 2))
    far = 2.0 * side + np.ptp(places)
    places = np.column_stack([places, frame.cpu().numpy() * far])
    pairs = cKDTree(places).query_pairs(side - 0.5, p=np.inf, output_type="ndarray")
    return torch.from_numpy(pairs.astype(np.int64).reshape(-1, 2)).to(corner.device)


def _overlap(weighted: Tensor, psf: Tensor, corner: Tensor, pairs: Tensor) -> Tensor:
    """Return (P,) sums of products of two spots over the pixels that both windows hold."""
    side = psf.shape[-1]
    first, second = pairs.unbind(1)
    off = (corner[first] - corner[second])[:, :, None] + torch.arange(side, device=psf.device)
    inside, off = (off >= 0) & (off < side), off.clamp(0, side - 1)
    flat = (second[:, None, None] * side + off[:, 0, :, None]) * side + off[:, 1, None, :]
    other = pick(psf, flat) * (inside[:, 0, :, None] & inside[:, 1, None, :])
    return (weighted.index_select(0, first) * other).sum((1, 2))


def _local(axis: Tensor, corner: Tensor, side: int) -> Pair:
    """Return the nodes under each window along an axis (N, k), and their values there (N, W, k)."""
    length, nodes = axis.shape
    count = min(nodes, math.ceil(side * (nodes - 1) / length) + 2)
    line = (corner[:, None] + torch.arange(side, device=axis.device)).clamp(0, length - 1)
    lowest = ((line[:, 0] + 0.5) / length * (nodes - 1)).floor().long().clamp(0, nodes - count)
    node = lowest[:, None] + torch.arange(count, device=axis.device)
    return node, pick(axis, line[:, :, None] * nodes + node[:, None, :])


def _dots(a: Pair, b: Pair, frame: Tensor) -> Tensor:
    """(T,) scalar products of each frame's unknowns."""
    nodes = (a[1] * b[1]).sum((1, 2))
    return nodes.index_add(0, frame, (a[0] * b[0])[..., None].flatten(1).sum(1))


def _add(a: Pair, factor: Tensor, b: Pair, frame: Tensor) -> Pair:
    """Return ``a + factor * b`` with one factor a frame."""
    of_emitter = factor.index_select(0, frame).view(-1, *[1] * (a[0].ndim - 1))
    return a[0] + of_emitter * b[0], a[1] + factor[:, None, None] * b[1]
