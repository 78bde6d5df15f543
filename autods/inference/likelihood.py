"""Likelihood of groups of emitters, with gradient and Fisher information, as batches of small windows.

Everything is in *counts*, units in which the noise is Poisson. The derivatives of an emitter's image are
products of a profile along x and one along y, so that the sums over pixels of products of derivatives are
small matrix products: rows times weights times columns.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.inference.groups import SIZES, Groups
from autods.inference.linear_fit import pick

#: Row and column profile (0: integral, 1: slope) of the derivative by x, by y and by the counts.
_ROW, _COLUMN = (0, 1, 0), (1, 0, 0)
#: Products of two derivatives (3, 3): as entries of `_squares`, and of all products of two profiles.
_ROW_PRODUCT, _COLUMN_PRODUCT = ([[a + b for b in line] for a in line] for line in (_ROW, _COLUMN))
_PAIR_ROW, _PAIR_COLUMN = ([[2 * a + b for b in line] for a in line] for line in (_ROW, _COLUMN))
#: The light of an emitter reaches this far beyond its window, for the sake of its neighbours, px.
_RIM = 2
_PER_EMITTER = (
    "left", "top", "row_inside", "column_inside", "wide_pixel", "pixel", "counts", "inside", "share",
    "reference", "over_reference", "base",
)  # fmt: skip
#: Error of the PSF's shape, in parts of its light.
MODEL_ERROR = 0.02
#: Least eigenvalue of a scaled matrix of information: an error of 30 times that of an emitter by itself.
_LEAST_EIGENVALUE = 1e-3
#: Counts that a pixel is expected to hold at least.
_MIN_MEAN = 1e-3


@dataclass(frozen=True)
class Emitters:
    """Parameters: x, y (n,) in pixels of the emitter's window, counts (n,), and background (G,)."""

    x: Tensor
    y: Tensor
    counts: Tensor
    background: Tensor


@dataclass(frozen=True)
class Evaluation:
    """Likelihood at some parameters: objective (G,), gradient and Fisher information as in `Layout`.

    Counts are relative: their derivatives are by the logarithm.
    """

    objective: Tensor
    gradient: Tensor
    fisher: Tensor


