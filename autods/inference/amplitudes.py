"""Photons, background and precision of localizations, by a linear fit of PSF amplitudes at their positions.

A frame above its background is modelled as ``sum_k N_k PSF(x - x_k) + B(x)`` with pixel-integrated Gaussians
and a remainder B of the background that is linear between the nodes of a coarse grid. The model is linear in
N and B: all emitters of a frame are fitted together, so that neighbours share overlapping light correctly, by
weighted least squares with the scene's noise; see `autods.inference.linear_fit`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.inference.likelihood import MODEL_ERROR
from autods.inference.linear_fit import Support, pick, scatter, solve, tents
from autods.inference.observation import Observation
from autods.optics.gaussian import pixel_integrals

#: Distance of the background's nodes in units of the PSF's standard deviation, and at least, px.
NODE_SIGMAS, MIN_NODE_PX = 10.0, 10.0
#: Pixels fitted in one go: some frames, which stay in the cache.
_BLOCK_PX = 1_000_000


@dataclass(frozen=True)
class Amplitudes:
    """Result of the fit, arrays of length N."""

    #: Photons of the emitter; 0 where the data do not support it beside its neighbours.
    photons: NDArray[np.float64]
    #: Background under the emitter and the standard deviation of its noise, photons per pixel.
    background: NDArray[np.float64]
    background_std: NDArray[np.float64]
    #: Cramer-Rao bound of the position, per axis, px; infinite without photons.
    uncertainty_px: NDArray[np.float64]
    #: Photons over the bound of their standard error: how surely the data show an emitter there.
    significance: NDArray[np.float64]


def fit_amplitudes(
    observation: Observation,
    frame: NDArray[np.int64],
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    psf_sigma_px: float,
) -> Amplitudes:
    """Fit the photons of emitters at known positions.

    Returns `Amplitudes`, in the order given.

    Parameters
    ----------
    observation
        T frames; the fit runs on their device.
    frame
        (N,) index of each localization's frame, in any order.
    x_px, y_px
        (N,) positions, corner pixels.
    psf_sigma_px
        Standard deviation of the PSF, px.
    """
    columns = np.zeros((5, len(frame)))
    light = observation.light
    per_block = max(1, _BLOCK_PX // (light.shape[1] * light.shape[2]))
    order = np.argsort(frame, kind="stable")
    limits = np.searchsorted(frame[order], np.arange(0, len(light) + per_block, per_block))
    for block, (first, last) in enumerate(itertools.pairwise(limits)):
        rows = order[first:last]
        if len(rows):
            start = block * per_block
            columns[:, rows] = _fit_block(
                observation[start : start + per_block],
                _Spots.at(
                    observation.valid[start : start + per_block],
                    frame[rows] - start,
                    x_px[rows],
                    y_px[rows],
                    psf_sigma_px,
                ),
                _node_distance(psf_sigma_px),
            )
    return Amplitudes(*columns)


def _node_distance(psf_sigma_px: float) -> float:
    return max(NODE_SIGMAS * psf_sigma_px, MIN_NODE_PX)


@dataclass(frozen=True)
class _Spots:
    """Unit PSFs in windows: pixel (N, W, W) into the flat block, inside (N, W, W), profiles (N, W)."""

    pixel: Tensor
    corner: Tensor
    inside: Tensor
    across: Tensor
    down: Tensor
    across_slope: Tensor
    down_slope: Tensor
    x_px: Tensor
    y_px: Tensor
    frame: Tensor

    @classmethod
    def at(
        cls,
        valid: Tensor,
        frame: NDArray[np.int64],
        x_px: NDArray[np.float64],
        y_px: NDArray[np.float64],
        sigma_px: float,
    ) -> _Spots:
        """Sample the PSFs around each position, as far as 2.8 standard deviations, where pixels are valid."""
        device, (height, width) = valid.device, valid.shape[-2:]
        radius = max(2, math.ceil(2.8 * sigma_px - 0.2))
        side = 2 * radius + 1
        t = torch.from_numpy(np.ascontiguousarray(frame)).to(device)
        x, y = (torch.from_numpy(np.ascontiguousarray(a)).to(device, torch.float32) for a in (x_px, y_px))
        grid = torch.arange(-radius, radius + 1, device=device)
        column, row = x.floor().long()[:, None] + grid, y.floor().long()[:, None] + grid
        inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
        flat_row = (t[:, None] * height + row.clamp(0, height - 1)) * width
        pixel = flat_row[:, :, None] + column.clamp(0, width - 1)[:, None, :]
        inside &= pick(valid, pixel)
        sigma = torch.full_like(x, sigma_px)
        profiles = []
        for position in (x, y):
            centre = position - position.floor() - 0.5
            edge = torch.arange(side + 1, device=device) - side / 2 - centre[:, None]
            density = torch.exp(-0.5 * (edge / sigma_px) ** 2) / (sigma_px * math.sqrt(2 * math.pi))
            # The slope of an integral over a pixel against the centre is minus the density's difference.
            profiles.append((pixel_integrals(centre, sigma, side, 1.0), -density.diff(dim=1)))
        (across, across_slope), (down, down_slope) = profiles
        corner = torch.stack([row[:, 0], column[:, 0]], 1)
        return cls(pixel, corner, inside, across, down, across_slope, down_slope, x, y, t)

    def psf(self) -> Tensor:
        """(N, W, W) unit PSFs, zero outside of the valid pixels."""
        return self.down[:, :, None] * self.across[:, None, :] * self.inside


def _fit_block(observation: Observation, spots: _Spots, node_px: float) -> NDArray[np.float64]:
    """Fit one block; return the columns of `Amplitudes` (5, N)."""
    psf, light, valid = spots.psf(), observation.light, observation.valid
    axes = (tents(light.shape[1], node_px, light), tents(light.shape[2], node_px, light))
    support = Support.of(spots.pixel, spots.corner, spots.frame, axes)
    centre = spots.pixel[:, psf.shape[1] // 2, psf.shape[2] // 2]
    active = torch.ones_like(spots.x_px)
    own, shot = observation.variance, observation.shot
    variance = own
    for last in (False, True):  # first with the noise of the background alone, then with the fitted light's
        photons, nodes = solve(light, psf * active[:, None, None], support, valid / variance)
        active = (photons > 0).float()
        photons = photons * active
        remainder = axes[0] @ nodes @ axes[1].T
        emitted = scatter(torch.zeros_like(light), psf * photons[:, None, None], spots.pixel)
        if not last:
            variance = _variance(own, remainder + emitted, shot)

    background = (pick(observation.background, centre) + pick(remainder, centre)).clamp_min(0)
    background_std = _variance(pick(own, centre), pick(remainder, centre), shot).sqrt()
    light_here = pick(emitted, spots.pixel)
    variance_here = _variance(pick(own, spots.pixel), pick(remainder, spots.pixel) + light_here, shot)
    bounds = _bounds(spots, psf, photons, variance_here, light_here)
    result = torch.stack([photons, background, background_std, *bounds]).double().cpu().numpy()
    return np.asarray(result, np.float64)


def _variance(own: Tensor, light: Tensor, shot: float) -> Tensor:
    """Variance with more light than the background's; a little less light can be an error of it."""
    return torch.maximum(torch.add(own, light, alpha=shot), 0.5 * own)


