"""Registration of two tables: the affine transform that brings one into the coordinates of the other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.core import LocalizationTable
from autods.postprocessing.correlation import correlate_pair

Floats = NDArray[np.float64]

#: Widths of the kernel, nm, from the first to the last fit, with the points of a table used at most.
_WIDTHS_NM = ((300.0, 2000), (150.0, 3000), (75.0, 5000), (40.0, 10_000), (20.0, 20_000), (15.0, 20_000))
#: Of these the last ones are enough where the transform is nearly known.
_LAST_WIDTHS_NM = _WIDTHS_NM[3:]
#: Steps of the fit with each width.
_STEPS = 12
_NARROWEST_NM, _MOST_POINTS = _WIDTHS_NM[-1]
#: Points that an affine transform, and a shift, need at least.
LEAST_AFFINE, LEAST_SHIFT = 4, 1
#: The overlap must exceed that at other shifts by so many of their standard deviations.
_SIGNIFICANCE = 6.0
_SHIFTED_NM = 600.0


@dataclass(frozen=True)
class Registration:
    """``x_first = matrix @ x_second + shift_nm``."""

    #: (2, 2).
    matrix: Floats
    #: (2,) x and y, nm.
    shift_nm: Floats
    #: Standard error of the transformed positions, root mean square over the points, nm: half the difference
    #: of the transforms of two halves of them; NaN where not known.
    error_nm: float
    #: Median distance of matched points after the registration, nm; NaN without points.
    residual_nm: float
    #: Points of the second table that found a partner.
    n_points: int
    #: How it was found, or why not.
    note: str
    #: Whether the tables tell a transform; if not, it is the identity.
    is_found: bool = True

    @classmethod
    def identity(cls, note: str, *, is_found: bool = False) -> Registration:
        """Return the transform that moves nothing, with the reason."""
        return cls(np.eye(2), np.zeros(2), math.nan, math.nan, 0, note, is_found)

    def points(self, xy_nm: Floats) -> Floats:
        """Transform points (N, 2)."""
        moved: Floats = xy_nm @ self.matrix.T + self.shift_nm
        return moved

    def apply(self, table: LocalizationTable) -> LocalizationTable:
        """Bring a table into the coordinates of the first; depths, widths and errors stay."""
        moved = self.points(np.column_stack([table.x_nm, table.y_nm]))
        return dataclasses.replace(table, x_nm=moved[:, 0], y_nm=moved[:, 1])

    def to_dict(self) -> dict[str, object]:
        """Return plain values for a file."""
        plain = dataclasses.asdict(self)
        plain.update(matrix=self.matrix.tolist(), shift_nm=self.shift_nm.tolist())
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in plain.items()
        }


def register(first: Floats, second: Floats, *, seed: int = 0) -> Registration:
    """Find the affine transform of a second set of points under which it lies on the first one.

    Works on beads, on molecules of one structure seen in two channels, or on any points of which a part has
    partners: a shift from the cross-correlation of both images starts a fit in which every point is drawn to
    its neighbours in the other set within a kernel that narrows (expectation maximisation, as in coherent
    point drift; Myronenko & Song, IEEE TPAMI 32, 2262 (2010), for an affine transform). Points without a
    partner weigh nothing. Returns `Registration`, not found where the overlap is not better than at arbitrary
    shifts.

    Parameters
    ----------
    first, second
        (N, 2) and (M, 2) positions, nm, in the coordinates of their own field.
    seed
        Of the draw of points, where there are many, and of the halves.
    """
    rng = np.random.default_rng(seed)
    if min(len(first), len(second)) < LEAST_SHIFT:
        return Registration.identity("one of the tables is empty")
    first, second = (
        points[rng.choice(len(points), min(len(points), _MOST_POINTS), replace=False)]
        for points in (first, second)
    )
    is_affine = min(len(first), len(second)) >= LEAST_AFFINE
    centre = second.mean(0)
    start = np.vstack([np.eye(2), correlate_pair(second, first)])  # rows: x, y, 1
    fit = _fit(first, second, centre, start, _WIDTHS_NM, is_affine=is_affine)
    found = _result(fit, centre)
    tree = cKDTree(first)
    distance = np.asarray(tree.query(found.points(second))[0], np.float64)
    matched = distance < 3 * _NARROWEST_NM
    reason = _insignificant(tree, found.points(second), rng)
    if matched.sum() < (LEAST_AFFINE if is_affine else LEAST_SHIFT) or reason:
        return Registration.identity(reason or "too few points have a partner in the other table")
    return dataclasses.replace(
        found,
        error_nm=_error(first, second, centre, fit, is_affine=is_affine, rng=rng),
        residual_nm=float(np.median(distance[matched])),
        n_points=int(matched.sum()),
        note=f"{'affine' if is_affine else 'shift'} from {int(matched.sum()):,} of {len(second):,} points",
    )


def _fit(
    first: Floats,
    second: Floats,
    centre: Floats,
    start: Floats,
    widths: Sequence[tuple[float, int]],
    *,
    is_affine: bool,
) -> Floats:
    """Return the (3, 2) transform about a centre: rows for x, y and 1."""
    transform = start.copy()
    transform[2] += centre
    for width, most in widths:
        target, tree = first[:most], cKDTree(first[:most])
        design = np.column_stack([second[:most] - centre, np.ones(len(second[:most]))])
        for _ in range(_STEPS):
            moved = design @ transform
            pairs = cKDTree(moved).sparse_distance_matrix(tree, 3 * width, output_type="coo_matrix")
            weight = np.exp(-0.5 * (pairs.data / width) ** 2)
            # A point with many neighbours is drawn to their mean; one alone with a neighbour half as much.
            total = np.bincount(pairs.row, weight, len(design)) + np.exp(-0.5)
            weight = weight / total[pairs.row]
            new = _solve(design[pairs.row], target[pairs.col], weight, transform, is_affine=is_affine)
            moved_by = np.abs(design @ (new - transform)).max(initial=0)
            transform = new
            if moved_by < 0.01:
                break
    return transform


def _solve(design: Floats, target: Floats, weight: Floats, before: Floats, *, is_affine: bool) -> Floats:
    """Return the transform of weighted least squares; what the points do not tell stays as it was."""
    if not len(weight):
        return before
    if not is_affine:
        moved = before.copy()
        moved[2] += (weight[:, None] * (target - design @ before)).sum(0) / weight.sum()
        return moved
    residual = target - design @ before
    normal = design.T @ (weight[:, None] * design)
    ridge = np.diag([1.0, 1.0, 0.0]) * 1e-6 * np.trace(normal)
    return before + np.linalg.solve(normal + ridge, design.T @ (weight[:, None] * residual))


def _result(transform: Floats, centre: Floats) -> Registration:
    matrix = transform[:2].T
    shift = transform[2] - matrix @ centre
    return Registration(matrix, shift, math.nan, math.nan, 0, "")


def _error(
    first: Floats, second: Floats, centre: Floats, fit: Floats, *, is_affine: bool, rng: np.random.Generator
) -> float:
    """Return the standard error from two halves of the second set; NaN where they are too small."""
    half = rng.permutation(len(second)) % 2 == 0
    if half.sum() < 2 * LEAST_AFFINE:
        return math.nan
    start = fit.copy()
    start[2] -= centre
    fits = [
        _fit(first, second[rows], centre, start, _LAST_WIDTHS_NM, is_affine=is_affine)
        for rows in (half, ~half)
    ]
    design = np.column_stack([second - centre, np.ones(len(second))])
    difference = design @ (fits[0] - fits[1])
    return float(np.sqrt((difference**2).sum(1).mean()) / 2)


def _insignificant(tree: cKDTree, moved: Floats, rng: np.random.Generator) -> str:
    """Return why a registration is not to be trusted: the points overlap as well at arbitrary shifts."""
    if len(moved) < 20:
        return ""

    def overlap(points: Floats) -> float:
        distance, _ = tree.query(points)
        return float(np.exp(-0.5 * (distance / 20.0) ** 2).mean())

    angle = rng.uniform(0, 2 * np.pi) + np.arange(12) * np.pi / 6
    shifts = _SHIFTED_NM * np.column_stack([np.cos(angle), np.sin(angle)])
    others = np.array([overlap(moved + shift) for shift in shifts])
    here = overlap(moved)
    floor = math.sqrt(here / len(moved))
    if here - others.mean() > _SIGNIFICANCE * max(float(others.std()), floor):
        return ""
    return "the two tables do not share enough structure or beads"