class Layout:
    """Where the parameters of each group lie in flat vectors and matrices, groups of one size together.

    A group of padded size S has 3 S + 1 parameters: x, y, counts of each slot, then the background.
    """

    def __init__(self, groups: Groups, device: torch.device) -> None:
        length = 3 * groups.size + 1
        vector = np.concatenate([[0], np.cumsum(length)])
        matrix = np.concatenate([[0], np.cumsum(length**2)])
        self.n_vector, self.n_matrix = int(vector[-1]), int(matrix[-1])
        #: (first group, end, first of the vectors, first of the matrices, parameters a group) by size.
        self.blocks: list[tuple[int, int, int, int, int]] = []
        for size in SIZES:
            a, b = np.searchsorted(groups.size, [size, size + 1])
            if b > a:
                self.blocks.append((int(a), int(b), int(vector[a]), int(matrix[a]), 3 * int(size) + 1))
        g, three = groups.group, np.arange(3)
        own = 3 * groups.slot[:, None] + three  # (n, 3) parameters of the emitter within its group
        last = 3 * groups.size
        first, second = groups.pairs.T
        self.groups, self.n_groups = groups, len(length)

        def blocks(k: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
            row: NDArray[np.int64] = matrix[g[k]][:, None] + own[k] * length[g[k]][:, None]
            return row[:, :, None] + own[j][:, None, :]

        row = last[g][:, None] * length[g][:, None] + own
        column = own * length[g][:, None] + last[g][:, None]
        used = np.zeros(self.n_vector, bool)
        used[vector[g][:, None] + own] = True
        used[vector[:-1] + last] = True
        owner = np.repeat(np.arange(len(length)), length)
        diagonal = matrix[owner] + (np.arange(self.n_vector) - vector[owner]) * (length[owner] + 1)
        arrays = {
            "group": g,
            "first": first,
            "second": second,
            "emitter": vector[g][:, None] + own,
            "background": vector[:-1] + last,
            "to_own": blocks(np.arange(len(g)), np.arange(len(g))),
            "to_pairs": blocks(first, second),
            "to_row": matrix[g][:, None] + row,
            "to_column": matrix[g][:, None] + column,
            "to_corner": matrix[:-1] + last * length + last,
            "to_padding": diagonal[~used],
            "diagonal": diagonal,
            "vector_group": owner,
            "matrix_group": np.repeat(np.arange(len(length)), length**2),
        }
        self.index: dict[str, Tensor] = {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(device) for name, value in arrays.items()
        }

    def by_group(self, vector: Tensor) -> Tensor:
        """Sum a flat vector (n,) by group: (groups,)."""
        return vector.new_zeros(self.n_groups).index_add_(0, self.index["vector_group"], vector)

    def solve(self, matrix: Tensor, vector: Tensor) -> Tensor:
        """Solve the groups' symmetric systems; return a flat vector (n,), 0 for a group that is singular."""
        solution = torch.zeros_like(vector)
        for a, b, v, m, size in self.blocks:
            blocks = matrix[m : m + (b - a) * size**2].view(-1, size, size).double()
            right = vector[v : v + (b - a) * size].view(-1, size, 1).double()
            factor, info = torch.linalg.cholesky_ex(blocks)
            part = torch.cholesky_solve(right, factor).squeeze(-1)
            # Emitters that cannot be told apart stay where the network placed them.
            part = torch.where((info == 0)[:, None] & part.isfinite(), part, 0)
            solution[v : v + (b - a) * size] = part.flatten().to(vector.dtype)
        return solution

    def variances(self, matrix: Tensor) -> Tensor:
        """Return the diagonals (n,) of the groups' inverses; infinite where nothing is told."""
        diagonal = matrix.new_zeros(self.n_vector)
        for a, b, v, m, size in self.blocks:
            blocks = matrix[m : m + (b - a) * size**2].view(-1, size, size).double()
            part = torch.cholesky_inverse(_cholesky(blocks)).diagonal(dim1=1, dim2=2)
            part = torch.where(part.isfinite() & (part > 0), part, torch.inf)
            diagonal[v : v + (b - a) * size] = part.flatten().to(matrix.dtype)
        return diagonal


def _cholesky(blocks: Tensor) -> Tensor:
    """Return the Cholesky factors (G, n, n) of matrices of information.

    Between emitters that share most of their light the information of pairs is that of the pixels near both,
    and the whole matrix need not be positive. Then its scaled eigenvalues are raised to the least one that
    such pixels can tell.
    """
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(blocks)
    bad = (info != 0).nonzero().flatten()
    if len(bad):
        scale = blocks[bad].diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
        outer = scale[:, :, None] * scale[:, None, :]
        values, vectors = torch.linalg.eigh(torch.nan_to_num(blocks[bad] / outer))
        regular = (vectors * values.clamp_min(_LEAST_EIGENVALUE)[:, None, :]) @ vectors.mT
        factor[bad] = torch.linalg.cholesky_ex(regular * outer)[0]
    return factor


class Windows:
    """The pixels round each emitter, and the likelihood of parameters there.

    Parameters
    ----------
    image
        (T, Y, X) counts above the background.
    variance
        (T, Y, X) variance without emitters, counts^2: added to image and mean, it makes the noise Poisson.
    valid
        (T, Y, X) bool: pixels that count.
    frame, x_px, y_px
        (n,) where the windows are centred, px.
    sigma_px
        Standard deviation of the PSF, px.
    layout
        Of the groups of these emitters.
    """

    def __init__(
        self,
        image: Tensor,
        variance: Tensor,
        valid: Tensor,
        frame: NDArray[np.int64],
        x_px: NDArray[np.float64],
        y_px: NDArray[np.float64],
        sigma_px: float,
        layout: Layout,
    ) -> None:
        device, (height, width) = image.device, image.shape[-2:]
        self.sigma_px, self.layout = sigma_px, layout
        radius = max(2, math.ceil(2.8 * sigma_px - 0.2))
        self.side = 2 * radius + 1
        self.left = torch.from_numpy(np.floor(x_px) - radius).to(device).long()
        self.top = torch.from_numpy(np.floor(y_px) - radius).to(device).long()
        grid = torch.arange(-_RIM, self.side + _RIM, device=device)
        column, row = self.left[:, None] + grid, self.top[:, None] + grid
        self.row_inside = ((row >= 0) & (row < height)).to(image.dtype)
        self.column_inside = ((column >= 0) & (column < width)).to(image.dtype)
        t = torch.from_numpy(np.ascontiguousarray(frame)).to(device)
        flat_row = (t[:, None] * height + row.clamp(0, height - 1)) * width
        self.wide_pixel = flat_row[:, :, None] + column.clamp(0, width - 1)[:, None, :]
        self.pixel = _inner(self.wide_pixel[:, _RIM:-_RIM]).contiguous()
        self.n_pixels = image.numel()
        floor = pick(variance, self.pixel)
        self.counts = pick(image, self.pixel) + floor
        self.inside = _inner(self.row_inside)[:, :, None] * _inner(self.column_inside)[:, None, :]
        self.inside = self.inside * pick(valid, self.pixel)
        #: (G,) background that a group has where the image is zero, counts; what pixels differ from it.
        self.reference_level = self.group_mean(variance)
        self.base = floor - self.reference_level[layout.index["group"]][:, None, None]
        self.reference = self.counts.clamp_min(1.0)
        self.over_reference = 1 / self.reference
        self.share = self.inside / self._coverage()

    def group_mean(self, image: Tensor) -> Tensor:
        """Average an image (T, Y, X) over the central pixels of each group's windows: (G,)."""
        group = self.layout.index["group"]
        value = pick(image, self.pixel[:, self.side // 2, self.side // 2])
        total = value.new_zeros(self.layout.n_groups).index_add_(0, group, value)
        return total / value.new_zeros(self.layout.n_groups).index_add_(0, group, torch.ones_like(value))

    def _coverage(self) -> Tensor:
        """Count (n, W, W) the windows of the group that hold each pixel."""
        k, j = self.layout.index["first"], self.layout.index["second"]
        grid = torch.arange(self.side, device=self.pixel.device)
        across = (grid + (self.left[k] - self.left[j])[:, None]).clamp(-1, self.side)
        down = (grid + (self.top[k] - self.top[j])[:, None]).clamp(-1, self.side)
        across, down = (((p >= 0) & (p < self.side)).to(self.counts.dtype) for p in (across, down))
        return torch.ones_like(self.counts).index_add_(0, k, down[:, :, None] * across[:, None, :])

    def profiles(self, centre: Tensor) -> Tensor:
        """Return (n, 2, W + rims) pixel integrals of the PSF along an axis and their slopes by the centre."""
        edge = torch.arange(-_RIM, self.side + _RIM + 1, device=centre.device, dtype=centre.dtype)
        scaled = (edge - centre[:, None]) / (self.sigma_px * math.sqrt(2))
        density = torch.exp(-(scaled**2)) / (self.sigma_px * math.sqrt(2 * math.pi))
        return torch.stack([0.5 * torch.erf(scaled).diff(dim=1), -density.diff(dim=1)], 1)

    def light(self, counts: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the flat image (T * Y * X,) of the emitters, windows and rims, from their wide profiles."""
        down = rows[:, 0] * self.row_inside * counts[:, None]
        spots = down[:, :, None] * (columns[:, 0] * self.column_inside)[:, None, :]
        return spots.new_zeros(self.n_pixels).index_add_(0, self.wide_pixel.flatten(), spots.flatten())

    def mean(self, emitters: Emitters, rows: Tensor, columns: Tensor) -> Tensor:
        """Return (n, W, W) expected counts, with the light of every emitter."""
        background = emitters.background[self.layout.index["group"]]
        level = (background[:, None, None] + self.base).clamp_min(_MIN_MEAN)
        return pick(self.light(emitters.counts, rows, columns), self.pixel) + level

    def evaluate(self, emitters: Emitters) -> Evaluation:
        """Return the Poisson log likelihood of each group, its gradient and its Fisher information."""
        index, counts = self.layout.index, emitters.counts[:, None]
        rows, columns = self.profiles(emitters.y), self.profiles(emitters.x)
        mean = self.mean(emitters, rows, columns)
        rows, columns = _inner(rows), _inner(columns)
        ratio = self.counts / mean
        residual = (ratio - 1) * self.inside
        weight = self.inside / mean
        # Minus half of the deviance: the log likelihood up to a constant, and a small number.
        deviance = self.counts * (mean * self.over_reference).log() - mean + self.reference
        gradient = mean.new_zeros(self.layout.n_vector)
        gradient[index["emitter"]] = _moments(rows, residual, columns)[:, _ROW, _COLUMN] * counts
        gradient[index["background"]] = self._by_group(residual)
        sums = _moments(_squares(rows), weight, _squares(columns))
        coupling = sums[:, 3:, 3:][:, _ROW, _COLUMN] * counts
        own = sums[:, _ROW_PRODUCT, _COLUMN_PRODUCT] * (counts**2)[:, None]
        fisher = gradient.new_zeros(self.layout.n_matrix)
        fisher[index["to_own"]] = own
        fisher[index["to_pairs"]] = self._information(emitters, rows, columns, weight)
        fisher[index["to_row"]] = coupling
        fisher[index["to_column"]] = coupling
        fisher[index["to_corner"]] = self._by_group(weight)
        fisher[index["to_padding"]] = 1.0
        return Evaluation(self._by_group(deviance), gradient, fisher)

    def misfit(self, emitters: Emitters, model_error: float) -> Tensor:
        """Return (n,) how far Pearson's chi-squared of each window is above its expectation, in its own
        standard deviations (variance of a pixel's term: 2 + 1 / mean). A share of the emitters' light counts
        as an error of the model: no PSF is known exactly.
        """
        rows, columns = self.profiles(emitters.y), self.profiles(emitters.x)
        mean = self.mean(emitters, rows, columns)
        wrong = model_error * pick(self.light(emitters.counts, rows, columns), self.pixel)
        excess = ((self.counts - mean) ** 2 / (mean + wrong**2) - 1) * self.inside
        return excess.sum((1, 2)) / ((2 + 1 / mean) * self.inside).sum((1, 2)).clamp_min(1e-6).sqrt()

    def _by_group(self, windows: Tensor) -> Tensor:
        """Sum (n, W, W) over the pixels of each group, every pixel once."""
        sums = (windows * self.share).sum((1, 2))
        return sums.new_zeros(self.layout.n_groups).index_add_(0, self.layout.index["group"], sums)

    def _information(self, emitters: Emitters, rows: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
        """Return (P, 3, 3) Fisher information between the emitters of each pair."""
        k, j = self.layout.index["first"], self.layout.index["second"]
        other_rows = _inner(self.profiles(emitters.y[j] + (self.top[j] - self.top[k])))
        other_columns = _inner(self.profiles(emitters.x[j] + (self.left[j] - self.left[k])))
        own_rows, own_columns, shared = (values.index_select(0, k) for values in (rows, columns, weight))
        down = (own_rows[:, :, None] * other_rows[:, None]).flatten(1, 2)
        across = (own_columns[:, :, None] * other_columns[:, None]).flatten(1, 2)
        sums = _moments(down, shared, across)[:, _PAIR_ROW, _PAIR_COLUMN]
        return sums * (emitters.counts[k] * emitters.counts[j])[:, None, None]

    def select(self, emitters: Emitters, groups: Tensor, layout: Layout) -> Windows:
        """Return the windows of some emitters, the light of the others frozen as it is.

        Parameters
        ----------
        emitters
            Parameters of all emitters.
        groups
            (G,) bool: those whose emitters are taken.
        layout
            Of the chosen groups.
        """
        chosen = groups[self.layout.index["group"]]
        counts = torch.where(chosen, 0.0, emitters.counts)
        frozen = self.light(counts, self.profiles(emitters.y), self.profiles(emitters.x))
        part = copy.copy(self)
        for name in _PER_EMITTER:
            setattr(part, name, getattr(self, name)[chosen])
        part.base = part.base + pick(frozen, part.pixel)
        part.layout = layout
        part.reference_level = self.reference_level[groups]
        return part


def _inner(wide: Tensor) -> Tensor:
    """Return the last axis without the rims."""
    return wide[..., _RIM:-_RIM]


def _moments(rows: Tensor, weight: Tensor, columns: Tensor) -> Tensor:
    """Return (n, R, C): sums over the window of weight times row profile and column profile."""
    return torch.bmm(torch.bmm(rows, weight), columns.transpose(1, 2))


def _squares(profiles: Tensor) -> Tensor:
    """Return (n, 5, W): integral squared, integral times slope, slope squared, integral, slope."""
    integral, slope = profiles.unbind(1)
    return torch.stack([integral**2, integral * slope, slope**2, integral, slope], 1)
