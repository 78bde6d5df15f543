"""Losses on network outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(sigma_px: float, radius_px: int) -> Tensor:
    """Return a (2 * radius_px + 1,) Gaussian of peak 1.

    Examples
    --------
    >>> [round(value, 3) for value in gaussian_kernel(1.0, 2).tolist()]
    [0.135, 0.607, 1.0, 0.607, 0.135]
    """
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
    Gaussians g (Nehme et al., Optica 5, 458 (2018), eq. 1). Returns the terms ``mse`` and ``sparsity``; the
    loss is their sum.

    Parameters
    ----------
    prediction
        (B, 1, uY, uX) network output.
    target
        (B, 1, uY, uX) sum of Gaussians at the true positions.
    kernel
        The Gaussian g along one axis.

    Examples
    --------
    >>> import torch
    >>> target = torch.zeros(1, 1, 8, 8)
    >>> loss = deepstorm_loss(target + 1.0, target, gaussian_kernel(1.0, 2))
    >>> sorted(loss)
    ['mse', 'sparsity']
    """
    return {"mse": F.mse_loss(blur(prediction, kernel), target), "sparsity": prediction.abs().mean()}


def blur_volumes(volumes: Tensor, kernel: Tensor) -> Tensor:
    """Convolve volumes (B, Z, Y, X) with the separable kernel ``kernel`` along each axis, zeros outside."""
    radius = len(kernel) // 2
    out = volumes.unsqueeze(1)
    for axis in range(3):
        shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
        shape[2 + axis], padding[axis] = len(kernel), radius
        out = F.conv3d(out, kernel.to(volumes).view(shape), padding=padding)
    return out.squeeze(1)


def volume_mse(prediction: Tensor, target: Tensor, n_px: int) -> Tensor:
    """Squared error of volumes (B, Z, Y, X), summed over the voxels, per frame and 100 camera pixels.

    A mean over the voxels would vanish with their number, since nearly all of them are empty.

    Parameters
    ----------
    prediction, target
        Volumes in units of an emitter's amplitude.
    n_px
        Camera pixels of a frame.
    """
    return F.mse_loss(prediction, target, reduction="sum") * (100 / (len(prediction) * n_px))


def kde_loss(prediction: Tensor, target: Tensor, kernel: Tensor, n_px: int) -> Tensor:
    """Kernel density loss: `volume_mse` of both volumes convolved with a 3D Gaussian.

    ``L = |g * prediction - g * target|^2`` (Nehme et al., Nature Methods 17, 734 (2020)); the convolution is
    linear, so the difference is convolved once.

    Parameters
    ----------
    prediction, target
        (B, Z, Y, X); the target holds single voxels.
    kernel
        The Gaussian g along one axis.
    n_px
        Camera pixels of a frame.
    """
    difference = blur_volumes(prediction - target, kernel)
    return volume_mse(difference, torch.zeros_like(difference), n_px)
