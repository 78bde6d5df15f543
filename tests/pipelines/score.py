"""A small matcher of the tests' own."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tests.pipelines.models import PIXEL_NM


def score(truth_px, found_nm, radius_nm=100.0):
    """Jaccard index and RMSE (nm) of found (N, 3: frame, x, y nm) against truth (M, 3: frame, x, y px)."""
    errors = []
    for t in np.unique(truth_px[:, 0]):
        here, there = truth_px[truth_px[:, 0] == t, 1:] * PIXEL_NM, found_nm[found_nm[:, 0] == t, 1:]
        distance = np.hypot(*(here[:, None] - there[None]).transpose(2, 0, 1))
        rows, columns = linear_sum_assignment(np.minimum(distance, radius_nm))
        errors += [d for d in distance[rows, columns] if d < radius_nm]
    matched = len(errors)
    jaccard = matched / (len(truth_px) + len(found_nm) - matched)
    return jaccard, float(np.sqrt(np.mean(np.square(errors)))) if matched else np.inf
