"""Aberrations that change over the field of view, and the PSF there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autods.optics.model_error import CorrectedPSF, ModelError
from autods.optics.phase_masks import zernike_mask
from autods.optics.pupil_psf import PupilPSF
from autods.optics.spline import SplinePSF, tabulate

#: Terms of polynomials of order 0, 1 and 2 in two variables.
_TERMS = {1: 0, 3: 1, 6: 2}
_Z_STEP_NM = 25.0


def field_terms(x: NDArray[np.float64], y: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return the terms (N, T) of polynomials in the field, x and y being -1 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> field_terms(np.array([0.5]), np.array([-1.0]), order=1)
    array([[ 1. ,  0.5, -1. ]])
    """
    columns = [np.ones_like(x)]
    if order >= 1:
        columns += [x, y]
    if order >= 2:
        columns += [x * x, x * y, y * y]
    return np.stack(columns, 1)


@dataclass(frozen=True)
class FieldVariation:
    """Zernike modes added to a PSF's phase, polynomials of the place in the field."""

    #: (M,) Noll indices.
    noll: tuple[int, ...]
    #: (T, M) coefficients in waves rms of the terms of `field_terms`.
    waves: NDArray[np.float64]
    #: Middle of the field and half its sides, x and y, nm from the full frame's corner.
    centre_nm: tuple[float, float]
    half_nm: tuple[float, float]

    def at(self, x_nm: float, y_nm: float) -> dict[int, float]:
        """Return the modes at a place, waves rms; beyond the field those of its edge."""
        place = [
            np.clip((value - centre) / half, -1, 1)
            for value, centre, half in zip((x_nm, y_nm), self.centre_nm, self.half_nm, strict=True)
        ]
        terms = field_terms(np.array([place[0]]), np.array([place[1]]), _TERMS[len(self.waves)])
        return dict(zip(self.noll, (terms @ self.waves)[0].tolist(), strict=True))

    def applied(self, psf: PupilPSF, x_nm: float, y_nm: float) -> PupilPSF:
        """Return the PSF at a place of the field."""
        phase = psf.phase.detach() + zernike_mask(psf.pupil, self.at(x_nm, y_nm))
        return type(psf)(
            psf.optics,
            phase,
            psf.amplitude.detach().clone(),
            psf.blur_sigma_nm.detach().clone(),
            supercritical=psf.supercritical,
        )


class FieldPSF(nn.Module):
    """A PSF that changes over the field: every emitter gets that of the nearest of some places.

    Parameters
    ----------
    psf
        The PSF without variation, which stands for all where no place is given.
    variation
        How it changes.
    nodes
        Places along each side of the field.
    z_range_nm, size_px
        Depths and side of the tables, nm and px.
    error
        Where the PSF sees beads, which is corrected; None where that is not known.
    """

    def __init__(
        self,
        psf: PupilPSF,
        variation: FieldVariation,
        nodes: int,
        z_range_nm: tuple[float, float],
        size_px: int,
        error: ModelError | None = None,
    ) -> None:
        super().__init__()
        self.pixel_size_nm, self._nodes = psf.pixel_size_nm, nodes
        self._low = [c - h for c, h in zip(variation.centre_nm, variation.half_nm, strict=True)]
        self._step = [2 * h / nodes for h in variation.half_nm]

        def table(model: PupilPSF) -> SplinePSF:
            seen = model if error is None else CorrectedPSF(model, error)
            return tabulate(seen, *z_range_nm, _Z_STEP_NM, size_px, model.oversampling)

        self.mean = table(psf)
        self.tables = nn.ModuleList(
            table(
                variation.applied(
                    psf,
                    self._low[0] + (column + 0.5) * self._step[0],
                    self._low[1] + (row + 0.5) * self._step[1],
                )
            )
            for row in range(nodes)
            for column in range(nodes)
        )

    def forward(self, xyz_nm: Tensor, size_px: int) -> Tensor:
        """Render emitters somewhere; see `PSFModel`."""
        images: Tensor = self.mean(xyz_nm, size_px)
        return images

    def node(self, x_nm: Tensor, y_nm: Tensor) -> Tensor:
        """Return (N,) the place nearest to positions in the full frame."""
        column, row = (
            ((value - low) / step).floor().clamp(0, self._nodes - 1).long()
            for value, low, step in zip((x_nm, y_nm), self._low, self._step, strict=True)
        )
        return row * self._nodes + column

    def at(self, x_nm: float, y_nm: float) -> SplinePSF:
        """Return the PSF at a place."""
        table = self.tables[int(self.node(torch.tensor(x_nm), torch.tensor(y_nm)))]
        assert isinstance(table, SplinePSF)
        return table

    def placed(self, x_nm: Tensor, y_nm: Tensor) -> Callable[[Tensor, int], Tensor]:
        """Return a PSF for emitters (N,) that are rendered at these places of the full frame."""
        node = self.node(x_nm, y_nm)

        def render(xyz_nm: Tensor, size_px: int) -> Tensor:
            images = xyz_nm.new_zeros(len(xyz_nm), size_px, size_px)
            for index in torch.unique(node).tolist():
                own = node == index
                images[own] = self.tables[index](xyz_nm[own], size_px)
            return images

        return render
