"""How surely a localization must stand out of the noise: less where the movie shows many molecules.

Networks that are trained for dense and dim emitters as well take noise beside rare bright ones for emitters;
where molecules crowd, the photons of true ones are uncertain, since neighbours share their light. One limit
for all is therefore wrong in one place or the other. By Bayes' rule a candidate of significance s (photons
over their standard error) is an emitter rather than noise if exp(s^2 / 2) exceeds the odds against an emitter
of that significance there, which follow from the density of emitters at that place; and where emitters are
bright, few of them are only as significant as noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: The limit is ``sqrt(GAIN * log(snr / (ELEMENT * density * sigma^2)))``. Bayes' rule has a gain of 2; errors
#: of the photons that are larger than their bound raise it. Both numbers are the best on simulated uniform,
#: filament and mitochondria-like samples: 0.05-3.5 emitters per um^2, signal-to-noise ratios 2.5-15.
GAIN, ELEMENT = 3.5, 150.0
#: False maxima of noise per emitter that are put up with, and emitters within 4 pi sigma^2 that are a crowd.
NOISE_SHARE, CROWDED = 0.05, 0.3
#: Signal-to-noise ratio where none could be measured, for nothing stands out; and limits of those that count:
#: what seems to be dimmer than any network can see may be the noise itself, as of an EMCCD at little light.
UNKNOWN_SNR, LEAST_SNR, HIGHEST_SNR = 20.0, 3.0, 100.0
#: Radius within which the density is counted, in units of the PSF's standard deviation.
RADIUS_SIGMAS = 2.2
#: Localizations that count: those that stand without any prior knowledge. A limit that false ones could
#: lower would let more of them in.
COUNTED_SIGNIFICANCE = 4.5
#: Weight of the expected density, in localizations.
PRIOR_WEIGHT = 2.0
#: Least expected density, emitters per sigma^2: nowhere are emitters ruled out.
MIN_DENSITY = 7e-5


def required_significance(
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    significance: NDArray[np.float64],
    expected_per_px: NDArray[np.float64],
    snr: NDArray[np.float64],
    shape: tuple[int, int, int],
    psf_sigma_px: float,
) -> NDArray[np.float64]:
    """Return the significance that each localization must have to be kept.

    The density at a place is that of the significant localizations near it in all frames, drawn to the
    density that is expected there. Returns (N,) between 0 and about 6.

    Parameters
    ----------
    x_px, y_px
        (N,) positions in all frames, corner pixels.
    significance
        (N,) photons over their standard error.
    expected_per_px
        (N,) emitters per pixel and frame that are expected at each place, from the statistics of its patch.
    snr
        (N,) peak of an emitter over the noise there; NaN where it is not known.
    shape
        Frames, rows and columns of the block.
    psf_sigma_px
        Standard deviation of the PSF, px.
    """
    places = np.column_stack([x_px, y_px])
    expected = np.maximum(expected_per_px, MIN_DENSITY / psf_sigma_px**2)
    counts = significance >= COUNTED_SIGNIFICANCE
    radius = RADIUS_SIGMAS * psf_sigma_px
    tree = cKDTree(places[counts])
    near = tree.query_ball_point(places, radius, return_length=True) - counts.astype(np.int64)
    n_frames, height, width = shape
    looked_at = n_frames * np.pi * radius**2 * _inside(x_px, width, radius) * _inside(y_px, height, radius)
    density = (near + PRIOR_WEIGHT) / (looked_at + PRIOR_WEIGHT / expected)
    alone = _noise_limit(density, psf_sigma_px)
    spread = np.nan_to_num(snr, nan=UNKNOWN_SNR).clip(LEAST_SNR, HIGHEST_SNR)
    odds_against = spread / (ELEMENT * psf_sigma_px**2 * density)
    return np.maximum(alone, np.sqrt(GAIN * np.log(np.maximum(odds_against, 1.0))))


def _noise_limit(density: NDArray[np.float64], psf_sigma_px: float) -> NDArray[np.float64]:
    """Significance that maxima of noise exceed `NOISE_SHARE` times as often as there are emitters.

    White noise filtered with the PSF has, beyond a high level u, about ``u exp(-u^2 / 2) / ((2 pi)^(3/2) 2
    sigma^2)`` maxima per unit area (Adler & Hasofer, Ann. Probab. 4, 1 (1976)); 0 where emitters are denser
    than all such maxima.
    """
    overlap = density * 4 * np.pi * psf_sigma_px**2 / CROWDED
    share = NOISE_SHARE * (1 + overlap**2)
    rare = share * density * (2 * np.pi) ** 1.5 * 2 * psf_sigma_px**2
    level = np.full_like(rare, 3.0)
    for _ in range(20):
        level = np.sqrt(2 * np.log(np.maximum(level / np.minimum(rare, 0.5), np.e**0.5)))
    return np.where(rare < 0.5, level, 0.0)


def _inside(place: NDArray[np.float64], side: int, radius: float) -> NDArray[np.float64]:
    """Return the fraction of [place - radius, place + radius] that lies within [0, side]."""
    ends = np.minimum(place + radius, side) - np.maximum(place - radius, 0)
    return np.asarray(np.clip(ends / (2 * radius), 0.05, 1.0))