def _bounds(
    spots: _Spots, psf: Tensor, photons: Tensor, variance: Tensor, emitted: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the Cramer-Rao bound of the position per axis, px, and photons over their bound, (N,) each.

    Fisher information ``sum_px d_i d_j / variance`` of x, y, photons and a constant background in the
    emitter's window, with the light of the neighbours as noise (Smith et al., Nature Methods 7, 373 (2010)).
    No PSF is known exactly: a share of the neighbours' light counts as an error too, so that what is left of
    a very bright emitter beside it is not taken for another. ``variance`` and ``emitted`` (N, W, W) are those
    of the windows.
    """
    own = psf * photons[:, None, None]
    others = (emitted - own) * MODEL_ERROR
    information = spots.inside / (variance + others**2)
    flux = photons[:, None, None]
    slope_x = spots.down[:, :, None] * spots.across_slope[:, None, :] * flux
    slope_y = spots.down_slope[:, :, None] * spots.across[:, None, :] * flux
    # Photons in units of themselves, so that the matrix is well scaled.
    slopes = torch.stack([slope_x, slope_y, psf * flux, torch.ones_like(psf)], 1).flatten(2)
    fisher = torch.einsum("nip,np,njp->nij", slopes, information.flatten(1), slopes).double()
    known = (photons > 0) & (torch.linalg.det(fisher) > 0)
    identity = torch.eye(4, dtype=torch.float64, device=fisher.device)
    covariance = torch.linalg.inv(torch.where(known[:, None, None], fisher, identity))
    # Both axes' root mean square.
    position = (0.5 * (covariance[:, 0, 0] + covariance[:, 1, 1])).clamp_min(0).sqrt()
    relative = covariance[:, 2, 2].clamp_min(1e-12).sqrt()
    return torch.where(known, position, torch.inf), torch.where(known, 1 / relative, 0)
