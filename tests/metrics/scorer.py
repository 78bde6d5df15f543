"""An independent scorer (numpy and scipy only), with which the program's own metrics must agree.

It reads CSV tables with the columns frame, x and y (``x_nm``, ``x [nm]`` or ``x``), and for 3D z.
"""

import csv

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment


def read(path):
    """Return frame, x, y (N, 3) and z (N,) of a table; z is None where there is none."""
    with open(path, newline="") as file:  # noqa: PTH123 paths come as texts
        rows = csv.reader(line for line in file if not line.startswith("#"))
        header = [name.strip().strip('"').lower() for name in next(rows)]
        data = np.array([[float(value) for value in row] for row in rows if row]).reshape(-1, len(header))

    def column(*names):
        return next((data[:, header.index(name)] for name in names if name in header), None)

    xy = (column("x_nm", "x [nm]", "x"), column("y_nm", "y [nm]", "y"))
    return np.column_stack([column("frame"), *xy]), column("z_nm", "z [nm]", "z")


def match(truth, found, radius):
    """Pair the rows (frame, x, y) of each frame at the least total distance within a radius."""
    pairs = []
    for frame in np.unique(np.concatenate([truth[:, 0], found[:, 0]])):
        i, j = np.flatnonzero(truth[:, 0] == frame), np.flatnonzero(found[:, 0] == frame)
        if not len(i) or not len(j):
            continue
        distance = np.hypot(truth[i, None, 1] - found[None, j, 1], truth[i, None, 2] - found[None, j, 2])
        a, b = linear_sum_assignment(np.where(distance <= radius, distance, 1e6))
        near = distance[a, b] <= radius
        pairs += list(zip(i[a[near]], j[b[near]], strict=True))
    return np.array(pairs, int).reshape(-1, 2)


def detection(truth, found, radius=200.0):
    """Return the metrics of detection, rounded."""
    pairs = match(truth, found, radius)
    hits = len(pairs)
    error = truth[pairs[:, 0], 1:3] - found[pairs[:, 1], 1:3]
    rmse = float(np.sqrt((error**2).sum(1).mean())) if hits else float("nan")
    jaccard = hits / max(len(truth) + len(found) - hits, 1)
    bias = error.mean(0) if hits else (np.nan, np.nan)
    return {
        "jaccard": round(jaccard, 4),
        "precision": round(hits / max(len(found), 1), 4),
        "recall": round(hits / max(len(truth), 1), 4),
        "rmse_nm": round(rmse, 2),
        "bias_nm": [round(float(value), 2) for value in bias],
        "efficiency": round(1 - np.hypot(1 - jaccard, 0.01 * rmse), 4) if hits else 0.0,
        "n_gt": len(truth),
        "n_pred": len(found),
    }


def psnr(truth, found, side_nm, pixel_nm=12.5, sigma_px=2):
    """Compare histograms blurred by a Gaussian and scaled to their 99.5th percentile."""
    bins, limits = round(side_nm / pixel_nm), [[0, side_nm], [0, side_nm]]

    def image(rows):
        counts = np.histogram2d(rows[:, 2], rows[:, 1], bins=bins, range=limits)[0]
        blurred = gaussian_filter(counts.astype(float), sigma_px)
        return np.clip(blurred / max(np.percentile(blurred, 99.5), 1e-12), 0, 1)

    a, b = image(truth), image(found)
    error = ((a - b) ** 2).mean()
    nrmse = np.sqrt(error) / np.sqrt((a**2).mean())
    return {"psnr": round(float(10 * np.log10(1 / error)), 2), "nrmse": round(float(nrmse), 3)}


def report(truth_path, found_path, pixel_nm, size_px, radius=200.0):
    """Score a table in 2D."""
    truth, found = read(truth_path)[0], read(found_path)[0]
    return {**detection(truth, found, radius), **psnr(truth, found, pixel_nm * size_px)}


def report3d(truth_path, found_path, radius=250.0, axial_radius=500.0):
    """Score a table in 3D; the median axial distance of the pairs is reported and taken off."""
    (truth, truth_z), (found, found_z) = read(truth_path), read(found_path)
    pairs = match(truth, found, radius)
    axial = found_z[pairs[:, 1]] - truth_z[pairs[:, 0]]
    offset = float(np.median(axial))
    near = np.abs(axial - offset) <= axial_radius
    pairs, axial = pairs[near], axial[near] - offset
    hits = len(pairs)
    lateral = truth[pairs[:, 0], 1:3] - found[pairs[:, 1], 1:3]
    slope = np.polyfit(truth_z[pairs[:, 0]], found_z[pairs[:, 1]], 1)[0] if hits > 10 else float("nan")
    return {
        "jaccard": round(hits / max(len(truth) + len(found) - hits, 1), 4),
        "precision": round(hits / max(len(found), 1), 4),
        "recall": round(hits / max(len(truth), 1), 4),
        "rmse_nm": round(float(np.sqrt((lateral**2).sum(1).mean())), 2),
        "rmse_z_nm": round(float(np.sqrt((axial**2).mean())), 2),
        "z_offset_nm": round(offset, 1),
        "z_slope": round(float(slope), 3),
        "n_gt": len(truth),
        "n_pred": len(found),
    }
