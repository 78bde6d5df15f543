"""Deep-STORM's heatmaps: a Gaussian spot a emitter on a grid finer than the camera's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autods.core import EmitterBatch
from autods.core.grid import nm_to_px
from autods.networks.losses import blur, deepstorm_loss, gaussian_kernel
from autods.representation.base import Detections


class HeatmapRepresentation:
    """Emitters as Gaussians of sub-pixel position on a grid ``upsampling`` times finer than the camera's.

    The target of Deep-STORM (Nehme et al., Optica 5, 458 (2018)).

    Parameters
    ----------
    pixel_size_nm
        Camera pixel of the network's input, nm.
    upsampling
        Heatmap pixels per camera pixel and axis.
    amplitude
        Peak of an emitter in the target.
    sigma_px
        Standard deviation of the Gaussian, heatmap pixels.
    window_px
        Radius of the neighbourhood, in heatmap pixels, in which a detection is the highest.
    centroid_px
        Radius of the neighbourhood whose centre of mass is the sub-pixel position, heatmap pixels.
    """

    def __init__(
        self,
        pixel_size_nm: float,
        upsampling: int = 8,
        amplitude: float = 100.0,
        sigma_px: float = 1.0,
        window_px: int = 1,
        centroid_px: int = 2,
    ) -> None:
        self.pixel_size_nm = pixel_size_nm
        self.upsampling = upsampling
        self.amplitude = amplitude
        self.sigma_px = sigma_px
        self.window_px = window_px
        self.centroid_px = centroid_px

    def target(self, emitters: EmitterBatch, shape_px: tuple[int, int]) -> Tensor:
        """Render the heatmaps of the emitters inside the field.

        Returns (B, 1, uY, uX); Gaussians of overlapping emitters add up.

        Parameters
        ----------
        emitters
            True emitters of B frames.
        shape_px
            Rows and columns of a heatmap, px.
        """
        x, y = nm_to_px(emitters.xyz_nm[..., :2] * self.upsampling, self.pixel_size_nm).unbind(-1)
        inside = emitters.mask & (x >= 0) & (x < shape_px[1]) & (y >= 0) & (y < shape_px[0])
        columns = self._profile(x, shape_px[1])
        rows = self._profile(y, shape_px[0]) * (self.amplitude * inside).unsqueeze(-1)
        return torch.bmm(rows.transpose(1, 2), columns).unsqueeze(1)

    def _profile(self, centre: Tensor, n_px: int) -> Tensor:
        grid = torch.arange(n_px, device=centre.device) + 0.5
        return torch.exp(-0.5 * ((grid - centre.unsqueeze(-1)) / self.sigma_px) ** 2)

    def loss(
        self,
        output: Tensor,
        emitters: EmitterBatch,
        background: Tensor | None = None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return the terms of :func:`~autods.networks.losses.deepstorm_loss` for outputs (B, 1, uY, uX)."""
        target = self.target(emitters, (output.shape[-2], output.shape[-1]))
        return deepstorm_loss(output, target, self._kernel(output))

    def decode(self, output: Tensor, threshold: float) -> Detections:
        """Find emitters in heatmaps.

        The rectified heatmap is blurred with the target's Gaussian, since that is what training compared with
        the target; local maxima of it are detections, and their height, in units of the amplitude, is the
        confidence. The position is the centre of mass of the rectified heatmap round the maximum. Returns
        `Detections`, by image, then row, then column.

        Parameters
        ----------
        output
            (B, 1, uY, uX) network output.
        threshold
            Smallest confidence.
        """
        heatmap = output.relu()
        smooth = blur(heatmap, self._kernel(output)) / self.amplitude
        window = 2 * self.window_px + 1
        # Comparing indices instead of values leaves one pixel of a plateau of equal ones.
        _, highest = F.max_pool2d(smooth, window, stride=1, padding=self.window_px, return_indices=True)
        own = torch.arange(smooth[0].numel(), device=output.device).view(smooth[0].shape)
        peaks = (highest == own) & (smooth >= max(threshold, 1e-6))
        frame, _, row, column = torch.nonzero(peaks, as_tuple=True)
        confidence = smooth[frame, 0, row, column]
        dy, dx = self._centroid(heatmap, frame, row, column)
        scale = 1 / self.upsampling
        return Detections(frame, (column + 0.5 + dx) * scale, (row + 0.5 + dy) * scale, confidence)

    def _centroid(self, heatmap: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centre of mass (dy, dx) of the neighbourhoods, heatmap pixels from their centre."""
        radius = self.centroid_px
        padded = F.pad(heatmap, (radius, radius, radius, radius))
        offset = torch.arange(-radius, radius + 1, device=heatmap.device)
        rows = (row[:, None] + radius + offset)[:, :, None]
        columns = (column[:, None] + radius + offset)[:, None, :]
        patches = padded[frame[:, None, None], 0, rows, columns]
        mass = patches.sum((1, 2)).clamp_min(1e-12)
        weight = offset.to(heatmap.dtype)
        return (patches.sum(2) * weight).sum(1) / mass, (patches.sum(1) * weight).sum(1) / mass

    def _kernel(self, like: Tensor) -> Tensor:
        return gaussian_kernel(self.sigma_px, max(1, round(3 * self.sigma_px))).to(like.device)
