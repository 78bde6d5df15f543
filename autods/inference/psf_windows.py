"""Windows of frames around emitters, and the PSF's image in each."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from autods.optics import PSFModel, SplinePSF
from autods.optics.field import FieldPSF

#: Distance over which slopes are taken, nm: far below any PSF's structure, far above rounding.
_DELTA_NM = 3.0


class PsfWindows:
    """Square windows around N emitters of a block of frames; they stay while the emitters move.

    Parameters
    ----------
    shape
        (T, Y, X) of the block.
    frame
        (N,) frame of each emitter.
    xyz
        (N, 3) positions: x and y in corner pixels, z in nm.
    size_px
        Side of a window, odd, px.
    pixel_size_nm
        Camera pixel, nm.
    origin_px
        Column and row of the frames' corner in the full frame, for a PSF that changes over the field, px.

    Attributes
    ----------
    xyz
        (N, 3) the present positions.
    middle
        (N, 2) column and row of the pixel in the windows' middle.
    pixel
        (N, S, S) index of the windows' pixels into the flat block.
    corner
        (N, 2) row and column of each window's first pixel, which may lie outside of the frame.
    inside
        (N, S, S) 1 for pixels within the frame, 0 beyond it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        frame: Tensor,
        xyz: Tensor,
        size_px: int,
        pixel_size_nm: float,
        origin_px: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._origin_px = origin_px
        _, height, width = shape
        self.frame, self.xyz = frame, xyz
        self.size_px, self.pixel_size_nm = size_px, pixel_size_nm
        self.middle = xyz[:, :2].floor()
        grid = torch.arange(size_px, device=xyz.device) - size_px // 2
        column, row = (self.middle[:, axis, None].long() + grid for axis in (0, 1))
        inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
        self.corner = torch.stack([row[:, 0], column[:, 0]], 1)
        start = (frame[:, None] * height + row.clamp(0, height - 1)) * width
        self.inside = inside.to(xyz.dtype)
        self.pixel = start[:, :, None] + column.clamp(0, width - 1)[:, None, :]

    def select(self, rows: Tensor) -> PsfWindows:
        """Return the windows of some emitters, a mask (N,) or an index array (M,)."""
        other = copy.copy(self)
        for name in ("frame", "xyz", "middle", "corner", "inside", "pixel"):
            setattr(other, name, getattr(self, name)[rows])
        return other

    def images(self, psf: PSFModel) -> Tensor:
        """Return (N, S, S) unit PSFs at the present positions."""
        return self._placed(psf)(self._local_nm(), self.size_px)

    def images_and_slopes(self, psf: PSFModel) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (N, S, S) unit PSFs and their slopes by x, y and z, per nm."""
        local = self._local_nm()
        if isinstance(psf, SplinePSF):
            return psf.with_slopes(local, self.size_px)
        shifts = _DELTA_NM * torch.eye(3, device=local.device)
        placed = self._placed(psf)
        image = placed(local, self.size_px)
        x, y, z = ((placed(local + shift, self.size_px) - image) / _DELTA_NM for shift in shifts)
        return image, x, y, z

    def _placed(self, psf: PSFModel) -> Callable[[Tensor, int], Tensor]:
        """Return the PSF that each emitter has at its place."""
        if not isinstance(psf, FieldPSF):
            return psf
        x, y = ((self.middle[:, axis] + 0.5 + self._origin_px[axis]) * self.pixel_size_nm for axis in (0, 1))
        return psf.placed(x, y)

    def _local_nm(self) -> Tensor:
        """Positions (N, 3) from the middle of the windows, nm."""
        lateral = (self.xyz[:, :2] - self.middle - 0.5) * self.pixel_size_nm
        return torch.cat([lateral, self.xyz[:, 2:]], 1)
