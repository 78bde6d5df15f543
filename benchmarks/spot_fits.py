"""Localization without a network, as ThunderSTORM does it: wavelet filter, maxima, a Gaussian fitted to each.

The filter is the B-spline wavelet of Izeddin et al., Opt. Express 20, 2081 (2012), the threshold a multiple
of the standard deviation of its first level, the fit the maximum likelihood of a pixel-integrated Gaussian
with its own width and background (Smith et al., Nat. Methods 7, 373 (2010)).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from autods.core import Camera, LocalizationTable
from autods.simulation.frames import pixel_integrals

_SPLINE = (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16)
_ITERATIONS = 20
#: Fits that end farther from their pixel, or with another width, are of no single emitter, px.
_REACH_PX, _WIDTHS_PX = 1.2, (0.6, 2.6)


@dataclass(frozen=True)
class SpotFits:
    """Settings of the fits.

    Parameters
    ----------
    threshold
        Least height of a maximum of the filtered frame, in standard deviations of its first wavelet level.
    radius_px
        Of the fitted windows.
    sigma_px
        Width that the fits start from.
    """

    threshold: float = 1.5
    radius_px: int = 3
    sigma_px: float = 1.2

    def __call__(
        self, pieces: Iterable[NDArray[np.generic]], camera: Camera, pixel_size_nm: float
    ) -> LocalizationTable:
        """Localize a movie given as pieces (t, Y, X), ADU, in order."""
        tables, first = [], 0
        for adu in pieces:
            photons = torch.from_numpy(camera.to_photons(np.asarray(adu)))
            frame, row, column = self._maxima(photons)
            found = self._fit(photons, frame, row, column)
            x, y = (found[:, :2].double().numpy() + 0.5).T * pixel_size_nm
            tables.append(
                LocalizationTable.build(
                    found[:, 5].long().numpy() + first,
                    x,
                    y,
                    photons=found[:, 2].numpy(),
                    sigma_nm=found[:, 3].numpy() * pixel_size_nm,
                    background=found[:, 4].numpy(),
                )
            )
            first += len(adu)
        return LocalizationTable.concatenate(tables)

    def _maxima(self, photons: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return frame, row and column of the maxima of the second wavelet level."""
        images = photons.unsqueeze(1)
        smooth = _separable(images, 1)
        second = smooth - _separable(smooth, 2)
        level = self.threshold * (images - smooth).std((2, 3), keepdim=True)
        is_top = (second == F.max_pool2d(second, 3, stride=1, padding=1)) & (second > level)
        r = self.radius_px
        is_top[..., :r, :] = is_top[..., -r:, :] = False
        is_top[..., :r] = is_top[..., -r:] = False
        frame, _, row, column = is_top.nonzero().unbind(1)
        return frame, row, column

    def _fit(self, photons: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return (N, 6): x, y (px, 0 at the centre of the first pixel), photons, width, background, frame."""
        r = self.radius_px
        offset = torch.arange(-r, r + 1)
        window = photons[
            frame[:, None, None], row[:, None, None] + offset[:, None], column[:, None, None] + offset
        ]
        values = window.double().clamp_min(1e-3)
        background = values.flatten(1).quantile(0.2, dim=1).clamp_min(0.1)
        light = (values.sum((1, 2)) - background * (2 * r + 1) ** 2).clamp_min(10.0)
        centre = torch.full_like(light, r + 0.5)
        state = torch.stack(
            [centre, centre.clone(), light, torch.full_like(light, self.sigma_px), background], 1
        )
        for _ in range(_ITERATIONS):
            state = _scoring_step(values, state)
        x, y, light, width, background = state.unbind(1)
        good = ((x - r - 0.5).abs() < _REACH_PX) & ((y - r - 0.5).abs() < _REACH_PX) & (light > 10)
        good &= (width > _WIDTHS_PX[0]) & (width < _WIDTHS_PX[1])
        found = torch.stack(
            [x - r - 0.5 + column, y - r - 0.5 + row, light, width, background, frame.double()], 1
        )
        return found[good]


def _separable(images: Tensor, step: int) -> Tensor:
    """Smooth (B, 1, Y, X) with the B-spline of a wavelet level."""
    line = images.new_tensor(_SPLINE)
    pad = 2 * step
    padded = F.pad(images, (pad, pad, pad, pad), mode="reflect")
    return F.conv2d(
        F.conv2d(padded, line.view(1, 1, 5, 1), dilation=step), line.view(1, 1, 1, 5), dilation=step
    )


def _scoring_step(values: Tensor, state: Tensor) -> Tensor:
    """Do one step of Fisher scoring for windows (N, S, S) and parameters (N, 5), kept within sense."""
    x, y, light, width, background = state.unbind(1)
    size = values.shape[1]
    columns, d_columns, w_columns = _line(x, width, size)
    rows, d_rows, w_rows = _line(y, width, size)

    def image(a: Tensor, b: Tensor) -> Tensor:
        return a.unsqueeze(2) * b.unsqueeze(1)

    shape = image(rows, columns)
    model = (light.view(-1, 1, 1) * shape + background.view(-1, 1, 1)).clamp_min(1e-3)
    n = light.view(-1, 1, 1)
    gradients = torch.stack(
        [
            n * image(rows, d_columns),
            n * image(d_rows, columns),
            shape,
            n * (image(w_rows, columns) + image(rows, w_columns)),
            torch.ones_like(shape),
        ],
        1,
    ).flatten(2)
    weight = 1 / model.flatten(1).unsqueeze(1)
    slope = (gradients * (values / model - 1).flatten(1).unsqueeze(1)).sum(2)
    fisher = torch.einsum("nip,njp->nij", gradients * weight, gradients)
    damping = 1e-3 * torch.diag_embed(fisher.diagonal(dim1=1, dim2=2)) + 1e-9 * torch.eye(
        5, dtype=fisher.dtype
    )
    step = torch.linalg.solve(fisher + damping, slope)
    most = torch.stack(
        [torch.full_like(x, 0.5), torch.full_like(x, 0.5), 0.7 * light, 0.3 * width, 0.7 * background + 0.1],
        1,
    )
    state = state + torch.maximum(torch.minimum(step, most), -most)
    low = state.new_tensor([0.0, 0.0, 1.0, 0.4, 1e-2])
    high = state.new_tensor([size, size, 1e8, 4.0, 1e7])
    return torch.maximum(torch.minimum(state, high), low)


def _line(centre: Tensor, width: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return integrals (N, size) of a Gaussian over pixels, and their slopes with centre and width."""
    integrals = pixel_integrals(centre, width, size, 1.0)
    edges = torch.arange(size + 1, dtype=centre.dtype) - centre.unsqueeze(1)
    density = torch.exp(-0.5 * (edges / width.unsqueeze(1)) ** 2) / (
        math.sqrt(2 * math.pi) * width.unsqueeze(1)
    )
    return integrals, -density.diff(dim=1), -(density * edges / width.unsqueeze(1)).diff(dim=1)
