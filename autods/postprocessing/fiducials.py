"""Fiducials: beads that shine in most frames, found in the table, and the drift that they show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from autods.core import LocalizationTable
from autods.postprocessing.drift import Drift
from autods.postprocessing.linking import LinkedTable, link

Floats = NDArray[np.float64]

#: A fiducial is seen in at least this share of the frames.
LEAST_COVERAGE = 0.5
#: Frames that a fiducial may be missed in a row, and frames of a piece of its track at least.
_GAP, _LEAST_PIECE = 5, 10
#: Pieces of one track lie within this of each other where one ends and the next begins, nm.
_SAME_NM = 150.0
#: A track that scatters this many times more than the best ones has jumped.
_JUMP = 4.0


@dataclass(frozen=True)
class Fiducial:
    """The track of a fiducial.

    Parameters
    ----------
    rows
        (N,) its rows of the table, by frame.
    position_nm
        (D,) mean position.
    """

    rows: NDArray[np.int64]
    position_nm: Floats


def find_fiducials(
    table: LocalizationTable, frames: range, linked: LinkedTable | None = None
) -> list[Fiducial]:
    """Find what shines at one place, up to the drift, in most frames.

    Parameters
    ----------
    table
        Localizations, not linked and not corrected.
    frames
        Frames of the movie.
    linked
        The table linked with the usual gap, where it is at hand: without long events in it nothing is looked
        for further.

    Returns
    -------
    list of Fiducial
        The one seen most often first.
    """
    if linked is not None and linked.n_localizations.max(initial=0) < _LEAST_PIECE:
        return []
    chains = link(table, max_gap=_GAP)
    pieces = np.flatnonzero(chains.n_localizations >= _LEAST_PIECE)
    order = np.argsort(chains.event, kind="stable")
    starts = np.searchsorted(chains.event[order], pieces)
    stops = np.searchsorted(chains.event[order], pieces, side="right")
    tracks: list[list[NDArray[np.int64]]] = []
    for start, stop in zip(starts, stops, strict=True):
        rows = np.sort(order[start:stop])
        _append(tracks, rows, table)
    positions = _positions(table)
    found = []
    for track in tracks:
        rows = np.concatenate(track)
        if len(np.unique(table.frame[rows])) >= LEAST_COVERAGE * len(frames):
            found.append(Fiducial(rows, positions[rows].mean(0)))
    return sorted(found, key=lambda one: len(one.rows), reverse=True)


def _append(tracks: list[list[NDArray[np.int64]]], rows: NDArray[np.int64], table: LocalizationTable) -> None:
    """Append a piece to the track whose end it goes on from, or begin a track with it."""
    for track in tracks:
        end, begin = track[-1][-1], rows[0]
        apart = math.hypot(table.x_nm[begin] - table.x_nm[end], table.y_nm[begin] - table.y_nm[end])
        if table.frame[begin] > table.frame[end] and apart < _SAME_NM:
            track.append(rows)
            return
    tracks.append([rows])


def fiducial_drift(table: LocalizationTable, fiducials: list[Fiducial], frames: range) -> Drift | None:
    """Return the drift that at least two fiducials agree on; None where there are fewer.

    Tracks are brought to one mean; those that scatter much more about the median of all than the best ones
    have jumped or moved and are left out. The mean of the rest is smoothed over as many frames as lets one
    half of the tracks predict the other best.

    Parameters
    ----------
    table
        The table in which they were found.
    fiducials
        What `find_fiducials` gives.
    frames
        Frames of the movie.
    """
    if len(fiducials) < 2:
        return None
    positions = _positions(table)
    n_axes = positions.shape[1]
    tracks = np.full((len(fiducials), len(frames), n_axes), np.nan)
    for track, fiducial in zip(tracks, fiducials, strict=True):
        track[table.frame[fiducial.rows] - frames.start] = positions[fiducial.rows]
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
