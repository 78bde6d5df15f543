"""Frames of emitters at any depth, through any PSF."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from autods.core import UserError
from autods.core.grid import nm_to_px
from autods.optics import PSFModel, PupilPSF, tabulate
from autods.optics.extent import region_size_px
from autods.optics.model_error import CorrectedPSF
from autods.optics.storage import load_psf
from autods.simulation.regions import add_regions
from autods.simulation.scenes import Scenes

#: Pixels of all regions that are rendered at once.
_CHUNK_PX = 4_000_000
#: Relative difference of pixel sizes that is none.
_PIXEL_TOLERANCE = 0.01


class PsfRenderer:
    """Renders each emitter with its own depth and sub-pixel position through a PSF.

    Raises `ValueError` if the size is even.

    Parameters
    ----------
    psf
        The PSF.
    size_px
        Side of the region that an emitter fills, odd, px; light beyond it is lost.
    """

    def __init__(self, psf: PSFModel, size_px: int) -> None:
        if size_px % 2 == 0:
            raise ValueError(f"size_px must be odd, got {size_px}")
        self.psf = psf
        self.size_px = size_px
        self.pixel_size_nm = psf.pixel_size_nm

    @classmethod
    def fast(cls, psf: PSFModel, z_min_nm: float, z_max_nm: float, size_px: int | None = None) -> PsfRenderer:
        """Prepare a PSF for training: a diffraction model is tabulated, others are fast as they are.

        Parameters
        ----------
        psf
            The PSF.
        z_min_nm, z_max_nm
            Depths that will be rendered, nm.
        size_px
            Side of the regions, px; None takes what :func:`~autods.optics.extent.region_size_px` says.
        """
        size = region_size_px(psf, z_min_nm, z_max_nm) if size_px is None else size_px
        exact = psf.psf if isinstance(psf, CorrectedPSF) else psf
        if isinstance(exact, PupilPSF):
            psf = tabulate(psf, z_min_nm, z_max_nm, size_px=size + 2, oversampling=exact.oversampling)
        else:
            psf = copy.deepcopy(psf)  # rendering moves it to the scenes' device
        return cls(psf, size)

    @classmethod
    def from_file(cls, path: str, pixel_size_nm: float, defocus_nm: float) -> PsfRenderer:
        """Prepare a calibrated PSF for training on emitters near the focal plane.

        Raises `UserError` if the file is no PSF, or of another pixel size.

        Parameters
        ----------
        path
            ``psf.h5``, or a file of another program; see :func:`autods.optics.storage.load_psf`.
        pixel_size_nm
            Camera pixel, which must be the file's, nm.
        defocus_nm
            Emitters lie within this depth of the focal plane, nm.
        """
        psf = load_psf(path, nfp_nm=0.0, pixel_size_nm=pixel_size_nm)
        if abs(psf.pixel_size_nm / pixel_size_nm - 1) > _PIXEL_TOLERANCE:
            raise UserError(
                f"{path}: the PSF has pixels of {psf.pixel_size_nm:g} nm, the conditions of"
                f" {pixel_size_nm:g} nm: calibrate with a bead stack of the same pixel size"
            )
        return cls.fast(psf, -defocus_nm, defocus_nm)

    @torch.no_grad()
    def __call__(
        self,
        scenes: Scenes,
        shape: tuple[int, int],
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return (B, Y, X) expected photons; see :class:`~autods.simulation.frames.FrameRenderer`."""
        frame, xyz_nm, photons = scenes.emitters.flat()
        if isinstance(self.psf, nn.Module):
            self.psf.to(xyz_nm.device)
        position = nm_to_px(xyz_nm[:, :2], self.pixel_size_nm)
        pixel = position.floor()
        local = torch.cat([(position - pixel - 0.5) * self.pixel_size_nm, xyz_nm[:, 2:]], 1)
        light = xyz_nm.new_zeros((len(scenes), *shape))
        step = max(1, _CHUNK_PX // self.size_px**2)
        for start in range(0, len(frame), step):
            part = slice(start, start + step)
            images = self.psf(local[part], self.size_px) * photons[part, None, None]
            light += add_regions(images, frame[part], pixel[part].long(), len(scenes), shape)
        # Interpolation may ring below zero in the dark.
        return light.clamp_min(0)
