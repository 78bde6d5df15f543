"""Small images added into frames."""

from __future__ import annotations

import torch
from torch import Tensor


def add_regions(
    images: Tensor, frame: Tensor, pixel: Tensor, n_frames: int, shape: tuple[int, int]
) -> Tensor:
    """Add square images into empty frames; what lies outside is dropped.

    Returns (B, Y, X).

    Parameters
    ----------
    images
        (N, S, S) with odd S.
    frame
        (N,) frame of each image.
    pixel
        (N, 2) column and row of the pixel under the image's middle.
    n_frames
        Number of frames B.
    shape
        Rows and columns of a frame.
    """
    radius = images.shape[-1] // 2
    offset = torch.arange(-radius, radius + 1, device=images.device)
    columns = (pixel[:, 0, None] + offset)[:, None, :]
    rows = (pixel[:, 1, None] + offset)[:, :, None]
    # What lies outside falls into a border of one pixel, which is cut off.
    height, width = shape[0] + 2, shape[1] + 2
    rows, columns = (rows + 1).clamp(0, height - 1), (columns + 1).clamp(0, width - 1)
    flat = (frame[:, None, None] * height + rows) * width + columns
    canvas = images.new_zeros(n_frames * height * width)
    canvas.index_add_(0, flat.flatten(), images.flatten())
    return canvas.view(n_frames, height, width)[:, 1:-1, 1:-1]
