"""Groups of emitters whose images overlap, and where each finds its place in a batch of small matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

#: Larger groups are cut in two until they fit; a cut holds neighbours fixed during a step.
MAX_GROUP = 12
#: Groups are padded to the next of these sizes and solved in one batch each.
SIZES = np.array([1, 2, 3, 4, 6, 8, MAX_GROUP])


@dataclass(frozen=True)
class Groups:
    """Emitters in groups."""

    #: (N,) group of each emitter, 0 to G - 1, ordered by size.
    group: NDArray[np.int64]
    #: (N,) place of each emitter within its group.
    slot: NDArray[np.int64]
    #: (G,) padded size of each group, ascending, out of `SIZES`.
    size: NDArray[np.int64]
    #: (P, 2) ordered pairs of different emitters of one group that overlap; both orders are there.
    pairs: NDArray[np.int64]

    def select(self, chosen: NDArray[np.bool_]) -> Groups:
        """Return the groups marked in ``chosen`` (G,), emitters and groups counted anew."""
        of_emitter = chosen[self.group]
        emitter, group = np.cumsum(of_emitter) - 1, np.cumsum(chosen) - 1
        pairs = self.pairs[of_emitter[self.pairs[:, 0]]]
        return Groups(group[self.group[of_emitter]], self.slot[of_emitter], self.size[chosen], emitter[pairs])


def group_emitters(
    frame: NDArray[np.int64], x_px: NDArray[np.float64], y_px: NDArray[np.float64], link_px: float
) -> Groups:
    """Join emitters of a frame that are nearer than ``link_px``, directly or through others.

    Parameters
    ----------
    frame
        (N,) frame of each emitter, in any order.
    x_px, y_px
        (N,) positions, px.
    link_px
        Largest distance of overlapping emitters, px.
    """
    n = len(frame)
    spread = 2 * link_px + np.ptp(np.append(x_px, y_px)) if n else 0.0  # frames must not be neighbours
    links = cKDTree(np.column_stack([x_px, y_px, frame * spread])).query_pairs(link_px, output_type="ndarray")
    graph = coo_matrix((np.ones(len(links), bool), links.T), shape=(n, n))
    label = connected_components(graph, directed=False)[1].astype(np.int64)
    label = _split(label, x_px, y_px)
    counts = np.bincount(label)
    by_size = np.argsort(counts, kind="stable")
    rank = np.empty_like(by_size)
    rank[by_size] = np.arange(len(by_size))
    group = rank[label]
    order = np.argsort(group, kind="stable")
    first = np.concatenate([[0], np.cumsum(counts[by_size])])
    slot = np.empty(n, np.int64)
    slot[order] = np.arange(n) - first[group[order]]
    links = links[group[links[:, 0]] == group[links[:, 1]]]
    size = SIZES[np.searchsorted(SIZES, counts[by_size])]
    return Groups(group, slot, size, np.concatenate([links, links[:, ::-1]]))


def _split(
    label: NDArray[np.int64], x_px: NDArray[np.float64], y_px: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Cut groups of more than `MAX_GROUP` in halves along their longer axis until none is left."""
    label, n_labels = label.copy(), int(label.max(initial=-1)) + 1
    order = np.argsort(label, kind="stable")
    limits = np.searchsorted(label[order], np.arange(n_labels + 1))
    pending = [order[limits[k] : limits[k + 1]] for k in np.flatnonzero(np.diff(limits) > MAX_GROUP)]
    while pending:
        members = pending.pop()
        along = x_px if np.ptp(x_px[members]) > np.ptp(y_px[members]) else y_px
        members = members[np.argsort(along[members], kind="stable")]
        half = len(members) // 2
        label[members[half:]] = n_labels
        n_labels += 1
        pending += [part for part in (members[:half], members[half:]) if len(part) > MAX_GROUP]
    return label
