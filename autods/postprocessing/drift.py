"""Stage drift: its curve, and its estimate from the localizations alone."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.postprocessing.correlation import correlate_segments
from autods.postprocessing.linking import LinkedTable
from autods.postprocessing.overlap import Events, Overlap, find_pairs, fit_curve

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: A movie with fewer events or frames cannot tell its drift: in a few seconds a stage hardly moves, and a few
#: hundred events can agree by chance.
LEAST_EVENTS, LEAST_FRAMES = 300, 500
#: Events of more frames than this, and than a hundredth of the movie, are left out.
_LONG_FRAMES = 20
#: Events a node, and nodes at most: of the first estimate, and of the last.
_COARSE, _FINE = (25, 150), (6, 600)
#: Pairs that a fit uses at most: of the first estimate, of a half, and of the last one.
_COARSE_PAIRS, _HALF_PAIRS, _FINE_PAIRS = 250_000, 250_000, 1_000_000
#: Starts: width of the kernel (nm) and expected step between nodes (nm); None starts from correlations.
_STARTS: tuple[tuple[float, float] | None, ...] = ((60.0, 10.0), None, (120.0, 30.0), (40.0, 40.0))
#: Two starts that agree within this are right, nm.
_AGREEMENT_NM = 6.0
#: Time segments of the correlations.
_SEGMENTS = 16
#: Of the last fit: widths of the kernel (errors) and expected steps between nodes (nm) to choose from.
_WIDTHS, _STEPS_NM = (1.0, 2.0, 4.0), (0.05, 0.3, 1.0, 3.0, 10.0, 25.0)
#: A curve counts when the other half of the events says so by this many standard errors.
_SIGNIFICANCE = 3.0


@dataclass(frozen=True)
class Drift:
    """Position of the sample in each frame, relative to the first one."""

    #: (T, 2) x and y, or (T, 3) with z, nm: what is subtracted from the positions.
    curve_nm: Floats
    #: Frame that the first row belongs to.
    first_frame: int
    #: How it was found: ``auto``, ``fiducials``, ``file`` or ``none``.
    method: str
    #: One sentence on how it was found, or on why there is none.
    note: str
    #: (D,) estimated standard error along each axis, nm; NaN where not known.
    error_nm: Floats

    @property
    def is_on(self) -> bool:
        """Whether anything is subtracted."""
        return self.method != "none"

    @classmethod
    def off(cls, frames: range, n_axes: int, note: str) -> Drift:
        """Return no drift, with the reason."""
        return cls(np.zeros((len(frames), n_axes)), frames.start, "none", note, np.full(n_axes, np.nan))

    def subtract(self, table: LocalizationTable) -> LocalizationTable:
        """Return the table in the coordinates of the first frame; frames beyond the curve get its ends."""
        return self._moved(table, -1.0)

    def add(self, table: LocalizationTable) -> LocalizationTable:
        """Return a corrected table as it was before."""
        return self._moved(table, 1.0)

    def _moved(self, table: LocalizationTable, sign: float) -> LocalizationTable:
        row = np.clip(table.frame - self.first_frame, 0, len(self.curve_nm) - 1)
        by = sign * self.curve_nm[row]
        z = table.z_nm
        if z is not None and by.shape[1] == 3:
            z = z + by[:, 2]
        return dataclasses.replace(table, x_nm=table.x_nm + by[:, 0], y_nm=table.y_nm + by[:, 1], z_nm=z)


def estimate_drift(linked: LinkedTable, frames: range) -> Drift:
    """Estimate the drift from where the molecules lie again and again; no setting is needed.

    The curve is the one under which the events lie on top of each other best (`overlap`). It is first found
    coarsely, from several starts, then finely; how smooth it is, and how wide the kernel, is what lets one
    half of the events predict the other half best. The two halves, each fitted by itself from the start, also
    tell the error, and whether there is a drift at all. Returns `Drift`, off, with the reason, where the
    movie is too short or the halves do not agree.
    """
    n_axes = 3 if linked.table.is_3d else 2
    # What shines for long is a bead; its mean position over a drift means nothing.
    brief = linked.last_frame - linked.table.frame < max(_LONG_FRAMES, len(frames) // 100)
    if brief.sum() < LEAST_EVENTS or len(frames) < LEAST_FRAMES:
        note = (
            f"{brief.sum():,} events in {len(frames):,} frames are too few to tell a drift"
            f" (at least {LEAST_EVENTS} in {LEAST_FRAMES})"
        )
        return Drift.off(frames, n_axes, note)
    middle = (linked.table.frame + linked.last_frame + 1) / 2 - frames.start
    return _Estimator(linked.table.select(brief), middle[brief], frames, np.random.default_rng(0)).run()


@dataclass(frozen=True)
class _Attempt:
    """Curves (M, D) of both halves with one width and step, and what each half says of the other's curve."""

    score: float
    width: float
    step_nm: float
    curves: list[Floats]


