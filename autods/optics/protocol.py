"""The interface that every point-spread function has."""

from __future__ import annotations

import itertools
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class PSFModel(Protocol):
    """A point-spread function that renders emitters into small regions of interest.

    Implementations are `torch.nn.Module`; they are differentiable in the positions and in their parameters,
    and carry `pixel_size_nm`. Positions are given on the device of their numbers, see `device_of`.
    """

    pixel_size_nm: float

    def __call__(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Expected photons in each pixel, for one emitted photon.

        Parameters
        ----------
        xyz_nm
            (N, 3) positions x (along columns), y (along rows) in nm from the centre of the region, and z in
            nm from the coverslip, growing away from the objective.
        size_px
            Side of the square region, odd or even; the region's centre is the centre of the middle pixel of
            an odd size, and the corner between the four middle pixels of an even one.

        Returns
        -------
        Tensor
            (N, size_px, size_px), each summing to 1 over an infinite plane.
        """
        ...


def device_of(psf: PSFModel) -> torch.device:
    """Return where a PSF's numbers are; one without any renders wherever the positions are."""
    tensors = itertools.chain(psf.parameters(), psf.buffers()) if isinstance(psf, nn.Module) else iter(())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
