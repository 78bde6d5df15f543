"""Gradients that may not be numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def leave_out_nan(parameters: Iterable[nn.Parameter]) -> None:
    """Put 0 in the place of what is no number in the gradients: one step of it would undo a training."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    torch._foreach_copy_(gradients, [torch.nan_to_num(g, 0.0, 0.0, 0.0) for g in gradients])
