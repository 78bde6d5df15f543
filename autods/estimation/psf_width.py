"""PSF width: Gaussian fits to isolated candidates, and the autocorrelation where none is isolated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import erf

from autods.estimation.noise import pixel_noise
from autods.estimation.spots import local_maxima, matched_filter

#: Half side of the fitted windows: 7 x 7 pixels.
WINDOW_RADIUS_PX = 3

_ITERATIONS = 25
#: Bounds of the fitted standard deviation, pixels.
_SIGMA_RANGE = (0.4, 3.5)
#: A good fit explains this part of the window's variance.
_MIN_R2 = 0.6
#: A good fit's centre lies this near the window's centre, pixels.
_MAX_SHIFT_PX = 1.2
#: Filtered height of a candidate, in noise units; low, so that a faint neighbour spoils isolation.
_CANDIDATE_SNR = 4.0
#: Part of the candidates that must be isolated for the fits to be trusted.
_MIN_ISOLATED = 0.4
#: Candidates that are fitted at most, evenly spread over the frames, and good fits that are needed.
_MOST_FITS, _LEAST_GOOD = 400, 12
#: Distances of the autocorrelation, pixels.
_LAGS = (1, 2, 3, 4, 5, 6, 7, 8)
#: Autocorrelation is trusted when it exceeds its standard error this many times.
_MIN_SIGNIFICANCE = 8.0


@dataclass(frozen=True)
class GaussianFits:
    """Fits of a symmetric, pixel-integrated Gaussian to N windows."""

    #: (N,) centre relative to the centre of the window's middle pixel, along columns and rows.
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    #: (N,) standard deviation, px.
    sigma_px: NDArray[np.float64]
    #: (N,) integral and level, in the units of the windows.
    photons: NDArray[np.float64]
    background: NDArray[np.float64]
    #: (N,) part of the window's variance that the fit explains.
    r2: NDArray[np.float64]
    #: (N,) whether the fit describes a single emitter.
    good: NDArray[np.bool_]


def isolated(candidates: NDArray[np.bool_], radius_px: int = 2 * WINDOW_RADIUS_PX) -> NDArray[np.bool_]:
    """Keep the candidates without another one within ``radius_px`` rows and columns, and whole windows.

    Returns (T, Y, X) bool.

    Parameters
    ----------
    candidates
        (T, Y, X) bool.
    radius_px
        Half side of the square that must hold no other candidate, px.

    Examples
    --------
    >>> import numpy as np
    >>> marked = np.zeros((1, 20, 20), bool)
    >>> marked[0, [5, 5, 14], [5, 7, 14]] = True
    >>> np.argwhere(isolated(marked, 4)).tolist()
    [[0, 14, 14]]
    """
    side = 2 * radius_px + 1
    count = candidates.astype(np.float32)
    for axis in (1, 2):
        count = ndimage.uniform_filter1d(count, side, axis=axis, mode="constant") * side
    alone: NDArray[np.bool_] = candidates & (count < 1.5)
    r = WINDOW_RADIUS_PX
    inside = np.zeros(candidates.shape[1:], bool)
    inside[r : candidates.shape[1] - r, r : candidates.shape[2] - r] = True
    return alone & inside


def cut_windows(frames: NDArray[np.floating], centres: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Cut the 7 x 7 windows around marked pixels (T, Y, X), in reading order: (N, 7, 7)."""
    t, y, x = np.nonzero(centres)
    offset = np.arange(-WINDOW_RADIUS_PX, WINDOW_RADIUS_PX + 1)
    return np.asarray(
        frames[t[:, None, None], (y[:, None] + offset)[:, :, None], (x[:, None] + offset)[:, None, :]],
        np.float64,
    )


