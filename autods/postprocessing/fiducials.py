"""What shines in most frames: beads, found in the table and marked, and the drift that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from autods.core import LocalizationTable
from autods.postprocessing.drift import Drift
from autods.postprocessing.linking import LinkedTable, link

Floats = NDArray[np.float64]

#: A fiducial is seen in at least this share of the frames.
LEAST_COVERAGE = 0.5
#: Frames that a fiducial may be missed in a row, and frames of a piece of its track at least.
_GAP, _LEAST_PIECE = 5, 10
#: The pieces of its track cover at least this share.
_PIECES = 0.5 * LEAST_COVERAGE
#: A bright bead may be found as several localizations; those this near to it, nm, and at least this bright,
#: as a share of the median of its track, are one.
_SPLIT_NM, _SPLIT_PHOTONS = 400.0, 0.3
#: From frame to frame a track moves less than this, nm, root mean square.
_STEP_NM = 100.0
#: The running median of a track over so many frames moves less than this a frame, nm.
_WANDER_FRAMES, _WANDER_NM = 21, 2.5
#: What is no bead scatters about its place by less than this, nm.
_PLACE_NM = 60.0
#: A track that scatters this many times more than the best ones has jumped.
_JUMP = 4.0


@dataclass(frozen=True)
class Fiducial:
    """The track of what shines in most frames."""

    #: (F,) frames in which it was seen, in order.
    frame: NDArray[np.int64]
    #: (F, D) where, nm.
    position_nm: Floats
    #: Its localizations in the table, several of a frame where it was found as several.
    rows: NDArray[np.int64]
    #: Median of its photons over that of all localizations; NaN where photons are not known.
    brightness: float

    @property
    def is_bead(self) -> bool:
        """Whether it outshines the molecules, as beads do and a pattern of the background does not."""
        return not self.brightness < 1


def mark_rows(fiducials: Sequence[Fiducial], n_rows: int) -> NDArray[np.int64]:
    """Return (N,) the number of each localization's fiducial, from 1; 0 for molecules."""
    mark = np.zeros(n_rows, np.int64)
    for number, fiducial in enumerate(fiducials, 1):
        mark[fiducial.rows] = number
    return mark


