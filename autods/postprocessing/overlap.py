"""Drift from the localizations themselves: the curve under which they lie on top of each other best."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

#: Kernels are cut off here, in standard deviations.
_CUTOFF = 3.0
#: Iterations of a fit.
_ITERATIONS = 30
#: Degrees of freedom of the prior of the steps.
_FREEDOM = 3.0


@dataclass(frozen=True)
class Events:
    """Positions in time, in units of the localization error."""

    #: (E, D) positions divided by `scale_nm`.
    position: Floats
    #: (E,) their standard errors in the same units, alike along all axes.
    error: Floats
    #: (E,) node of the curve that each belongs to.
    time: Ints
    #: Nodes M of the curve.
    n_nodes: int

    def select(self, rows: NDArray[np.generic]) -> Events:
        """Return the events that a mask (N,) or indices (M,) name."""
        return replace(self, position=self.position[rows], error=self.error[rows], time=self.time[rows])


@dataclass(frozen=True)
class Pairs:
    """Events that lie near each other at different times."""

    first: Ints
    second: Ints


def find_pairs(
    events: Events, curve: Floats, width: float, lag: int, most: int, rng: np.random.Generator
) -> tuple[Events, Pairs]:
    """Find the pairs of corrected events within reach of the kernel and a time lag.

    Returns the events used, and their pairs.

    Parameters
    ----------
    events
        The events.
    curve
        (M, D) present estimate of the drift.
    width
        Standard deviation of the kernel beside the errors.
    lag
        Largest distance in time, nodes.
    most
        Pairs at most, about; with more, some of the events are left out.
    rng
        Draws those.
    """
    reach = _CUTOFF * float(np.sqrt(2 * np.median(events.error) ** 2 + width**2))

    def coordinates(some: Events) -> Floats:
        place = some.position - curve[some.time]
        return np.column_stack([place / reach, some.time / (lag + 0.5)])

    points = coordinates(events)
    tree = cKDTree(points)
    asked = points[rng.choice(len(points), min(len(points), 2000), replace=False)]
    expected = tree.query_ball_point(asked, 1.0, p=np.inf, return_length=True).mean() / 2 * len(points)
    if expected > most:
        events = events.select(rng.random(len(points)) < np.sqrt(most / expected))
        tree = cKDTree(coordinates(events))
    pairs = tree.query_pairs(1.0, p=np.inf, output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    apart = events.time[first] != events.time[second]
    return events, Pairs(first[apart].astype(np.int64), second[apart].astype(np.int64))


class Overlap:
    """How well corrected events lie on top of each other, with its derivative.

    ``sum_i log(1 + sum_j K_ij)``, ``K_ij = exp(-u_ij^2 / (2 s_ij^2)) (s0 / s_ij)^D``, where u is the distance
    of two corrected events and ``s^2`` the sum of their squared errors and the square of the width: the log
    of the density of all others at each event, as in drift at minimum entropy (Cnossen et al., Optics Express
    29, 27961 (2021)), with 1 for the event itself, so that those without a partner pull at nothing.

    Parameters
    ----------
    events, pairs
        What lies near each other.
    width
        Standard deviation of the kernel beside the errors.
    """

    def __init__(self, events: Events, pairs: Pairs, width: float) -> None:
        self._events, self._first, self._second = events, pairs.first, pairs.second
        n_axes = events.position.shape[1]
        variance = events.error[self._first] ** 2 + events.error[self._second] ** 2 + width**2
        self._inverse = (1 / variance).astype(np.float32)
        height = (np.median(variance) / variance) ** (n_axes / 2) if len(variance) else variance
        self._height = height.astype(np.float32)
        # One contiguous array an axis, in single precision: pairs lie near each other.
        apart = events.position[self._first] - events.position[self._second]
        self._apart = [np.ascontiguousarray(axis, np.float32) for axis in apart.T]
        self._a, self._b = events.time[self._first], events.time[self._second]

    def _kernel(self, curve: Floats) -> tuple[list[Singles], Singles, Floats]:
        """Return the (P,) displacements along each axis, (P,) kernel values and (E,) densities."""
        moved = curve.astype(np.float32)
        u = [apart - axis[self._a] + axis[self._b] for apart, axis in zip(self._apart, moved.T, strict=True)]
        square = u[0] * u[0]
        for along in u[1:]:
            square += along * along
        square *= -0.5 * self._inverse
        kernel = np.exp(square, out=square)
        kernel *= self._height
        n = len(self._events.time)
        density = 1.0 + np.bincount(self._first, kernel, n) + np.bincount(self._second, kernel, n)
        return u, kernel, density.astype(np.float64)

    def by_node(self, curve: Floats) -> tuple[Floats, NDArray[np.integer]]:
        """Return (M,) sums of the log densities over the events of each node, and their numbers."""
        log_density = np.log(self._kernel(curve)[2])
        m = self._events.n_nodes
        total = np.bincount(self._events.time, log_density, m).astype(np.float64)
        return total, np.bincount(self._events.time, minlength=m)

    def value(self, curve: Floats) -> float:
        """Return the mean log density over the events."""
        total, count = self.by_node(curve)
        return float(total.sum() / max(count.sum(), 1))

    def _weights(self, curve: Floats) -> tuple[list[Singles], Singles, Floats]:
        """Return the displacements, the (P,) weights of their squares, and the (E,) densities."""
        u, kernel, density = self._kernel(curve)
        share = (1 / density).astype(np.float32)
        kernel *= share[self._first] + share[self._second]
        kernel *= self._inverse
        return u, kernel, density

    def cost_and_gradient(self, curve: Floats) -> tuple[float, Floats]:
        """Return minus the sum of the log densities and its derivative by the curve (M, D)."""
        u, weight, density = self._weights(curve)
        m = len(curve)
        gradient = [
            np.bincount(self._b, weight * along, m) - np.bincount(self._a, weight * along, m) for along in u
        ]
        return -float(np.log(density).sum()), np.stack(gradient, 1)

    def curvature(self, curve: Floats) -> Floats:
        """Return the (M, M) matrix of the quadratic function that touches the cost from above."""
        _, weight, _ = self._weights(curve)
        m = len(curve)
        off = np.bincount(self._a * m + self._b, weight, m * m).reshape(m, m)
        off = off + off.T
        return np.diag(off.sum(1)) - off


def fit_curve(overlap: Overlap, curve: Floats, step: float) -> Floats:
    """Maximise the overlap under the prior of a random walk whose large steps are not punished (Student's t).

    Returns (M, D) of mean 0.

    Parameters
    ----------
    overlap
        What is maximised.
    curve
        (M, D) first estimate.
    step
        Expected step from node to node along an axis, units of the positions.
    """
    m, n_axes = curve.shape
    for _ in range(2):
        prior = _walk_precision(curve, step**2)
        hessian = overlap.curvature(curve) + prior + 1e-6 / step**2 * np.eye(m)
        root = cholesky(hessian, lower=True)

        def cost(flat: Floats, prior: Floats = prior, root: Floats = root) -> tuple[float, Floats]:
            # In these coordinates the first step is that of the quadratic function which touches the cost.
            now = solve_triangular(root, flat.reshape(m, n_axes), trans="T", lower=True)
            value, gradient = overlap.cost_and_gradient(now)
            pulled = prior @ now
            value += 0.5 * float((now * pulled).sum())
            return value, solve_triangular(root, gradient + pulled, lower=True).ravel()

        found = minimize(
            cost,
            (root.T @ curve).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _ITERATIONS, "ftol": 1e-7},
        )
        curve = solve_triangular(root, found.x.reshape(m, n_axes), trans="T", lower=True)
    centred: Floats = curve - curve.mean(0)
    return centred


def _walk_precision(curve: Floats, variance: float) -> Floats:
    """Return the (M, M) precision of a random walk, less stiff where the present curve makes large steps."""
    m = len(curve)
    step2 = (np.diff(curve, axis=0) ** 2).mean(1)
    stiffness = (_FREEDOM + 1) / (_FREEDOM + step2 / variance) / variance
    diagonal = np.zeros(m)
    diagonal[:-1] += stiffness
    diagonal[1:] += stiffness
    return np.diag(diagonal) - np.diag(stiffness, 1) - np.diag(stiffness, -1)
