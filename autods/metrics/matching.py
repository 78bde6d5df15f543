"""Optimal pairing of found localizations with true emitters, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from autods.core import LocalizationTable, UserError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Components with more possible cells than this are solved sparsely; below it the dense solver is faster.
_DENSE_CELLS = 40_000


@dataclass(frozen=True)
class Matches:
    """Pairs of a true emitter and a found localization."""

    #: (P,) rows of the two tables: row ``truth_index[i]`` is paired with row ``found_index[i]``. Each row
    #: occurs at most once. Ordered by ``truth_index``.
    truth_index: Indices
    found_index: Indices

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.truth_index)


def match(
    truth: LocalizationTable,
    found: LocalizationTable,
    radius_nm: float,
    axial_radius_nm: float | None = None,
) -> Matches:
    """Pair two tables optimally, frame by frame; see `match_arrays`.

    Raises `UserError` if an axial radius is given and one of the tables has no z.

    Parameters
    ----------
    truth, found
        The tables; frames counted from the same origin.
    radius_nm
        Largest lateral distance of a pair, nm.
    axial_radius_nm
        Largest axial distance of a pair, nm; None pairs by lateral distance alone, whatever z is.
    """
    if axial_radius_nm is not None and not (truth.is_3d and found.is_3d):
        lacking = "truth" if not truth.is_3d else "localizations"
        raise UserError(f"an axial radius was given but the {lacking} have no z: leave it out to match in 2D")
    pairs = match_arrays(
        truth.frame, positions(truth), found.frame, positions(found), radius_nm, axial_radius_nm
    )
    return Matches(*pairs)


def positions(table: LocalizationTable) -> Floats:
    """Return the positions (N, 2) or, in 3D, (N, 3) of a table in nm: x, y[, z].

    Examples
    --------
    >>> import numpy as np
    >>> from autods import LocalizationTable
    >>> positions(LocalizationTable.build(np.array([0]), np.array([120.0]), np.array([80.0])))
    array([[120.,  80.]])
    """
    columns = [table.x_nm, table.y_nm]
    return np.stack(columns if table.z_nm is None else [*columns, table.z_nm], axis=1)


def match_arrays(
    truth_frame: NDArray[np.integer],
    truth_xyz: NDArray[np.floating],
    found_frame: NDArray[np.integer],
    found_xyz: NDArray[np.floating],
    radius_nm: float,
    axial_radius_nm: float | None = None,
) -> tuple[Indices, Indices]:
    """Pair positions so that the number of pairs is largest and, among those, their total distance smallest.

    This is the optimum of the Hungarian algorithm on each frame with a prohibitive cost beyond the radius.
    Only pairs within reach are ever formed, and each connected group of them is solved alone, so that frames
    with thousands of emitters stay cheap. Returns ``truth_index, found_index``: (P,) paired rows, ordered by
    ``truth_index``. Raises `ValueError` if a radius is not positive, or z is needed and absent.

    Parameters
    ----------
    truth_frame, found_frame
        (N,) and (M,) frames, in any order.
    truth_xyz, found_xyz
        (N, 2 or 3) and (M, 2 or 3) positions in nm: x, y[, z]. Rows that are not finite are left unpaired.
    radius_nm
        Largest lateral distance of a pair, nm (inclusive).
    axial_radius_nm
        With it, a pair must also lie within this axial distance, nm (a cylinder, as in the SMLM challenge)
        and the cost is the 3D distance; without it z is ignored and the cost is the lateral distance.
    """
    if not radius_nm > 0 or (axial_radius_nm is not None and not axial_radius_nm > 0):
        raise ValueError(
            f"radius_nm={radius_nm} and axial_radius_nm={axial_radius_nm} must be greater than 0"
        )
    dims = 2 if axial_radius_nm is None else 3
    truth_xyz, found_xyz = (np.asarray(xyz, np.float64) for xyz in (truth_xyz, found_xyz))
    if min(truth_xyz.shape[1], found_xyz.shape[1]) < dims:
        raise ValueError("an axial radius needs positions with z")
    truth_ok, found_ok = (np.flatnonzero(np.isfinite(xyz[:, :dims]).all(1)) for xyz in (truth_xyz, found_xyz))
    row, column, distance = _candidates(
        np.asarray(truth_frame)[truth_ok],
        truth_xyz[truth_ok, :dims],
        np.asarray(found_frame)[found_ok],
        found_xyz[found_ok, :dims],
        radius_nm,
        axial_radius_nm,
    )
    chosen = _assign(row, column, distance, len(truth_ok), len(found_ok))
    chosen = chosen[np.argsort(row[chosen])]
    return truth_ok[row[chosen]], found_ok[column[chosen]]


def _candidates(
    truth_frame: NDArray[np.integer],
    truth_xyz: Floats,
    found_frame: NDArray[np.integer],
    found_xyz: Floats,
    radius_nm: float,
    axial_radius_nm: float | None,
) -> tuple[Indices, Indices, Floats]:
    """Return row, column and cost of all pairs of one frame within the radii."""
    none = np.zeros(0, np.int64)
    if not len(truth_xyz) or not len(found_xyz):
        return none, none, np.zeros(0)
    # The frame becomes a third coordinate in steps wider than the search: one tree serves all frames.
    rank = np.unique(np.concatenate([truth_frame, found_frame]), return_inverse=True)[1] * (2.0 * radius_nm)
    truth_tree = cKDTree(np.column_stack([truth_xyz[:, :2], rank[: len(truth_xyz)]]))
    found_tree = cKDTree(np.column_stack([found_xyz[:, :2], rank[len(truth_xyz) :]]))
    near = truth_tree.sparse_distance_matrix(found_tree, radius_nm * (1 + 1e-9), output_type="ndarray")
    row, column = near["i"].astype(np.int64), near["j"].astype(np.int64)
    delta = truth_xyz[row] - found_xyz[column]
    distance = np.hypot(delta[:, 0], delta[:, 1])
    keep = distance <= radius_nm
    if axial_radius_nm is not None:
        keep &= np.abs(delta[:, 2]) <= axial_radius_nm
        distance = np.hypot(distance, delta[:, 2])
    return row[keep], column[keep], distance[keep]


def _assign(row: Indices, column: Indices, cost: Floats, n_rows: int, n_columns: int) -> Indices:
    """Return which of the candidate pairs form the optimal assignment."""
    if not len(row):
        return np.zeros(0, np.int64)
    graph = coo_array((np.ones(len(row)), (row, column + n_rows)), shape=(n_rows + n_columns,) * 2)
    label = connected_components(graph, directed=False)[1][row].astype(np.int64)
    order = np.argsort(label, kind="stable")
    label, row, column, cost = label[order], row[order], column[order], cost[order]
    starts = np.flatnonzero(np.diff(label, prepend=-1))
    stops = np.append(starts[1:], len(label))
    row, column = _local_index(label, row, starts), _local_index(label, column, starts)
    alone = stops - starts == 1
    chosen = [starts[alone]]
    for start, stop in zip(starts[~alone].tolist(), stops[~alone].tolist(), strict=True):
        chosen.append(start + _assign_component(row[start:stop], column[start:stop], cost[start:stop]))
    best: Indices = order[np.concatenate(chosen)]
    return best


def _local_index(label: Indices, index: Indices, starts: Indices) -> Indices:
    """Renumber an index from 0 within each group; ``label`` is sorted and its groups begin at ``starts``."""
    rank = np.unique(label * (index.max() + 1) + index, return_inverse=True)[1].astype(np.int64)
    first = np.minimum.reduceat(rank, starts)
    local: Indices = rank - np.repeat(first, np.diff(starts, append=len(label)))
    return local


def _assign_component(row: Indices, column: Indices, cost: Floats) -> Indices:
    """Solve one connected group of candidates; returns positions into its list."""
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    # Dearer than any set of permitted pairs, so that one more pair always wins over shorter distances.
    prohibitive = (float(cost.max()) + 1.0) * (min(shape) + 1)
    if shape[0] * shape[1] > _DENSE_CELLS:
        return _assign_sparse(row, column, cost, shape, prohibitive)
    dense = np.full(shape, prohibitive)
    dense[row, column] = cost
    pair = np.full(shape, -1)
    pair[row, column] = np.arange(len(row))
    chosen: Indices = pair[linear_sum_assignment(dense)]
    return chosen[chosen >= 0]


def _assign_sparse(
    row: Indices, column: Indices, cost: Floats, shape: tuple[int, int], prohibitive: float
) -> Indices:
    """Assign with a sparse solver: a private, prohibitive column for each row makes a full matching exist."""
    own = np.arange(shape[0])
    # The solver drops zeros; a constant on each pair does not change which of the largest sets is best.
    weight = np.concatenate([cost + 1.0, np.full(shape[0], prohibitive + shape[0])])
    place = (np.concatenate([row, own]), np.concatenate([column, own + shape[1]]))
    problem = coo_array((weight, place), shape=(shape[0], shape[0] + shape[1])).tocsr()
    left, right = min_weight_full_bipartite_matching(problem)
    key = row * shape[1] + column
    order = np.argsort(key)
    real = right < shape[1]
    return order[np.searchsorted(key[order], left[real].astype(np.int64) * shape[1] + right[real])]