def find_fiducials(
    table: LocalizationTable, frames: range, linked: LinkedTable | None = None
) -> list[Fiducial]:
    """Find what shines at one place, up to the drift, in most frames.

    Beads do; so does what was found on a pattern of the background: see `Fiducial.is_bead`. The one
    seen most often is the first.

    Parameters
    ----------
    table
        Localizations, not linked and not corrected.
    frames
        Frames of the movie.
    linked
        The table linked with the usual gap, where it is at hand: without long events in it nothing is looked
        for further.
    """
    if linked is not None and linked.n_localizations.max(initial=0) < _LEAST_PIECE:
        return []
    chains = link(table, max_gap=_GAP)
    order = np.argsort(chains.event, kind="stable")
    # Few molecules are on for a fiftieth of the movie.
    pieces = np.flatnonzero(chains.n_localizations >= max(_LEAST_PIECE, len(frames) // 50))
    starts, stops = (np.searchsorted(chains.event[order], pieces, side=side) for side in ("left", "right"))
    runs = [np.sort(order[start:stop]) for start, stop in zip(starts, stops, strict=True)]
    typical = np.nanmedian(table.photons) if np.isfinite(table.photons).any() else np.nan
    dim = [bool(np.median(table.photons[rows]) < typical) for rows in runs]
    found = []
    along_x = np.argsort(table.x_nm, kind="stable")
    for wanted in (False, True):
        alike = [rows for rows, is_dim in zip(runs, dim, strict=True) if is_dim == wanted]
        found += [
            _gather(table, rows, frames, typical, along_x)
            for rows in _joined(table, alike)
            if len(np.unique(table.frame[rows])) >= _PIECES * len(frames)
        ]
    found = [one for one in found if len(one.frame) >= LEAST_COVERAGE * len(frames) and _is_steady(one)]
    return sorted(found, key=lambda one: len(one.frame), reverse=True)


def _joined(table: LocalizationTable, pieces: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return the rows of each bead from the pieces of their tracks."""
    if not pieces:
        return []
    places = np.column_stack([table.x_nm, table.y_nm])
    low, high = (np.array([end(places[rows], axis=0) for rows in pieces]) for end in (np.min, np.max))
    # Only pieces whose surroundings touch can be of one bead.
    reach = _SPLIT_NM + float((high - low).max())
    near = cKDTree((low + high) / 2).query_pairs(reach, p=np.inf, output_type="ndarray")
    touch = (
        (low[near[:, 0]] <= high[near[:, 1]] + _SPLIT_NM) & (low[near[:, 1]] <= high[near[:, 0]] + _SPLIT_NM)
    ).all(1)
    same = np.array(
        [pair for pair in near[touch] if _is_same(table, *(pieces[k] for k in pair))], int
    ).reshape(-1, 2)
    links = coo_matrix((np.ones(len(same)), tuple(same.T)), (len(pieces), len(pieces)))
    n_beads, bead = connected_components(links, directed=False)
    order = np.argsort(bead, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(bead, minlength=n_beads))[:-1])
    return [np.concatenate([pieces[k] for k in group]) for group in groups]


def _is_same(table: LocalizationTable, first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Tell whether two pieces are of one bead: near each other while both are seen, or one by one."""
    a, b = table.frame[first], table.frame[second]
    common, in_a, in_b = np.intersect1d(a, b, return_indices=True)
    if not len(common):
        before, after = (first[-1], second[0]) if a[0] < b[0] else (second[-1], first[0])
        return bool(_apart(table, before, after) < _SPLIT_NM)
    return bool(_apart(table, first[in_a], second[in_b]).mean() < _SPLIT_NM)


def _is_steady(fiducial: Fiducial) -> bool:
    """Tell whether a track is that of one thing.

    From frame to frame it hardly moves, unlike that of two beads too near to be told; and its running median
    stays, unlike that of molecules near each other, of which now one and now another is on. What is no
    brighter than molecules must stay at one place.
    """
    track = fiducial.position_nm[:, :2]
    if not fiducial.is_bead and np.hypot(*track.std(0)) > _PLACE_NM:
        return False
    steps = np.diff(track, axis=0)
    wander = np.diff(median_filter(track, (_WANDER_FRAMES, 1), mode="nearest"), axis=0)
    return bool(np.sqrt((steps**2).sum(1).mean()) < _STEP_NM and np.abs(wander).sum(1).mean() < _WANDER_NM)


def _apart(table: LocalizationTable, first: Any, second: Any) -> Any:
    return np.hypot(table.x_nm[first] - table.x_nm[second], table.y_nm[first] - table.y_nm[second])


def _gather(
    table: LocalizationTable,
    rows: NDArray[np.int64],
    frames: range,
    typical: float,
    along_x: NDArray[np.int64],
) -> Fiducial:
    """Return the track of a bead: in each frame the centre of the light of all that it was found as.

    Parameters
    ----------
    table, frames
        See `find_fiducials`.
    rows
        Localizations of the bead.
    typical
        Median photons of all localizations.
    along_x
        (N,) the rows of the table in rising order of x.
    """
    rows = rows[np.argsort(table.frame[rows], kind="stable")]
    # Near enough to say what belongs to it.
    x = table.x_nm[rows]
    limits = np.searchsorted(table.x_nm, [x.min() - _SPLIT_NM, x.max() + _SPLIT_NM], sorter=along_x)
    some = np.sort(along_x[limits[0] : limits[1]])
    at, frame = table.frame[rows], table.frame[some]
    away_x, away_y = (
        values[some] - np.interp(frame, at, values[rows]) for values in (table.x_nm, table.y_nm)
    )
    photons = table.photons[some]
    light = np.where(np.isfinite(photons) & (photons > 0), photons, 0.0)
    own = light[np.searchsorted(some, rows)]
    if not own.any():
        light, own = np.ones(len(some)), np.ones(len(rows))
    near = np.hypot(away_x, away_y) < _SPLIT_NM
    near &= (light > 0) & (light >= _SPLIT_PHOTONS * np.median(own))
    near &= (frame >= frames.start) & (frame < frames.stop)
    chosen, light = some[near], light[near]
    seen, index = np.unique(table.frame[chosen], return_inverse=True)
    weight = np.bincount(index, light)
    axes = [np.bincount(index, light * axis[chosen]) / weight for axis in _positions(table).T]
    brightness = float(np.median(table.photons[rows]) / typical)
    return Fiducial(seen, np.column_stack(axes), chosen, brightness)


def fiducial_drift(fiducials: list[Fiducial], frames: range) -> Drift | None:
    """Return the drift that at least two fiducials agree on; None where there are fewer.

    Tracks are brought to one mean; those that scatter much more about the median of all than the best ones
    have jumped or moved and are left out. The mean of the rest is smoothed over as many frames as lets one
    half of the tracks predict the other best.

    Parameters
    ----------
    fiducials
        What `find_fiducials` gives.
    frames
        Frames of the movie.
    """
    if len(fiducials) < 2:
        return None
    n_axes = fiducials[0].position_nm.shape[1]
    tracks = np.full((len(fiducials), len(frames), n_axes), np.nan)
    for track, fiducial in zip(tracks, fiducials, strict=True):
        track[fiducial.frame - frames.start] = fiducial.position_nm
    tracks, kept = _agreeing(tracks)
    if kept < 2:
        return None
    halves = [_mean(tracks[0::2]), _mean(tracks[1::2])]
    widths = [0.0, 1.0, 3.0, 10.0, 30.0, 100.0]
    scores = [
        np.nanmean((_smooth(halves[0], width) - halves[1]) ** 2)
        + np.nanmean((_smooth(halves[1], width) - halves[0]) ** 2)
        for width in widths
    ]
    width = widths[int(np.argmin(scores))]
    curve = _smooth(_mean(tracks), width)
    error = np.sqrt(np.mean((_smooth(halves[0], width) - _smooth(halves[1], width)) ** 2, axis=0)) / 2
    left_out = len(fiducials) - kept
    note = f"from {kept} fiducials" + (f"; {left_out} that moved left out" if left_out else "")
    return Drift(curve - curve[0], frames.start, "fiducials", note, error)


def _positions(table: LocalizationTable) -> Floats:
    axes = [table.x_nm, table.y_nm] if table.z_nm is None else [table.x_nm, table.y_nm, table.z_nm]
    return np.column_stack(axes)


def _agreeing(tracks: Floats) -> tuple[Floats, int]:
    """Return the tracks (K, T, D) that move together, brought to one mean, and their number."""
    tracks = np.stack([np.where(np.isfinite(track), track, _smooth(track, 0.0)) for track in tracks])
    for _ in range(3):
        common = np.nanmedian(tracks - np.nanmedian(tracks, axis=1, keepdims=True), axis=0)
        tracks = tracks - np.nanmedian(tracks - common, axis=1, keepdims=True)
    common = np.nanmedian(tracks, axis=0)
    away = tracks - common
    if len(tracks) == 2:
        away = np.stack([tracks[0] - tracks[1]] * 2) / 2
    # A jump shows in the slow part, which the error of single frames hides.
    slow = np.stack([_smooth(track, 20.0) for track in away])
    scatter = np.sqrt(np.mean(slow[..., :2] ** 2, axis=(1, 2)))
    limit = _JUMP * max(float(np.sort(scatter)[(len(scatter) - 1) // 2]), 1.0)
    keep = scatter <= limit
    if len(tracks) == 2 and scatter.max() > 15.0:
        keep[:] = False  # nobody knows which of two is right
    return tracks[keep], int(keep.sum())


def _mean(tracks: Floats) -> Floats:
    """Average tracks (K, T, D) over those seen in each frame; NaN where none is."""
    seen = np.isfinite(tracks)
    count = seen.sum(0)
    total = np.where(seen, tracks, 0.0).sum(0)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _smooth(track: Floats, width: float) -> Floats:
    """Smooth a track (T, D) with a Gaussian of some frames, gaps filled from what is near."""
    seen = np.isfinite(track[:, 0])
    time = np.arange(len(track))
    if width == 0:
        return np.column_stack([np.interp(time, time[seen], axis[seen]) for axis in track.T])
    weight = gaussian_filter1d(seen.astype(np.float64), width, mode="constant")
    columns = []
    for axis in track.T:
        total = gaussian_filter1d(np.where(seen, axis, 0.0), width, mode="constant")
        known = weight > 1e-3
        columns.append(np.interp(time, time[known], total[known] / weight[known]))
    return np.column_stack(columns)
