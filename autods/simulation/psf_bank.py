"""Fast rendering with many diffraction PSFs, so that a network sees the variety of real microscopes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autods.core import OpticalSystem
from autods.core.grid import nm_to_px
from autods.core.optical_system import AIRY_SIGMA
from autods.optics.protocol import PSFModel
from autods.optics.pupil import Pupil
from autods.optics.pupil_psf import ScalarPSF
from autods.optics.zernike import zernike_basis
from autods.simulation.regions import add_regions
from autods.simulation.scenes import Scenes


class PsfBankRenderer:
    """Renders each frame with one PSF of a bank, tabulated at sub-pixel shifts and a few depths.

    A frame takes a PSF whose in-focus width is close to the scene's; an emitter takes the nearest depth and
    the bilinear interpolation between the four nearest shifts. Raises `ValueError` if there is no model, or
    the pixel sizes differ.

    Parameters
    ----------
    models
        PSFs; all of the same pixel size.
    psf_sigma_nm
        In-focus width of each, nm.
    depths_nm
        Depths of the table, nm, ascending and evenly spaced.
    size_px
        Side of the region that an emitter fills, odd, px.
    subdivisions
        Shifts per pixel and axis.
    n_candidates
        A frame takes one of this many PSFs of nearest width.
    """

    def __init__(
        self,
        models: Sequence[PSFModel],
        psf_sigma_nm: Sequence[float],
        depths_nm: Sequence[float] = (-200.0, 0.0, 200.0),
        size_px: int = 17,
        subdivisions: int = 5,
        n_candidates: int = 4,
    ) -> None:
        if not models or len({model.pixel_size_nm for model in models}) != 1:
            raise ValueError("the bank needs PSFs of one pixel size")
        self.pixel_size_nm = models[0].pixel_size_nm
        self.psf_sigma_nm = torch.tensor(psf_sigma_nm)
        self.depths_nm = torch.tensor(depths_nm)
        self.size_px = size_px
        self.subdivisions = subdivisions
        self.n_candidates = min(n_candidates, len(models))
        self._table = torch.stack([self._tabulate(model) for model in models])

    @classmethod
    def aberrated_airy(
        cls,
        pixel_size_nm: float,
        n_models: int = 32,
        sigma_nm: tuple[float, float] = (88.0, 140.0),
        rms_waves: float = 0.06,
        seed: int = 0,
        size_px: int = 17,
    ) -> PsfBankRenderer:
        """Build a bank of Airy PSFs with random low-order aberrations.

        Parameters
        ----------
        pixel_size_nm
            Camera pixel, nm.
        n_models
            Number of PSFs.
        sigma_nm
            Range of the in-focus widths 0.21 wavelength / NA, nm.
        rms_waves
            Root mean square of the wavefront error over the PSFs, waves; made of astigmatism, coma, trefoil
            and spherical aberration (Noll 5-11) in random proportion.
        seed
            Seed of the aberrations.
        size_px
            Side of the region that an emitter fills, odd, px.
        """
        generator = torch.Generator().manual_seed(seed)
        widths = torch.linspace(*sigma_nm, n_models).tolist()
        models = []
        for sigma in widths:
            na = 1.1 + 0.2 * float(torch.rand(1, generator=generator))
            optics = OpticalSystem(pixel_size_nm, wavelength_nm=sigma * na / AIRY_SIGMA, na=na)
            pupil = Pupil.sample(optics)
            weights = torch.randn(7, generator=generator)
            size = 2 * torch.pi * rms_waves * 1.5 * torch.rand(1, generator=generator)
            basis = zernike_basis(list(range(5, 12)), pupil.u, pupil.v)
            phase = (size * weights / weights.norm()).view(-1, 1, 1) * basis
            models.append(ScalarPSF(optics, phase=phase.sum(0)))
        return cls(models, widths, size_px=size_px)

    @torch.no_grad()
    def _tabulate(self, model: PSFModel) -> Tensor:
        """Return (Z, (S + 1)^2, R^2): depths, sub-pixel shifts from -0.5 to 0.5 px in y and x, pixels."""
        shifts = (torch.arange(self.subdivisions + 1) / self.subdivisions - 0.5) * self.pixel_size_nm
        z, y, x = torch.meshgrid(self.depths_nm, shifts, shifts, indexing="ij")
        images = model(torch.stack([x, y, z], -1).view(-1, 3), self.size_px)
        return images.view(len(self.depths_nm), len(shifts) ** 2, self.size_px**2)

    def __call__(self, scenes: Scenes, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Return (B, Y, X) expected photons; see :class:`~autods.simulation.frames.FrameRenderer`."""
        frame, xyz_nm, photons = scenes.emitters.flat()
        device = xyz_nm.device
        views = scenes.psf_sigma_nm[:: scenes.frames_per_view]
        psf = self._choose(views, generator).repeat_interleave(scenes.frames_per_view)[frame]
        step = self.depths_nm[1] - self.depths_nm[0] if len(self.depths_nm) > 1 else torch.tensor(1.0)
        depth = ((xyz_nm[:, 2] - self.depths_nm[0].to(device)) / step.to(device)).round().long()
        depth = depth.clamp(0, len(self.depths_nm) - 1)
        position = nm_to_px(xyz_nm[:, :2], self.pixel_size_nm)
        pixel = position.floor()
        images = self._interpolate(psf, depth, position - pixel) * photons.unsqueeze(1)
        images = images.view(-1, self.size_px, self.size_px)
        return add_regions(images, frame, pixel.long(), len(scenes), shape)

    def _choose(self, sigma_nm: Tensor, generator: torch.Generator) -> Tensor:
        distance = (self.psf_sigma_nm.to(sigma_nm.device) - sigma_nm.unsqueeze(1)).abs()
        nearest = distance.topk(self.n_candidates, largest=False).indices
        pick = torch.randint(
            self.n_candidates, (len(sigma_nm), 1), generator=generator, device=sigma_nm.device
        )
        return nearest.gather(1, pick).squeeze(1)

    def _interpolate(self, psf: Tensor, depth: Tensor, fraction: Tensor) -> Tensor:
        """Return (N, R^2) PSFs whose centre lies ``fraction`` (x, y) from the corner of the middle pixel."""
        self._table = table = self._table.to(psf.device)  # stays there: it is large
        scaled = (fraction * self.subdivisions).clamp(0, self.subdivisions - 1e-4)
        cell = scaled.floor()
        (wx, wy), (cx, cy) = (scaled - cell).unbind(1), cell.long().unbind(1)
        images = torch.zeros((), device=psf.device)
        for dy, weight_y in ((0, 1 - wy), (1, wy)):
            for dx, weight_x in ((0, 1 - wx), (1, wx)):
                shift = (cy + dy) * (self.subdivisions + 1) + cx + dx
                images = images + table[psf, depth, shift] * (weight_y * weight_x).unsqueeze(1)
        return images
