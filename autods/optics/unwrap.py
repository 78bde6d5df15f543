"""Unwrapping of a pupil phase."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor


def unwrap_phase(phase: Tensor, inside: Tensor) -> Tensor:
    """Phase (P, P) without jumps of 2 pi inside a region, as far as that is possible.

    Least squares on the wrapped differences of neighbours (Ghiglia & Romero, JOSA A 11, 107 (1994)). The
    result is smooth rather than equal to the input up to multiples of 2 pi where a vortex forbids it.

    Parameters
    ----------
    phase
        (P, P) radians.
    inside
        (P, P) bool region; outside it the input is returned.
    """
    mask = inside.numpy()
    values = phase.detach().double().numpy()
    index = np.full(mask.shape, -1)
    index[mask] = np.arange(mask.sum())
    rows, columns, steps = [], [], []
    for here, there in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        both = mask[here] & mask[there]
        difference = (values[there] - values[here])[both]
        rows.append(index[here][both])
        columns.append(index[there][both])
        steps.append(np.angle(np.exp(1j * difference)))
    first, second, step = np.concatenate(rows), np.concatenate(columns), np.concatenate(steps)
    edge = np.arange(len(step))
    ones = np.ones(len(step))
    shape = (len(step), int(mask.sum()))
    gradient = sparse.csr_matrix((ones, (edge, second)), shape) - sparse.csr_matrix(
        (ones, (edge, first)), shape
    )
    # The mean is free: a small ridge fixes it.
    normal = gradient.T @ gradient + 1e-9 * sparse.identity(shape[1])
    solution = spsolve(normal.tocsc(), gradient.T @ step)
    smooth = values.copy()
    offset = np.angle(np.mean(np.exp(1j * (values[mask] - solution))))
    smooth[mask] = solution + offset
    return torch.from_numpy(smooth).to(phase.dtype)
