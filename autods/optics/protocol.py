"""The interface that every point-spread function has."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class PSFModel(Protocol):
    """A point-spread function that renders emitters into small regions of interest.

    Implementations are `torch.nn.Module`; they are differentiable in the positions and in their parameters,
    follow the device of their input, and carry `pixel_size_nm`.
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
