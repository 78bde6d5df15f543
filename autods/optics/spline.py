"""Tabulated PSF, evaluated by cubic B-splines: the fast sampler and the empirical PSF."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import spline_filter1d
from torch import Tensor, nn

from autods.core import UserError
from autods.optics.protocol import PSFModel, device_of

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


def _bspline_slope(t: Tensor) -> Tensor:
    """Derivative of the cubic B-spline at t (any shape)."""
    outer, inner = (2 - t.abs()).clamp(min=0), (1 - t.abs()).clamp(min=0)
    return t.sign() * (2 * inner**2 - outer**2 / 2)


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

    def cropped(self, size_px: int) -> SplinePSF:
        """Return a copy that renders the same in regions, and with shifts, within that side, and faster."""
        kept = self.oversampling * size_px + 4
        rows, columns = (
            slice((count - kept) // 2, count - (count - kept) // 2) if count > kept else slice(None)
            for count in self.coefficients.shape[1:]
        )
        part = self.coefficients[:, rows, columns]
        return self.from_coefficients(
            part, self.z_start_nm, self.z_step_nm, self.pixel_size_nm, self.oversampling
        ).to(part.device)

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters; see `PSFModel`."""
        xyz_nm = xyz_nm.to(self.coefficients.dtype)
        taps, away, _ = self._nodes(xyz_nm[:, 2])
        slices = self._mixed(taps, cubic_bspline(away))
        across, down = (
            cubic_bspline(self._lags(xyz_nm[:, axis], size_px, slices.shape[2 - axis])) for axis in (0, 1)
        )
        images: Tensor = self._sliding(down, slices.shape[1]) @ slices
        return images @ self._sliding(across, slices.shape[2]).transpose(1, 2)

    def with_slopes(self, xyz_nm: Tensor, size_px: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Render emitters, and return their images (N, S, S) and the slopes of these by x, y and z, per nm.

        Arguments as of `PSFModel`.
        """
        xyz_nm = xyz_nm.to(self.coefficients.dtype)
        taps, away, inside = self._nodes(xyz_nm[:, 2])
        by_z = _bspline_slope(away) * (inside / self.z_step_nm)[:, None]
        slices = self._mixed(torch.cat([taps, taps]), torch.cat([cubic_bspline(away), by_z]))
        middle, axial = slices.chunk(2)

        def shifts(axis: int) -> Tensor:
            """Return (N, 2 S, count): the images', and their slopes'."""
            count = slices.shape[2 - axis]
            lags = self._lags(xyz_nm[:, axis], size_px, count)
            slope = _bspline_slope(lags) * (-self.oversampling / self.pixel_size_nm)
            return torch.cat([self._sliding(part, count) for part in (cubic_bspline(lags), slope)], 1)

        across, down = shifts(0).transpose(1, 2), shifts(1)
        rows = down @ middle
        image, x = (rows[:, :size_px] @ across).chunk(2, 2)
        rows = torch.cat([rows[:, size_px:], down[:, :size_px] @ axial], 1)
        y, z = (rows @ across[:, :, :size_px]).chunk(2, 1)
        return image, x, y, z

    def _nodes(self, z_nm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slices (N, 4) of coefficients that count at z (N,), their distance, and 1 within the table."""
        depth = self.coefficients.shape[0]
        # Coefficient k sits at slice k - 1.
        place = (z_nm - self.z_start_nm) / self.z_step_nm
        node = place.clamp(0, depth - 3) + 1
        first = node.detach().floor().clamp(1, depth - 3).long() - 1
        taps = first[:, None] + torch.arange(4, device=z_nm.device)
        return taps, node[:, None] - taps, ((place >= 0) & (place <= depth - 3)).to(z_nm.dtype)

    def _mixed(self, taps: Tensor, weights: Tensor) -> Tensor:
        """Sum of coefficients (N, H, W) with weights (N, 4)."""
        flat = self.coefficients.flatten(1)
        if weights.requires_grad or torch._C._functorch.maybe_current_level() is not None:
            mixed = (weights[:, :, None] * flat[taps]).sum(1)
        else:
            mixed = torch.nn.functional.embedding_bag(taps, flat, per_sample_weights=weights, mode="sum")
        return mixed.reshape(-1, *self.coefficients.shape[1:])

    def _lags(self, centre_nm: Tensor, size_px: int, count: int) -> Tensor:
        """Distances (N, L) in samples between pixels and table samples, emitters at `centre_nm` (N,)."""
        os = self.oversampling
        # Pixel j lies os * (j - (S - 1) / 2) samples off the centre, mirrored sample k (count - 1) / 2 - k.
        lags = torch.arange(os * (size_px - 1) + count, device=centre_nm.device)
        offset = lags - ((count - 1) + os * (size_px - 1)) / 2
        return offset - centre_nm[:, None] * (os / self.pixel_size_nm)

    def _sliding(self, weights: Tensor, count: int) -> Tensor:
        """Weights (N, S, count) from table samples to pixels, of those of lags (N, L)."""
        return weights.unfold(1, count, self.oversampling).contiguous()


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
    device, volume = device_of(psf), torch.empty(len(z_nm), size_px, oversampling, size_px, oversampling)
    for row, dy in enumerate(sub):
        for column, dx in enumerate(sub):
            # A sample displaced by +d from the pixel's centre is an emitter displaced by -d.
            xyz = torch.stack([-dx.expand(len(z_nm)), -dy.expand(len(z_nm)), z_nm], 1)
            volume[:, :, row, :, column] = psf(xyz.to(device), size_px)
    side = size_px * oversampling
    return volume.reshape(-1, side, side)
