"""Tables to compare with, and a brute-force matcher."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def random_tables(seed, n_frames=10, per_frame=30, side_nm=3000.0, jitter_nm=40.0, dims=2, shift=0.0):
    """Draw truth and a degraded copy of it: jitter, a fifth missed, a fifth false. Frames are shuffled."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(n_frames) * 3, per_frame)
    truth = rng.uniform(0, side_nm, (len(frame), dims))
    kept = rng.random(len(frame)) > 0.2
    n_false = len(frame) // 5
    found_frame = np.concatenate([frame[kept], rng.choice(frame, n_false)])
    jittered = truth[kept] + rng.normal(shift, jitter_nm, (kept.sum(), dims))
    found = np.concatenate([jittered, rng.uniform(0, side_nm, (n_false, dims))])
    order, order_found = rng.permutation(len(frame)), rng.permutation(len(found))
    return frame[order], truth[order], found_frame[order_found], found[order_found]


def dense_match(truth_frame, truth, found_frame, found, radius, axial_radius=None):
    """Match each frame with one dense Hungarian problem."""
    rows, columns = [], []
    for frame in np.unique(truth_frame):
        i, j = np.flatnonzero(truth_frame == frame), np.flatnonzero(found_frame == frame)
        delta = truth[i, None] - found[None, j]
        lateral = np.sqrt((delta[..., :2] ** 2).sum(-1))
        allowed, cost = lateral <= radius, lateral
        if axial_radius is not None:
            allowed = allowed & (np.abs(delta[..., 2]) <= axial_radius)
            cost = np.sqrt((delta**2).sum(-1))
        a, b = linear_sum_assignment(np.where(allowed, cost, 1e6))
        keep = allowed[a, b]
        rows.append(i[a[keep]])
        columns.append(j[b[keep]])
    return np.concatenate(rows), np.concatenate(columns)
