"""Tabulated PSF, evaluated by cubic B-splines: the fast sampler and the empirical PSF."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import spline_filter1d
from torch import Tensor, nn

from autods.core import UserError
from autods.optics.protocol import PSFModel

#: Zero rows and columns around a table while it is filtered, so that the spline ends at zero; two stay.
_BORDER = 5


def cubic_bspline(t: Tensor) -> Tensor:
    """Centred cubic B-spline at t (any shape): support |t| < 2, integral 1.

    Examples
    --------
    >>> import torch
    >>> [round(value, 3) for value in cubic_bspline(torch.tensor([0.0, 1.0, 2.0])).tolist()]
    [0.667, 0.167, 0.0]
    """
    outer, inner = (2 - t.abs()).clamp(min=0), (1 - t.abs()).clamp(min=0)
    return outer**3 / 6 - inner**3 * (2 / 3)


class SplinePSF(nn.Module):
    """PSF interpolated between the samples of a volume, cubic in x, y and z.

    Raises `UserError` if the volume has fewer than 4 slices, is not finite or the step is not positive.

    Parameters
    ----------
    volume
        (Z, H, W) photons per pixel at the sampled positions for an emitter at the table's centre, rows along
        y; samples are `pixel_size_nm / oversampling` apart laterally.
    z_start_nm, z_step_nm
        z of the first slice and the distance between slices (positive), nm. Emitters outside get the nearest
        slice.
    pixel_size_nm
        Camera pixel in the sample, nm.
    oversampling
        Lateral samples a pixel.
    """

    coefficients: Tensor

    def __init__(
        self,
        volume: np.ndarray | Tensor,
        z_start_nm: float,
        z_step_nm: float,
        pixel_size_nm: float,
        oversampling: int = 1,
    ) -> None:
        super().__init__()
        table = np.asarray(volume, np.float64)
        if table.ndim != 3 or table.shape[0] < 4 or not np.isfinite(table).all() or not z_step_nm > 0:
            raise UserError(
                f"psf: shape {table.shape} and z step {z_step_nm} nm do not make a spline PSF:"
                " give at least 4 slices (Z, Y, X) of finite values and a step above 0"
            )
        self.pixel_size_nm, self.oversampling = pixel_size_nm, oversampling
        self.z_start_nm, self.z_step_nm = z_start_nm, z_step_nm
        table = np.pad(table, ((0, 0), (_BORDER, _BORDER), (_BORDER, _BORDER)))
        # The filter mirrors the ends, which flattens them: continue the slices point-symmetrically first.
        table = np.pad(table, ((3, 3), (0, 0), (0, 0)), mode="reflect", reflect_type="odd")
        for axis in range(3):
            table = spline_filter1d(table, 3, axis=axis, mode="mirror")
        trim = _BORDER - 2
        table = table[2:-2, trim:-trim, trim:-trim]
        # Kept mirrored laterally: the shift matrices then are plain sliding windows over their lags.
        table = np.ascontiguousarray(table[:, ::-1, ::-1])
        self.register_buffer("coefficients", torch.from_numpy(table.astype(np.float32)))

    @classmethod
    def from_coefficients(
        cls,
        coefficients: Tensor,
        z_start_nm: float,
        z_step_nm: float,
        pixel_size_nm: float,
        oversampling: int = 1,
    ) -> SplinePSF:
        """Rebuild a PSF from the coefficients of another one; parameters as in `SplinePSF`."""
        slices, rows, columns = coefficients.shape
        blank = np.zeros((slices - 2, rows - 4, columns - 4))
        psf = cls(blank, z_start_nm, z_step_nm, pixel_size_nm, oversampling)
        psf.coefficients.copy_(coefficients)
        return psf

    @property
    def z_range_nm(self) -> tuple[float, float]:
        """First and last z of the table, nm."""
        slices = self.coefficients.shape[0] - 2
        return self.z_start_nm, self.z_start_nm + (slices - 1) * self.z_step_nm

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        xyz_nm = xyz_nm.to(self.coefficients.dtype)
        slices = self._interpolate_z(xyz_nm[:, 2])
        across = self._shift_matrix(xyz_nm[:, 0], size_px, slices.shape[2])
        down = self._shift_matrix(xyz_nm[:, 1], size_px, slices.shape[1])
        images: Tensor = down @ slices @ across.transpose(1, 2)
        return images

    def _interpolate_z(self, z_nm: Tensor) -> Tensor:
        """Coefficients (N, H, W) of the lateral splines at z (N,)."""
        depth = self.coefficients.shape[0]
        # Coefficient k sits at slice k - 1.
        node = ((z_nm - self.z_start_nm) / self.z_step_nm).clamp(0, depth - 3) + 1
        first = node.detach().floor().clamp(1, depth - 3).long() - 1
        taps = first[:, None] + torch.arange(4, device=z_nm.device)
        weights = cubic_bspline(node[:, None] - taps)
        flat = self.coefficients.flatten(1)
        if z_nm.requires_grad or torch._C._functorch.maybe_current_level() is not None:
            mixed = (weights[:, :, None] * flat[taps]).sum(1)
        else:
            mixed = torch.nn.functional.embedding_bag(taps, flat, per_sample_weights=weights, mode="sum")
        return mixed.reshape(-1, *self.coefficients.shape[1:])

    def _shift_matrix(self, centre_nm: Tensor, size_px: int, count: int) -> Tensor:
        """Spline weights (N, size_px, count) from table samples to pixels, emitters at `centre_nm` (N,)."""
        os = self.oversampling
        # Pixel j lies os * (j - (S - 1) / 2) samples off the centre, mirrored sample k (count - 1) / 2 - k.
        lags = torch.arange(os * (size_px - 1) + count, device=centre_nm.device)
        offset = lags - ((count - 1) + os * (size_px - 1)) / 2
        weights = cubic_bspline(offset - centre_nm[:, None] * (os / self.pixel_size_nm))
        return weights.unfold(1, count, os).contiguous()


def tabulate(
    psf: PSFModel,
    z_min_nm: float,
    z_max_nm: float,
    z_step_nm: float = 25.0,
    size_px: int = 41,
    oversampling: int = 1,
) -> SplinePSF:
    """Sample a PSF into a table that renders many times faster.

    Parameters
    ----------
    psf
        The exact model.
    z_min_nm, z_max_nm, z_step_nm
        Range and slice distance of the table, which reaches a little beyond, nm.
    size_px
        Side of the table in camera pixels; light outside it is lost.
    oversampling
        Lateral samples a pixel; 2 where the camera undersamples the PSF.
    """
    # Two slices beyond each end keep the spline's end conditions away from the range asked for.
    count = int(np.ceil((z_max_nm - z_min_nm) / z_step_nm - 1e-6)) + 5
    z = z_min_nm + z_step_nm * (torch.arange(count, dtype=torch.float32) - 2)
    volume = sample_volume(psf, z, size_px, oversampling)
    return SplinePSF(volume, float(z[0]), z_step_nm, psf.pixel_size_nm, oversampling)


@torch.no_grad()
def sample_volume(psf: PSFModel, z_nm: Tensor, size_px: int, oversampling: int) -> Tensor:
    """Sample a PSF (Z, T, T) at depths (Z,), T = size_px * oversampling: light within a pixel round each."""
    sub = (torch.arange(oversampling) - (oversampling - 1) / 2) / oversampling * psf.pixel_size_nm
    volume = torch.empty(len(z_nm), size_px, oversampling, size_px, oversampling)
    for row, dy in enumerate(sub):
        for column, dx in enumerate(sub):
            # A sample displaced by +d from the pixel's centre is an emitter displaced by -d.
            xyz = torch.stack([-dx.expand(len(z_nm)), -dy.expand(len(z_nm)), z_nm], 1)
            volume[:, :, row, :, column] = psf(xyz, size_px)
    side = size_px * oversampling
    return volume.reshape(-1, side, side)
