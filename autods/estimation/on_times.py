"""How long molecules are on, from how the light of one frame returns in the next ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autods.io.base import Movie

_Floats = NDArray[np.float64]

#: Frames in a row at most, rows of them, and side of the grid of pixels that are looked at.
_RUN, _RUNS, _SIDE = 100, 4, 128
#: Frames that are read at once, and those that tell anything.
_AT_ONCE, _FEWEST = 20, 8
#: Times that can be told, frames; the usual one, and the deviation of its logarithm.
_SHORTEST, _LONGEST, USUAL_FRAMES, _SPREAD = 0.5, 20.0, 2.5, 0.7
#: Rounds until the mean's own variance has settled.
_TURNS = 8
#: Parts of the field, along each side, that tell by their differences how well the time is known.
_PARTS = 4


def mean_on_frames(movie: Movie) -> float:
    """Estimate for how many frames a molecule is on, on average.

    Molecules that appear at any time and go after an exponential time of mean ``m`` frames make light whose
    covariance at a lag of ``k >= 1`` frames goes as ``exp(-k / m)`` (the correlation of a two-state process:
    Elson & Magde, Biopolymers 13, 1 (1974)). The camera's noise has none: its strength need not be known.
    Where few molecules tell, the usual time counts beside theirs; where none do, alone.

    Parameters
    ----------
    movie
        Frames without background.
    """
    n_frames, height, width = movie.shape
    run, step = min(_RUN, n_frames), -(-max(height, width) // _SIDE)
    if run < _FEWEST:
        return USUAL_FRAMES
    starts = np.unique(np.linspace(0, n_frames - run, min(n_frames // run, _RUNS)).round().astype(int))
    runs = np.stack([_thinned(movie, int(start), int(start) + run, step) for start in starts])
    runs -= runs.mean((0, 1))
    lagged = np.stack([(runs[:, : run - lag] * runs[:, lag:]).mean((0, 1)) for lag in range(3)])
    parts = np.stack(
        [
            part.sum((1, 2))
            for rows in np.array_split(lagged, _PARTS, 1)
            for part in np.array_split(rows, _PARTS, 2)
        ]
    )
    log_time = _log_time(parts.sum(0), len(runs) * run)
    without_one = np.array([_log_time(parts.sum(0) - part, len(runs) * run) for part in parts])
    variance = float(((without_one - without_one.mean()) ** 2).sum()) * (len(parts) - 1) / len(parts)
    known = _SPREAD**2 / (_SPREAD**2 + variance) if math.isfinite(log_time + variance) else 0.0
    usual = math.log(USUAL_FRAMES)
    return math.exp(usual + known * (log_time - usual)) if known > 0 else USUAL_FRAMES


def _log_time(lagged: _Floats, n_frames: int) -> float:
    """Return the logarithm of the time of covariances (3,) at lags of 0, 1 and 2 frames; NaN for none."""
    at_0, at_1, at_2 = (float(value) for value in lagged)
    if min(at_1, at_2) <= 0:
        return math.nan
    # All are too small by the variance of the mean that was taken off, which follows from them.
    off, stays = 0.0, 0.0
    for _ in range(_TURNS):
        stays = min((at_2 + off) / (at_1 + off), math.exp(-1 / _LONGEST))
        off = (at_0 + 2 * (at_1 + off) / (1 - stays)) / n_frames
    return math.log(max(-1 / math.log(stays), _SHORTEST))


def _thinned(movie: Movie, start: int, stop: int, step: int) -> _Floats:
    """Read every so many pixels (t, y, x) of frames."""
    chunks = (movie.read(t, min(t + _AT_ONCE, stop)) for t in range(start, stop, _AT_ONCE))
    return np.concatenate([chunk[:, ::step, ::step].astype(np.float64) for chunk in chunks])