class _Estimator:
    """The steps of `estimate_drift`; positions in units of the median error along each axis."""

    def __init__(
        self, table: LocalizationTable, middle: Floats, frames: range, rng: np.random.Generator
    ) -> None:
        axes = [table.x_nm, table.y_nm] if table.z_nm is None else [table.x_nm, table.y_nm, table.z_nm]
        position = np.column_stack(axes)
        finite = np.isfinite(position).all(1)
        self._frames, self._n_frames, self._rng = frames, len(frames), rng
        self._middle = middle[finite]
        lateral = _typical(table.uncertainty_xy_nm, 10.0)
        axial = [] if table.uncertainty_z_nm is None else [_typical(table.uncertainty_z_nm, 25.0)]
        self._scale = np.array([lateral, lateral, *axial])
        self._position = (position / self._scale)[finite]
        error = table.uncertainty_xy_nm[finite] / lateral
        self._error = np.where(error > 0, error, 1.0).clip(0.3, 3.0)

    def _events(self, per_node: int, most: int) -> Events:
        n_nodes = int(np.clip(len(self._middle) // per_node, 8, min(most, self._n_frames)))
        node = np.minimum((self._middle / self._n_frames * n_nodes).astype(np.int64), n_nodes - 1)
        return Events(self._position, self._error, node, n_nodes)

    def run(self) -> Drift:
        rng = self._rng
        first = self._rng.random(len(self._middle)) < 0.5
        halves = (first, ~first)
        coarse = self._events(*_COARSE)
        start, way = self._coarse(coarse, _STARTS)
        starts = [self._coarse(coarse.select(half), (way,))[0] for half in halves]
        fine = self._events(*_FINE)
        best = self._choose(fine, halves, [self._between(curve, fine.n_nodes) for curve in starts])
        gain, doubt = self._gain(fine, halves, best.curves)
        error = np.sqrt((((best.curves[0] - best.curves[1]) * self._scale) ** 2).mean(0)) / 2
        apart = 2 * float(np.hypot(*error[:2]))
        logger.info(
            "drift: kernel %.1f, step %.2f nm, gain %.4f +- %.4f", best.width, best.step_nm, gain, doubt
        )
        curve = self._between(start, fine.n_nodes)
        for width in (_WIDTHS[-1], best.width):
            some, pairs = find_pairs(fine, curve, width, fine.n_nodes, _FINE_PAIRS, rng)
            curve = fit_curve(Overlap(some, pairs, width), curve, best.step_nm / self._scale[0])
        curve_nm = self._between(curve, self._n_frames) * self._scale
        size = float(np.sqrt((np.ptp(curve_nm[:, :2], axis=0) ** 2).sum()))
        if gain < _SIGNIFICANCE * doubt or size < 1.0:
            note = "no drift that two halves of the localizations agree on"
        elif apart > size / 2:
            note = f"two halves of the localizations disagree by {apart:.0f} nm over a drift of {size:.0f} nm"
        else:
            note = (
                f"found from {len(self._middle):,} events: {size:.0f} nm in all;"
                f" two halves of them agree within {apart:.1f} nm"
            )
            return Drift(curve_nm - curve_nm[0], self._frames.start, "auto", note, error)
        return Drift.off(self._frames, len(self._scale), note)

    def _coarse(
        self, events: Events, ways: tuple[tuple[float, float] | None, ...]
    ) -> tuple[Floats, tuple[float, float] | None]:
        """Return the best curve (M, D) over the ways to start, and its way."""
        found: list[tuple[float, Floats, tuple[float, float] | None]] = []
        for way in ways:
            curve = self._from_start(events, way)
            some, pairs = find_pairs(
                events, curve, 2.0, events.n_nodes, _COARSE_PAIRS, np.random.default_rng(0)
            )
            found.append((Overlap(some, pairs, 1.0).value(curve), curve, way))
            found.sort(key=lambda one: one[0], reverse=True)
            if len(found) > 1 and _distance(found[0][1], found[1][1]) * self._scale[0] < _AGREEMENT_NM:
                break
        return found[0][1], found[0][2]

    def _from_start(self, events: Events, way: tuple[float, float] | None) -> Floats:
        m = events.n_nodes
        curve = np.zeros((m, len(self._scale)))
        width, step = (np.array(way or (60.0, 10.0)) / self._scale[0]).tolist()
        lags = [m // 16 + 1, m // 4 + 1]
        if way is None:
            n_segments = min(_SEGMENTS, m)
            segment = events.time * n_segments // m
            by_segment = correlate_segments(events.position[:, :2] * self._scale[:2], segment, n_segments)
            curve[:, :2] = self._between(by_segment / self._scale[:2], m)
            lags = []
        widths = [width] * (len(lags) + 1) + [width / 2]
        while widths[-1] > 4.0:
            widths.append(widths[-1] / 2)
        lags += [m] * (len(widths) - len(lags))
        for lag, now in zip(lags, widths, strict=True):
            some, pairs = find_pairs(events, curve, now, lag, _COARSE_PAIRS, self._rng)
            curve = fit_curve(Overlap(some, pairs, now), curve, step)
        return curve

    def _between(self, curve: Floats, n: int) -> Floats:
        """Interpolate a curve to another number of nodes, all of them equal pieces of the movie."""
        old, new = (np.arange(len(curve)) + 0.5) / len(curve), (np.arange(n) + 0.5) / n
        return np.column_stack([np.interp(new, old, axis) for axis in curve.T])

    def _choose(
        self, events: Events, halves: tuple[NDArray[np.bool_], NDArray[np.bool_]], starts: list[Floats]
    ) -> _Attempt:
        """Choose width and step by what one half of the events says of the curve of the other."""
        parts = []
        for half, start in zip(halves, starts, strict=True):
            some, pairs = find_pairs(
                events.select(half), start, _WIDTHS[-1], events.n_nodes, _HALF_PAIRS, self._rng
            )
            parts.append((some, pairs))
        judges = [Overlap(some, pairs, 1.0) for some, pairs in parts]

        def attempt(width: float, step_nm: float, begin: list[Floats]) -> _Attempt:
            step = step_nm / self._scale[0]
            overlaps = [Overlap(some, pairs, width) for some, pairs in parts]
            curves = [fit_curve(one, now, step) for one, now in zip(overlaps, begin, strict=True)]
            score = judges[0].value(curves[1]) + judges[1].value(curves[0])
            return _Attempt(score, width, step_nm, curves)

        tried = [attempt(_WIDTHS[1], _STEPS_NM[0], starts)]
        for step_nm in _STEPS_NM[1:]:
            tried.append(attempt(_WIDTHS[1], step_nm, tried[-1].curves))
        best = max(tried, key=lambda one: one.score)
        others = [attempt(width, best.step_nm, best.curves) for width in _WIDTHS if width != best.width]
        best = max([best, *others], key=lambda one: one.score)
        return best

    def _gain(
        self, events: Events, halves: tuple[NDArray[np.bool_], NDArray[np.bool_]], curves: list[Floats]
    ) -> tuple[float, float]:
        """Return what correcting one half with the curve of the other gains, and its standard error."""
        gains, counts = np.zeros(events.n_nodes), np.zeros(events.n_nodes)
        for half, curve in zip(halves, reversed(curves), strict=True):
            totals = []
            for now in (curve, np.zeros_like(curve)):
                some, pairs = find_pairs(
                    events.select(half), now, 1.0, events.n_nodes, _HALF_PAIRS, np.random.default_rng(1)
                )
                total, count = Overlap(some, pairs, 1.0).by_node(now)
                totals.append(total)
            gains += totals[0] - totals[1]
            counts += count
        seen = counts > 0
        if seen.sum() < 3:
            return 0.0, math.inf
        # Neighbouring nodes share their error: blocks of them are compared.
        blocks = np.arange(events.n_nodes) * 20 // events.n_nodes
        gain = np.bincount(blocks, gains) / np.maximum(np.bincount(blocks, counts), 1)
        return float(gain.mean()), float(gain.std(ddof=1) / math.sqrt(len(gain)))


def _typical(sigma: Floats, otherwise: float) -> float:
    known = sigma[np.isfinite(sigma) & (sigma > 0)]
    return float(np.median(known)) if len(known) else otherwise


def _distance(first: Floats, second: Floats) -> float:
    """Return the root mean square distance of two curves, their means removed."""
    difference = first - second
    return float(np.sqrt(((difference - difference.mean(0)) ** 2).sum(1).mean()))
