"""Detection and precision of localizations against the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.core import LocalizationTable
from autods.metrics.matching import Floats, Indices, match_arrays, positions

#: Weights of the SMLM challenge's efficiency, 1/nm (Sage et al., Nature Methods 16, 387 (2019)).
LATERAL_WEIGHT = 0.01
AXIAL_WEIGHT = 0.005

#: Fewer pairs than this do not define an axial slope.
_MIN_PAIRS_FOR_SLOPE = 11


@dataclass(frozen=True)
class DetectionMetrics:
    """Result of `detection_metrics`; NaN where undefined (no pairs, or no z)."""

    #: Numbers of true emitters, of localizations and of pairs (TP).
    n_truth: int
    n_found: int
    n_matched: int
    #: TP / (TP + FP + FN), TP / n_found and TP / n_truth, 0-1.
    jaccard: float
    precision: float
    recall: float
    #: Root mean square of the pairs' distance in the plane, along z and in space, nm.
    rmse_lateral_nm: float
    rmse_axial_nm: float
    rmse_volume_nm: float
    #: Mean of found minus true over the pairs, nm.
    bias_x_nm: float
    bias_y_nm: float
    bias_z_nm: float
    #: ``1 - sqrt((1 - jaccard)^2 + (weight * rmse)^2)`` with 0.01/nm laterally and 0.005/nm axially; in 3D
    #: ``efficiency`` is the mean of both, in 2D the lateral one. 0 without pairs; may be negative.
    efficiency: float
    efficiency_lateral: float
    efficiency_axial: float
    #: Median of found minus true z over lateral pairs, nm: the distance between the two origins of z. Removed
    #: from the found positions before scoring only where that was asked for.
    axial_offset_nm: float = float("nan")
    #: Slope of found z against true z over the pairs; 1 when the axial scale is right.
    axial_slope: float = float("nan")
    #: Root mean square minimum distance between the two sets pooled over the frames, nm.
    rmsmd_nm: float = float("nan")


@dataclass(frozen=True)
class ErrorSums:
    """What the metrics need of a set of frames; sums of disjoint sets add up."""

    #: Counts.
    n_truth: int
    n_found: int
    n_matched: int
    #: (3,) sums over the pairs of found minus true along x, y, z and of its square, nm; z is NaN in 2D.
    error_nm: Floats
    squared_nm2: Floats


def detection_metrics(
    truth: LocalizationTable,
    found: LocalizationTable,
    radius_nm: float = 200.0,
    axial_radius_nm: float | None = None,
    *,
    remove_axial_offset: bool = False,
    remove_lateral_offset: bool = False,
) -> DetectionMetrics:
    """Score localizations against the truth; frames are matched optimally (`match_arrays`).

    Parameters
    ----------
    truth, found
        The tables, with frames and origins in common. Axial numbers are given when both have z.
    radius_nm
        Largest lateral distance of a pair, nm.
    axial_radius_nm
        Largest axial distance of a pair, nm; None matches by lateral distance alone. Ignored unless both
        tables are 3D.
    remove_axial_offset
        Subtract the constant axial offset between the tables (a median, reported in any case) first.
    remove_lateral_offset
        Subtract the constant lateral offset between the tables (a median) first: a PSF calibrated with beads
        has no lateral origin of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from autods import LocalizationTable
    >>> frame, x = np.array([0, 0, 1]), np.array([100.0, 900.0, 500.0])
    >>> truth = LocalizationTable.build(frame, x, x)
    >>> scores = detection_metrics(truth, LocalizationTable.build(frame[:2], x[:2] + 30, x[:2]))
    >>> round(scores.jaccard, 3), round(scores.rmse_lateral_nm, 1)
    (0.667, 30.0)
    """
    truth_xyz, found_xyz = positions(truth), positions(found)
    dims = min(truth_xyz.shape[1], found_xyz.shape[1])
    truth_xyz, found_xyz = truth_xyz[:, :dims], found_xyz[:, :dims].copy()
    offset = float("nan")
    if remove_lateral_offset:
        left, right = match_arrays(truth.frame, truth_xyz[:, :2], found.frame, found_xyz[:, :2], radius_nm)
        if len(left):
            found_xyz[:, :2] -= np.median(found_xyz[right, :2] - truth_xyz[left, :2], axis=0)
    if dims == 3:
        left, right = match_arrays(truth.frame, truth_xyz, found.frame, found_xyz, radius_nm)
        offset = axial_offset(truth_xyz[left, 2], found_xyz[right, 2])
        if remove_axial_offset and np.isfinite(offset):
            found_xyz[:, 2] -= offset
    axial = axial_radius_nm if dims == 3 else None
    pairs = match_arrays(truth.frame, truth_xyz, found.frame, found_xyz, radius_nm, axial)
    metrics = metrics_from_sums(error_sums(truth_xyz, found_xyz, pairs))
    slope = _slope(truth_xyz[pairs[0], 2], found_xyz[pairs[1], 2]) if dims == 3 else float("nan")
    return replace(metrics, axial_offset_nm=offset, axial_slope=slope, rmsmd_nm=rmsmd(truth_xyz, found_xyz))


def error_sums(
    truth_xyz: NDArray[np.floating],
    found_xyz: NDArray[np.floating],
    pairs: tuple[Indices, Indices],
) -> ErrorSums:
    """Add up the errors (found minus true) of the matched rows of two position arrays (N, 2 or 3), nm."""
    error = np.asarray(found_xyz[pairs[1]], np.float64) - truth_xyz[pairs[0]]
    total, squared = np.full(3, np.nan), np.full(3, np.nan)
    dims = error.shape[1]
    total[:dims], squared[:dims] = error.sum(0), (error**2).sum(0)
    return ErrorSums(len(truth_xyz), len(found_xyz), len(error), total, squared)


def metrics_from_sums(sums: ErrorSums) -> DetectionMetrics:
    """Turn counts and error sums into the metrics (those that need single positions stay NaN)."""
    n_matched = sums.n_matched
    jaccard = n_matched / max(sums.n_truth + sums.n_found - n_matched, 1)
    pairs = n_matched or np.nan
    bias, mean_square = sums.error_nm / pairs, sums.squared_nm2 / pairs
    lateral, axial = float(np.sqrt(mean_square[0] + mean_square[1])), float(np.sqrt(mean_square[2]))
    efficiency_lateral = efficiency(jaccard, lateral, LATERAL_WEIGHT)
    is_3d = not np.isnan(sums.squared_nm2[2])
    efficiency_axial = efficiency(jaccard, axial, AXIAL_WEIGHT) if is_3d else float("nan")
    return DetectionMetrics(
        n_truth=sums.n_truth,
        n_found=sums.n_found,
        n_matched=n_matched,
        jaccard=jaccard,
        precision=n_matched / max(sums.n_found, 1),
        recall=n_matched / max(sums.n_truth, 1),
        rmse_lateral_nm=lateral,
        rmse_axial_nm=axial,
        rmse_volume_nm=float(np.sqrt(mean_square.sum())),
        bias_x_nm=float(bias[0]),
        bias_y_nm=float(bias[1]),
        bias_z_nm=float(bias[2]),
        efficiency=(efficiency_lateral + efficiency_axial) / 2 if is_3d else efficiency_lateral,
        efficiency_lateral=efficiency_lateral,
        efficiency_axial=efficiency_axial,
    )


def efficiency(jaccard: float, rmse_nm: float, weight_per_nm: float) -> float:
    """Combine detection and precision: ``1 - sqrt((1 - J)^2 + (w RMSE)^2)``; 0 when the RMSE is undefined.

    The 2016 SMLM challenge's (Sage et al., Nature Methods 16, 387 (2019)); the weight is per nm.

    Examples
    --------
    >>> round(efficiency(0.8, 40.0, weight_per_nm=0.01), 3), efficiency(1.0, 0.0, weight_per_nm=0.01)
    (0.553, 1.0)
    """
    return 0.0 if np.isnan(rmse_nm) else float(1 - np.hypot(1 - jaccard, weight_per_nm * rmse_nm))


def axial_offset(truth_z_nm: Floats, found_z_nm: Floats) -> float:
    """Return the median of found minus true z of paired rows, nm; NaN without pairs.

    Examples
    --------
    >>> import numpy as np
    >>> axial_offset(np.array([0.0, 100.0]), np.array([20.0, 120.0]))
    20.0
    """
    difference = found_z_nm - truth_z_nm
    difference = difference[np.isfinite(difference)]
    return float(np.median(difference)) if len(difference) else float("nan")


def rmsmd(truth_xyz: NDArray[np.floating], found_xyz: NDArray[np.floating]) -> float:
    """Root mean square minimum distance between two point sets (N, D) and (M, D), in their unit.

    ``sqrt((sum_t min_f |t - f|^2 + sum_f min_t |f - t|^2) / (N + M))`` (Sun, Scientific Reports 8, 17211
    (2018)). Rows that are not finite are left out; NaN when a set is empty.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(rmsmd(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]))), 3)
    5.0
    """
    truth_xyz, found_xyz = (xyz[np.isfinite(xyz).all(1)] for xyz in (truth_xyz, found_xyz))
    if not len(truth_xyz) or not len(found_xyz):
        return float("nan")
    to_found = cKDTree(found_xyz).query(truth_xyz)[0]
    to_truth = cKDTree(truth_xyz).query(found_xyz)[0]
    return float(np.sqrt(np.mean(np.concatenate([to_found, to_truth]) ** 2)))


def _slope(truth_z_nm: Floats, found_z_nm: Floats) -> float:
    """Return the least-squares slope of found against true z; NaN where it is not defined."""
    finite = np.isfinite(truth_z_nm) & np.isfinite(found_z_nm)
    centred = truth_z_nm[finite] - truth_z_nm[finite].mean() if finite.any() else np.zeros(0)
    spread = float(centred @ centred)
    if len(centred) < _MIN_PAIRS_FOR_SLOPE or spread == 0:
        return float("nan")
    return float(centred @ found_z_nm[finite]) / spread
