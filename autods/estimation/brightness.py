"""Photons of an emitter from the fluctuations of a movie, however much the emitters overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autods.estimation.light import LightMovie

_CHUNK, _MAX_FRAMES = 50, 1000
#: Third factorial moment ratio of an electron-multiplying register's gain (exponential: 3!), and without one.
_THIRD_WITH_GAIN, _THIRD_WITHOUT = 6.0, 1.0


def fluctuation_photons(
    movie: LightMovie,
    square_sum: float,
    cube_sum: float,
    qe: float = 1.0,
    excess_noise: float = 1.0,
    read_variance: float = 0.0,
) -> float:
    """Estimate the photons of an emitter from the second and third cumulant of the pixels over time.

    Emitters that come and go independently make the light of a pixel shot noise in the sense of Campbell's
    theorem: its cumulants are ``rate * <N^k> * sum p^k``, with an emitter's photons N and its image p. Their
    ratio ``<N^3> / <N^2>`` knows neither the density nor the background (Rice, Bell Syst. Tech. J. 23, 282
    (1944); in fluorescence: Mueller, Biophys. J. 86, 3981 (2004)). The counting statistics are taken off:
    with excess noise F and third moment ratio G, ``k2' = k2 + F k1 + r^2`` and ``k3' = k3 + 3 F k2 + G k1``.
    Returns ``<N^3> / <N^2>``: N where all emitters are alike, three times the mean where N is exponential.
    NaN where the movie does not fluctuate more than its noise.

    Parameters
    ----------
    movie
        The light above the background.
    square_sum, cube_sum
        See :func:`autods.optics.extent.power_sums`.
    qe, excess_noise, read_variance
        Of the camera; the variance in electrons^2.
    """
    mean, second, third = _cumulants(movie, qe)
    gain = _THIRD_WITH_GAIN if excess_noise > 1 else _THIRD_WITHOUT
    own_second = second - excess_noise * mean - read_variance
    own_third = third - 3 * excess_noise * own_second - gain * mean
    # Sums over the field: each pixel has its own rate of emitters, which cancels in the ratio of the sums.
    sums = float(own_second.sum()), float(own_third.sum())
    if min(sums) <= 0:
        return float("nan")
    return sums[1] / sums[0] * square_sum / cube_sum / qe


def _cumulants(
    movie: LightMovie, qe: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean (with the background), variance and third central moment (Y, X) over time, in electrons."""
    n_frames = movie.shape[0]
    runs = max(1, min(n_frames, _MAX_FRAMES) // _CHUNK)
    starts = np.unique(np.linspace(0, max(n_frames - _CHUNK, 0), runs).round().astype(int)).tolist()
    sums = np.zeros((4, *movie.shape[1:]))
    n = 0
    origin: NDArray[np.float64] | None = None
    for start in starts:
        stop = min(start + _CHUNK, n_frames)
        values = movie.read(start, stop).astype(np.float64) * qe
        origin = values.mean(0) if origin is None else origin
        deviation = values - origin
        sums += [
            deviation.sum(0),
            (deviation**2).sum(0),
            (deviation**3).sum(0),
            movie.background(start, stop).sum(0),
        ]
        n += stop - start
    assert origin is not None
    first, second, third, background = sums / n
    variance = second - first**2
    skew = third - 3 * first * second + 2 * first**3
    return origin + first + background * qe, variance * n / max(n - 1, 1), skew
