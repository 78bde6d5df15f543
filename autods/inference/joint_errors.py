"""Standard errors of emitters that overlap: what one takes from another's light makes both less certain."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

#: Neighbours of an emitter that are reckoned with: the nearest.
_NEIGHBOURS = 6
#: Numbers that are gathered at once.
_BLOCK = 20_000_000


def joint_variances(
    fisher: Tensor, slopes: Tensor, weight: Tensor, middle: Tensor, frame: Tensor, lit: Tensor
) -> Tensor:
    """Diagonal (n, k) of the inverse Fisher information, each emitter fitted together with its neighbours.

    The information on an emitter and its nearest neighbours is a matrix whose blocks are
    ``sum_p J_i(p) W(p) J_j(p)`` over the pixels that both windows hold (Huang et al., Biomed. Opt. Express 2,
    1377 (2011)); its inverse holds what confusion of their light costs. Never below the emitter's own bound.

    Parameters
    ----------
    fisher
        (n, k, k) information on each emitter by itself, priors included; background last.
    slopes
        (n, k, S * S) of the model by its parameters in its window.
    weight
        (n, S * S) inverse variances there.
    middle
        (n, 2) column and row of each window's middle.
    frame
        (n,) frame of each.
    lit
        (n,) bool: emitters with photons; others are no neighbours.
    """
    _, k, area = slopes.shape
    size = round(area**0.5)
    own = _inverse_diagonal(fisher)
    near = _nearest(middle.cpu().numpy(), frame.cpu().numpy(), lit.cpu().numpy(), size)
    first, slot = np.nonzero(near >= 0)
    if not len(first):
        return own
    pairs = np.unique(np.sort(np.stack([first, near[first, slot]], 1), axis=1), axis=0)
    blocks = _blocks(torch.from_numpy(pairs).to(slopes.device), slopes, weight, middle, size)
    whole = _assemble(fisher, blocks, pairs, near, k)
    joint = _inverse_diagonal(whole)[:, :k]
    return torch.where(torch.isfinite(joint), torch.maximum(joint, own), own)


def _nearest(
    middle: NDArray[np.float64], frame: NDArray[np.int64], lit: NDArray[np.bool_], size: int
) -> NDArray[np.int64]:
    """Return (n, K) nearest lit emitters of the frame whose windows overlap; -1 where there are fewer."""
    near = np.full((len(middle), _NEIGHBOURS), -1, np.int64)
    rows = np.flatnonzero(lit)
    if len(rows) < 2:
        return near
    points = np.column_stack([middle, frame * 4.0 * size])[rows]
    wanted = min(_NEIGHBOURS + 1, len(rows))
    distance, index = cKDTree(points).query(points, wanted, p=np.inf, distance_upper_bound=size - 0.5)
    index = np.where(np.isfinite(distance), index, len(rows))
    index[index == np.arange(len(rows))[:, None]] = len(rows)
    # The emitter itself need not come first among several at one place.
    order = np.argsort(index == len(rows), axis=1, kind="stable")[:, :_NEIGHBOURS]
    chosen = np.take_along_axis(index, order, 1)
    near[rows, : chosen.shape[1]] = np.append(rows, -1)[chosen]
    return near


def _blocks(pairs: Tensor, slopes: Tensor, weight: Tensor, middle: Tensor, size: int) -> Tensor:
    """Return (P, k, k) information that pairs (P, 2) of emitters share."""
    axis = torch.arange(size, device=slopes.device)
    out = []
    for part in torch.split(pairs, max(1, _BLOCK // slopes[0].numel())):
        i, j = part.unbind(1)
        # Pixel (row, column) of the first's window is this one of the second's.
        column, row = (axis + (middle[i] - middle[j]).long()[:, a, None] for a in (0, 1))
        held = ((row >= 0) & (row < size))[:, :, None] & ((column >= 0) & (column < size))[:, None, :]
        pixel = row.clamp(0, size - 1)[:, :, None] * size + column.clamp(0, size - 1)[:, None, :]
        at = pixel.flatten(1)[:, None].expand(-1, slopes.shape[1], -1)
        other = slopes[j].gather(2, at)
        out.append(torch.einsum("pia,pa,pja->pij", slopes[i], weight[i] * held.flatten(1), other))
    return torch.cat(out).double()


def _assemble(
    fisher: Tensor, blocks: Tensor, pairs: NDArray[np.int64], near: NDArray[np.int64], k: int
) -> Tensor:
    """Return (n, M, M) information on each emitter and its neighbours, M = k + K (k - 1).

    The neighbours' backgrounds are left out: theirs is that of the emitter.
    """
    n, count = near.shape
    device = fisher.device
    members = np.concatenate([np.arange(n)[:, None], near], 1)
    sizes = [k] + [k - 1] * count
    starts = np.concatenate([[0], np.cumsum(sizes)])
    whole = torch.zeros(n, int(starts[-1]), int(starts[-1]), dtype=torch.float64, device=device)
    keys = pairs[:, 0] * n + pairs[:, 1]
    padded = torch.cat([blocks, torch.zeros_like(blocks[:1])])
    for a in range(count + 1):
        first = members[:, a]
        here = slice(int(starts[a]), int(starts[a + 1]))
        own = fisher[torch.from_numpy(first).to(device).clamp_min(0)][:, : sizes[a], : sizes[a]]
        present = torch.from_numpy(first >= 0).to(device)[:, None, None]
        whole[:, here, here] = torch.where(present, own, torch.eye(sizes[a], dtype=torch.float64).to(device))
        for b in range(a + 1, count + 1):
            second = members[:, b]
            low, high = np.minimum(first, second), np.maximum(first, second)
            place = np.searchsorted(keys, low * n + high).clip(0, len(keys) - 1)
            known = (low >= 0) & (keys[place] == low * n + high)
            block = padded[torch.from_numpy(np.where(known, place, len(keys))).to(device)]
            turned = torch.from_numpy(first > second).to(device)[:, None, None]
            block = torch.where(turned, block.transpose(1, 2), block)[:, : sizes[a], : sizes[b]]
            there = slice(int(starts[b]), int(starts[b + 1]))
            whole[:, here, there] = block
            whole[:, there, here] = block.transpose(1, 2)
    return whole


def _inverse_diagonal(fisher: Tensor) -> Tensor:
    """Diagonal of the inverses of (n, m, m) after scaling; nearly singular ones get large, finite entries."""
    scale = fisher.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    regular = fisher / (scale[:, :, None] * scale[:, None, :])
    regular = regular + 1e-6 * torch.eye(fisher.shape[-1]).to(fisher)
    inverse: Tensor = torch.linalg.inv(regular).diagonal(dim1=1, dim2=2) / scale**2
    return inverse