def fit_gaussians(windows: NDArray[np.floating], sigma_px: float = 1.3) -> GaussianFits:
    """Fit all windows at once by damped least squares (Levenberg-Marquardt).

    Parameters
    ----------
    windows
        (N, 7, 7) in any unit.
    sigma_px
        Start value of the standard deviation, px.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[-3:4, -3:4]
    >>> fits = fit_gaussians(50 * np.exp(-(x**2 + y**2) / (2 * 1.2**2))[None] + 10, sigma_px=1.0)
    >>> fits.sigma_px.round(1).tolist()
    [1.2]
    """
    data = np.asarray(windows, np.float64).reshape(len(windows), (2 * WINDOW_RADIUS_PX + 1) ** 2)
    parameters = _start(data, sigma_px)
    model, jacobian = _model(parameters)
    cost = ((data - model) ** 2).sum(1)
    damping = np.full(len(data), 1e-2)
    for _ in range(_ITERATIONS):
        gradient = np.einsum("nip,ni->np", jacobian, data - model)
        curvature = np.einsum("nip,niq->npq", jacobian, jacobian)
        diagonal = np.einsum("npp->np", curvature)
        diagonal += damping[:, None] * diagonal + 1e-12 * (1 + diagonal.max(1, keepdims=True))
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        trial = _bounded(parameters + step)
        trial_model, trial_jacobian = _model(trial)
        trial_cost = ((data - trial_model) ** 2).sum(1)
        better = trial_cost < cost
        parameters = np.where(better[:, None], trial, parameters)
        model = np.where(better[:, None], trial_model, model)
        jacobian = np.where(better[:, None, None], trial_jacobian, jacobian)
        cost = np.where(better, trial_cost, cost)
        damping = np.clip(np.where(better, damping / 5, damping * 8), 1e-8, 1e8)
    return _judge(data, parameters, cost)


def gaussian_psf_width(frames: NDArray[np.floating], candidates: NDArray[np.bool_]) -> float | None:
    """Median standard deviation of the good fits to isolated candidates, pixels; None with too few of them.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.
    candidates
        (T, Y, X) bool; they should include faint neighbours, which make a candidate not isolated.
    """
    chosen = isolated(candidates)
    flat = np.flatnonzero(chosen)
    if len(flat) > _MOST_FITS:
        keep = flat[np.linspace(0, len(flat) - 1, _MOST_FITS).round().astype(np.int64)]
        chosen = np.zeros(chosen.shape, bool)
        chosen.reshape(-1)[keep] = True
    if len(flat) < _LEAST_GOOD:
        return None
    fits = fit_gaussians(cut_windows(frames, chosen))
    widths = fits.sigma_px[fits.good]
    return float(np.median(widths)) if len(widths) >= _LEAST_GOOD else None


def autocorrelation_psf_width(frames: NDArray[np.floating]) -> float | None:
    """PSF standard deviation from the autocorrelation of differences of consecutive frames, pixels.

    Emitters at random positions make the covariance of pixels at distance d proportional to ``exp(-d^2 / (4
    s^2))`` however much they overlap, with ``s^2 = sigma^2 + 1/12`` for integrating pixels. Pixel noise adds
    to d = 0 only; a static background cancels in the difference, and a flickering one is fitted as a parabola
    in d. Returns `float or None`: None for less, or when the correlation is lost in the noise.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit, at least 2 frames of 16 x 16 pixels.
    """
    if len(frames) < 2 or min(frames.shape[1:]) < 2 * _LAGS[-1]:
        return None
    difference = np.diff(np.asarray(frames, np.float32), axis=0)
    difference -= difference.mean(axis=(1, 2), keepdims=True)
    variance = float((difference**2).mean(dtype=np.float64))
    covariance = np.array([_lag_covariance(difference, lag) for lag in _LAGS])
    lags = np.asarray(_LAGS, np.float64)
    best = (np.inf, 0.0, 0.0)
    for s in np.arange(0.5, 3.5, 0.02):
        basis = np.stack([np.exp(-(lags**2) / (4 * s**2)), np.ones_like(lags), lags**2], axis=1)
        weights, *_ = np.linalg.lstsq(basis, covariance, rcond=None)
        best = min(best, (float(((basis @ weights - covariance) ** 2).sum()), float(s), float(weights[0])))
    _, s, strength = best
    if strength <= _MIN_SIGNIFICANCE * variance / math.sqrt(2 * difference.size):
        return None
    return math.sqrt(max(s**2 - 1 / 12, _SIGMA_RANGE[0] ** 2))


@dataclass(frozen=True)
class PsfWidth:
    """A measured PSF standard deviation, pixels, and how it was measured: ``fits`` or ``autocorrelation``."""

    sigma_px: float
    method: Literal["fits", "autocorrelation"]


