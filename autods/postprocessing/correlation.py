"""A first estimate of the drift from images of time segments, by redundant cross-correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, uniform_filter

from autods.rendering import render_histogram

Floats = NDArray[np.float64]

#: Pixel of the images, and the blur that joins what lies near each other, nm.
PIXEL_NM, BLUR_PX = 25.0, 1.0
#: Side of the images at most, pixels; of a larger field the part with most events is taken.
_MAX_SIDE = 1024
#: Drifts between two segments are looked for up to this, nm.
_RANGE_NM = 1000.0
#: Pixel of the images of two tables, nm.
_PAIR_PIXEL_NM = 100.0
#: Rounds of the robust fit, and the deviation from which a pair counts less, nm.
_ROUNDS, _TOLERANCE_NM = 20, 30.0


def correlate_segments(xy_nm: Floats, segment: NDArray[np.int64], n_segments: int) -> Floats:
    """Estimate the drift of time segments from the cross-correlations of all their pairs.

    Each pair of segments gives a shift, with a weight by how far its peak stands out; the drifts that fit the
    shifts best are found by least squares in which pairs that contradict the others lose their weight (Wang
    et al., Optics Express 22, 15982 (2014), made robust). Returns (K, 2) drift, nm, of mean 0.

    Parameters
    ----------
    xy_nm
        (E, 2) positions, nm.
    segment
        (E,) time segment of each.
    n_segments
        Number of segments K.
    """
    spectra, side = _spectra(xy_nm, segment, n_segments)
    reach = min(int(_RANGE_NM / PIXEL_NM), side // 2 - 1)
    rows = []
    for a in range(n_segments):
        for b in range(a + 1, n_segments):
            surface = fft.irfft2(spectra[b] * spectra[a].conj(), (side, side))
            shift, height = _peak(surface, reach)
            rows.append((a, b, *shift, height))
    table = np.array(rows)
    first, second = table[:, 0].astype(int), table[:, 1].astype(int)
    return _solve(first, second, table[:, 2:4] * PIXEL_NM, np.maximum(table[:, 4] - 3.0, 1e-3), n_segments)


def correlate_pair(first_nm: Floats, second_nm: Floats) -> Floats:
    """Return the shift (2,), nm, that brings a first set of points (N, 2) onto a second one (M, 2).

    The images are coarse, so that a rotation or a stretch between the two does not hide the peak.

    Parameters
    ----------
    first_nm, second_nm
        Positions, nm.
    """
    xy = np.concatenate([first_nm, second_nm]) * (PIXEL_NM / _PAIR_PIXEL_NM)
    segment = np.repeat([0, 1], [len(first_nm), len(second_nm)])
    spectra, side = _spectra(xy, segment, 2)
    surface = fft.irfft2(spectra[1] * spectra[0].conj(), (side, side))
    shift, _ = _peak(surface, side // 2 - 1)
    return np.array(shift) * _PAIR_PIXEL_NM


def _spectra(
    xy_nm: Floats, segment: NDArray[np.int64], n_segments: int
) -> tuple[list[NDArray[np.complex64]], int]:
    """Return the transforms of the blurred images of the segments, and their side."""
    extent = np.ptp(xy_nm, axis=0).max() + 2 * PIXEL_NM
    side = fft.next_fast_len(min(int(extent / PIXEL_NM) + 1, _MAX_SIDE), real=True)
    length = side * PIXEL_NM
    spectra = []
    for index in range(n_segments):
        x, y = (xy_nm[segment == index] - _corner(xy_nm, length)).T
        image = gaussian_filter(render_histogram(x, y, (length, length), PIXEL_NM), BLUR_PX, mode="constant")
        spectra.append(fft.rfft2(image - image.mean()).astype(np.complex64))
    return spectra, int(side)


def _corner(xy_nm: Floats, side_nm: float) -> Floats:
    """Return the corner (2,) of the square that holds most events: the whole field where that fits."""
    low: Floats = xy_nm.min(0)
    extent = np.ptp(xy_nm, axis=0)
    if extent.max() < side_nm:
        return low
    tile = side_nm / 8
    x, y = (xy_nm - low).T
    counts = render_histogram(x, y, (float(extent[1]) + tile, float(extent[0]) + tile), tile)
    row, column = np.unravel_index(np.argmax(uniform_filter(counts, 8, mode="constant")), counts.shape)
    corner: Floats = low + tile * np.maximum(np.array([column, row]) - 4, 0)
    return corner


def _peak(surface: NDArray[np.floating], reach: int) -> tuple[tuple[float, float], float]:
    """Return the (x, y) of the highest place within reach, and how many deviations it stands out."""
    near = np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    # Overlapping structures correlate at all small shifts: the sharp peak is what tells the drift.
    sharp = near - gaussian_filter(near, 6 * BLUR_PX, mode="nearest")
    row, column = np.unravel_index(np.argmax(sharp), sharp.shape)
    height = (sharp[row, column] - sharp.mean()) / max(float(sharp.std()), 1e-12)
    return (_vertex(sharp[row], int(column)) - reach, _vertex(sharp[:, column], int(row)) - reach), float(
        height
    )


def _vertex(line: NDArray[np.floating], top: int) -> float:
    """Return the place of the maximum of the parabola through three points."""
    if not 0 < top < len(line) - 1:
        return float(top)
    before, here, after = (float(value) for value in line[top - 1 : top + 2])
    bend = before - 2 * here + after
    return top + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def _solve(
    first: NDArray[np.int64], second: NDArray[np.int64], shift: Floats, weight: Floats, n: int
) -> Floats:
    """Return (n, 2) drifts whose differences fit the shifts (P, 2), contradicting pairs weighed down."""
    rows = np.arange(len(first))
    design = np.zeros((len(first), n))
    design[rows, second], design[rows, first] = 1.0, -1.0
    drift: Floats = np.zeros((n, 2))
    trust = weight.copy()
    for _ in range(_ROUNDS):
        root = np.sqrt(trust)[:, None]
        drift = np.asarray(np.linalg.lstsq(root * design, root * shift, rcond=None)[0], np.float64)
        residual2 = ((design @ drift - shift) ** 2).sum(1)
        # Cauchy's weights, from far to near so that a wrong first fit is left.
        trust = weight / (1 + residual2 / _TOLERANCE_NM**2)
    centred: Floats = drift - drift.mean(0)
    return centred
