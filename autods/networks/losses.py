"""Losses on network outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(sigma_px: float, radius_px: int) -> Tensor:
    """Return a (2 * radius_px + 1,) Gaussian of peak 1."""
    offset = torch.arange(-radius_px, radius_px + 1, dtype=torch.float32)
    return torch.exp(-0.5 * (offset / sigma_px) ** 2)


def blur(images: Tensor, kernel: Tensor) -> Tensor:
    """Convolve images (B, 1, Y, X) with the separable kernel ``kernel * kernel^T``, zeros outside."""
    radius = len(kernel) // 2
    rows = F.conv2d(images, kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, radius))


def deepstorm_loss(prediction: Tensor, target: Tensor, kernel: Tensor) -> dict[str, Tensor]:
    """Deep-STORM's loss: squared error of the blurred prediction and sparsity of the prediction.

    ``L = mean((target - g * prediction)^2) + mean(|prediction|)`` with the target already made of the same
    Gaussians g (Nehme et al., Optica 5, 458 (2018), eq. 1).

    Parameters
    ----------
    prediction
        (B, 1, uY, uX) network output.
    target
        (B, 1, uY, uX) sum of Gaussians at the true positions.
    kernel
        The Gaussian g along one axis.

    Returns
    -------
    dict of str to Tensor
        The terms ``mse`` and ``sparsity``; the loss is their sum.
    """
    return {"mse": F.mse_loss(blur(prediction, kernel), target), "sparsity": prediction.abs().mean()}
