"""One Gauss-Newton step for all emitters of a frame together, and for the background under them.

Where spots overlap, an emitter's best step depends on its neighbours'. Steps that look at one emitter after
the other then creep along the valley of the likelihood; this one solves for all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autods.inference.linear_fit import Pair, conjugate_gradients, pick, scatter

#: Iterations at most, and the residual at which the step is good enough: it is one of several.
_MAX_ITERATIONS, _TOLERANCE = 8, 0.1
#: The background's nodes move little: this part of their own information keeps them where they are.
_NODE_DAMPING = 1e-3


def joint_step(
    slopes: Tensor,
    gradient: Tensor,
    prior: Tensor,
    pixel: Tensor,
    frame: Tensor,
    axes: Pair,
    residual: Tensor,
    weight: Tensor,
    damping: Tensor,
) -> Pair:
    """Solve ``(J^T W J + prior + damping) step = J^T W residual + gradient``.

    Conjugate gradients without the matrix: what an iteration costs does not grow with the overlap.

    Parameters
    ----------
    slopes
        (N, k, S, S) of the model by an emitter's parameters in its window, 0 outside of the frame.
    gradient, prior
        (N, k) slope and curvature of the prior's logarithm, the latter positive.
    pixel, frame, axes
        See `autods.inference.linear_fit.solve`.
    residual, weight
        (T, Y, X) data less model, and inverse variances.
    damping
        (T,) Levenberg's, in parts of each parameter's own information.

    Returns
    -------
    step, nodes
        (N, k) change of the parameters and (T, ny, nx) of the background's nodes.
    """
    flat = slopes.flatten(2)
    weight_at = pick(weight, pixel).flatten(1)
    own = torch.einsum("nip,np,njp->nij", flat, weight_at, flat)
    diagonal = own.diagonal(dim1=1, dim2=2)
    added = prior + damping[frame, None] * diagonal + 1e-6 * diagonal.amax(1, keepdim=True).clamp_min(1e-12)
    block = torch.linalg.inv(own + torch.diag_embed(added))
    node_information = (axes[0] ** 2).T @ weight @ axes[1] ** 2
    stiffness = _NODE_DAMPING * node_information.clamp_min(1e-12)

    def apply(pair: Pair) -> Pair:
        image = axes[0] @ pair[1] @ axes[1].T
        image = weight * scatter(image, torch.bmm(pair[0][:, None], flat).view_as(pixel), pixel)
        spots = torch.bmm(flat, pick(image, pixel).flatten(1)[:, :, None])[:, :, 0]
        return spots + added * pair[0], axes[0].T @ image @ axes[1] + stiffness * pair[1]

    def precondition(pair: Pair) -> Pair:
        return (block @ pair[0][:, :, None])[:, :, 0], pair[1] / (node_information + stiffness)

    image = weight * residual
    spots = torch.bmm(flat, pick(image, pixel).flatten(1)[:, :, None])[:, :, 0]
    right = spots + gradient, axes[0].T @ image @ axes[1]
    return conjugate_gradients(apply, precondition, right, frame, _MAX_ITERATIONS, _TOLERANCE)
