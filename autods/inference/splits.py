"""Very bright emitters, which networks see as several: one emitter against many, by likelihood.

Beyond some ten thousand photons the noise is smaller than the error of any PSF model, and a network, whose
input is compressed there, marks a bead several times. Where one emitter describes all light of such a cluster
as well as a PSF can be known, it takes the cluster's place.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from autods.inference.observation import Observation
from autods.inference.refine import MAX_MISFIT, refine_positions

#: Marks nearer than this to a bright one may be parts of it, PSF standard deviations.
REACH_SIGMAS = 2.5
#: Marks are looked at where the noise is less than this part of their light.
BRIGHT_ERROR = 0.03
#: Error of the PSF's shape up to which a cluster is one emitter, in parts of its light.
CLUSTER_ERROR = 0.1


def merge_splits(
    observation: Observation,
    frame: NDArray[np.int64],
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    psf_sigma_px: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Put one position in the place of several marks of one bright emitter.

    Returns ``kept, x_px, y_px``: (M,) rows that stay, in rising order, and their positions: of merged
    clusters the fitted one, else as given.

    Parameters
    ----------
    observation
        T frames.
    frame, x_px, y_px
        (N,) marks, positions in corner pixels.
    psf_sigma_px
        PSF standard deviation, px.
    """
    every = np.arange(len(frame))
    cluster = _clusters(observation, frame, x_px, y_px, psf_sigma_px)
    if cluster is None:
        return every, x_px, y_px
    sizes = np.bincount(cluster)
    first = np.full(len(sizes), len(frame))
    np.minimum.at(first, cluster, every)
    several = np.flatnonzero(sizes > 1)
    centre_x, centre_y, photons, level = _centres(
        observation, frame[first[several]], cluster, several, x_px, y_px, psf_sigma_px
    )
    fit = refine_positions(
        observation, frame[first[several]], centre_x, centre_y, photons, level, psf_sigma_px,
        model_error=CLUSTER_ERROR,
    )  # fmt: skip
    one = np.zeros(len(sizes), bool)
    one[several] = fit.misfit <= MAX_MISFIT
    x, y = x_px.copy(), y_px.copy()
    x[first[several]], y[first[several]] = fit.x_px, fit.y_px
    merged = one[cluster]
    kept = every[~merged | (first[cluster] == every)]
    return kept, np.where(merged, x, x_px)[kept], np.where(merged, y, y_px)[kept]


def _clusters(
    observation: Observation,
    frame: NDArray[np.int64],
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    psf_sigma_px: float,
) -> NDArray[np.int64] | None:
    """Number (N,) the clusters of marks round bright ones; None where there is no cluster of several."""
    if len(frame) < 2:
        return None
    height, width = observation.light.shape[1:]
    rows = torch.from_numpy(y_px.astype(np.int64).clip(0, height - 1)).to(observation.light.device)
    columns = torch.from_numpy(x_px.astype(np.int64).clip(0, width - 1)).to(rows.device)
    pixel = torch.from_numpy(frame).to(rows.device), rows, columns
    light, variance = observation.light[pixel], observation.variance[pixel]
    is_bright = (BRIGHT_ERROR * light) ** 2 > variance + observation.shot * light
    bright = (is_bright & (light > 0)).cpu().numpy()
    if not bright.any():
        return None
    reach = REACH_SIGMAS * psf_sigma_px
    # Frames lie far apart along a third axis.
    places = np.column_stack([x_px, y_px, frame * 10.0 * reach])
    pairs = cKDTree(places).query_pairs(reach, output_type="ndarray")
    pairs = pairs[bright[pairs].any(1)]
    if not len(pairs):
        return None
    n = len(frame)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _centres(
    observation: Observation,
    frame: NDArray[np.int64],
    cluster: NDArray[np.int64],
    several: NDArray[np.int64],
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    psf_sigma_px: float,
) -> NDArray[np.float64]:
    """Return (4, G): centre of mass x and y, photons and background of clusters, in a window round each."""
    radius = math.ceil(3 * psf_sigma_px)
    out = np.zeros((4, len(several)))
    light = observation.light
    height, width = light.shape[1:]
    for k, (number, t) in enumerate(zip(several, frame, strict=True)):
        own = cluster == number
        x0, y0 = x_px[own].mean(), y_px[own].mean()
        top, left = max(int(y0) - radius, 0), max(int(x0) - radius, 0)
        bottom, right = min(int(y0) + radius + 1, height), min(int(x0) + radius + 1, width)
        part = light[t, top:bottom, left:right].clamp_min(0).double().cpu().numpy()
        total = max(float(part.sum()), 1e-9)
        rows, columns = np.arange(top, bottom) + 0.5, np.arange(left, right) + 0.5
        x, y = float(part.sum(0) @ columns) / total, float(part.sum(1) @ rows) / total
        level = float(observation.background[t, int(y0.clip(0, height - 1)), int(x0.clip(0, width - 1))])
        out[:, k] = x, y, total, level
    return out