def measure_psf_width(frames: NDArray[np.generic], expected_sigma_px: float) -> PsfWidth | None:
    """Measure the PSF's width with the method that suits the density.

    Where a good part of the candidates is isolated they are fitted; among crowded ones the few that look
    isolated are often two, so that the autocorrelation is the better witness. Returns `PsfWidth or None`:
    None when neither method finds enough.

    Parameters
    ----------
    frames
        (T, Y, X) in any unit.
    expected_sigma_px
        Standard deviation to search candidates with, px.
    """
    values = np.asarray(frames, np.float32)
    noise = float(pixel_noise(values).mean()) or 1.0
    candidates = local_maxima(matched_filter(values, expected_sigma_px), _CANDIDATE_SNR * noise)
    n_candidates = int(candidates.sum())
    crowded = int(isolated(candidates).sum()) < _MIN_ISOLATED * n_candidates
    fitted = None if crowded else gaussian_psf_width(values, candidates)
    if fitted is not None:
        return PsfWidth(fitted, "fits")
    correlated = autocorrelation_psf_width(values)
    if correlated is not None:
        return PsfWidth(correlated, "autocorrelation")
    fitted = gaussian_psf_width(values, candidates) if crowded else None
    return None if fitted is None else PsfWidth(fitted, "fits")


def _lag_covariance(frames: NDArray[np.float32], lag: int) -> float:
    rows = (frames[:, lag:] * frames[:, :-lag]).mean(dtype=np.float64)
    columns = (frames[:, :, lag:] * frames[:, :, :-lag]).mean(dtype=np.float64)
    return float(rows + columns) / 2


def _start(data: NDArray[np.float64], sigma_px: float) -> NDArray[np.float64]:
    """Start from the lower quartile and the flux above it: (N, 5) x, y, log sigma, photons, background."""
    background = np.percentile(data, 25, axis=1)
    centre = data.shape[1] // 2
    photons = (data[:, centre] - background) * 2 * math.pi * (sigma_px**2 + 1 / 12)
    zero = np.zeros(len(data))
    return np.stack([zero, zero, zero + math.log(sigma_px), photons, background], axis=1)


def _bounded(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = parameters.copy()
    np.clip(bounded[:, :2], -WINDOW_RADIUS_PX, WINDOW_RADIUS_PX, out=bounded[:, :2])
    np.clip(bounded[:, 2], math.log(_SIGMA_RANGE[0]), math.log(_SIGMA_RANGE[1]), out=bounded[:, 2])
    return bounded


def _profile(
    centre: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Integrate a normal density over 7 pixels, with derivatives by centre and log sigma: (N, 7) each."""
    edges = np.arange(-WINDOW_RADIUS_PX - 0.5, WINDOW_RADIUS_PX + 1)
    scaled = (edges - centre[:, None]) / sigma[:, None]
    density = np.exp(-0.5 * scaled**2) / math.sqrt(2 * math.pi)
    integral = 0.5 * np.diff(erf(scaled / math.sqrt(2)), axis=1)
    by_centre = -np.diff(density, axis=1) / sigma[:, None]
    return integral, by_centre, -np.diff(scaled * density, axis=1)


def _model(parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Windows (N, 49) and their Jacobian (N, 49, 5)."""
    x, y, log_sigma, photons, background = parameters.T
    sigma = np.exp(log_sigma)
    row, row_y, row_s = _profile(y, sigma)
    column, column_x, column_s = _profile(x, sigma)

    def outer(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return (rows[:, :, None] * columns[:, None, :]).reshape(len(rows), -1)

    shape = outer(row, column)
    flux = photons[:, None]
    jacobian = np.stack(
        [
            flux * outer(row, column_x),
            flux * outer(row_y, column),
            flux * (outer(row_s, column) + outer(row, column_s)),
            shape,
            np.ones_like(shape),
        ],
        axis=-1,
    )
    return flux * shape + background[:, None], jacobian


def _judge(
    data: NDArray[np.float64], parameters: NDArray[np.float64], cost: NDArray[np.float64]
) -> GaussianFits:
    x, y, log_sigma, photons, background = parameters.T
    sigma = np.exp(log_sigma)
    total = ((data - data.mean(1, keepdims=True)) ** 2).sum(1)
    r2 = 1 - cost / np.where(total > 0, total, np.inf)
    within = (sigma > 1.01 * _SIGMA_RANGE[0]) & (sigma < 0.99 * _SIGMA_RANGE[1])
    good = (photons > 0) & (r2 >= _MIN_R2) & within & (np.hypot(x, y) < _MAX_SHIFT_PX)
    return GaussianFits(x, y, sigma, photons, background, r2, good)
