"""Fourier ring correlation: the image resolution that two halves of the localizations agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.metrics.image import density_image
from autods.metrics.radial import Rings, power, spectrum

Floats = NDArray[np.float64]
Threshold = Literal["fixed", "half-bit"]

#: Rings are averaged over this relative width on either side, so that smoothing acts alike at all scales.
_SMOOTHING = 0.1
#: A curve that crosses the threshold in its first rings says nothing: they hold too few pixels.
_FIRST_USEFUL_RING = 5


@dataclass(frozen=True)
class RingCorrelation:
    """Fourier ring correlation and where it crosses its threshold."""

    #: Inverse of the frequency at which the smoothed curve falls below the threshold, nm; NaN where it does
    #: not.
    resolution_nm: float
    #: (R,) ring frequencies (per nm), the correlation in each ring, its smoothed version and the threshold.
    frequency_per_nm: Floats
    correlation: Floats
    smoothed: Floats
    threshold: Floats
    #: Why there is no resolution; empty when there is one.
    reason: str = ""


def frc_resolution(
    table: LocalizationTable,
    shape_nm: tuple[float, float],
    *,
    pixel_size_nm: float = 10.0,
    half: NDArray[np.bool_] | None = None,
    threshold: Threshold = "fixed",
) -> RingCorrelation:
    """Resolution of the density image of a table, from the agreement of two halves of it.

    A molecule localized repeatedly puts the same position with independent errors into both halves when they
    are drawn at random; the correlation then tells of the molecules' repeats, not of the structure, and the
    resolution comes out too good. Blocks of frames (the default) keep a blink together. The correlation is
    that of `ring_correlation` (Nieuwenhuizen et al., Nature Methods 10, 557 (2013)).

    Parameters
    ----------
    table
        The localizations.
    shape_nm
        Height and width of the field, nm.
    pixel_size_nm
        Pixel of the images, nm; at most a quarter of the resolution expected.
    half
        (N,) which half each localization belongs to; default `split_blocks`.
    threshold
        "fixed" (1/7) or "half-bit".
    """
    half = split_blocks(table.frame) if half is None else half
    first, second = (density_image(table.select(rows), shape_nm, pixel_size_nm) for rows in (half, ~half))
    return ring_correlation(first, second, pixel_size_nm, threshold)


def split_random(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw two halves (N,) localization by localization (repeats of a molecule fall into both)."""
    return rng.permutation(n) < n // 2


def split_blocks(frame: NDArray[np.integer], n_blocks: int = 20) -> NDArray[np.bool_]:
    """Put alternate blocks of consecutive frames into the two halves (N,).

    Parameters
    ----------
    frame
        (N,) frame of each localization.
    n_blocks
        Number of blocks; the number of frames gives odd against even frames.

    Examples
    --------
    >>> import numpy as np
    >>> split_blocks(np.arange(8), n_blocks=4).astype(int)
    array([0, 0, 1, 1, 0, 0, 1, 1])
    """
    if not len(frame):
        return np.zeros(0, bool)
    since = frame - frame.min()
    block: NDArray[np.bool_] = since * n_blocks // (since.max() + 1) % 2 == 1
    return block


def ring_correlation(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    pixel_size_nm: float,
    threshold: Threshold = "fixed",
) -> RingCorrelation:
    """Fourier ring correlation of two independent images (Y, X) of the same object.

    ``FRC(q) = sum F1 F2* / sqrt(sum |F1|^2 sum |F2|^2)`` over the ring of radius q, after subtraction of the
    mean and a Tukey window over an eighth of each side (Nieuwenhuizen et al., Nature Methods 10, 557 (2013)).
    Half-bit: ``(0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n))`` for rings of n pixels (van Heel &
    Schatz, J. Struct. Biol. 151, 250 (2005)). Raises `ValueError` if the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"the halves have shapes {first.shape} and {second.shape}")
    cross, power_a, power_b, n_pixels = _ring_sums(first, second)
    norm = np.sqrt(power_a * power_b)
    correlation = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
    frequency = np.arange(len(cross)) / (max(first.shape) * pixel_size_nm)
    smoothed = _smooth(correlation, n_pixels)
    level = np.full(len(cross), 1 / 7)
    if threshold == "half-bit":
        root = np.sqrt(np.maximum(n_pixels, 1))
        level = (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
    crossing, reason = _crossing(smoothed, level)
    resolution = float("nan") if reason else 1 / (crossing * frequency[1])
    return RingCorrelation(resolution, frequency, correlation, smoothed, level, reason)


def _ring_sums(first: NDArray[np.floating], second: NDArray[np.floating]) -> tuple[Floats, ...]:
    """Sum cross power, both powers and pixels over rings one frequency step of the longer side wide."""
    height, width = first.shape
    edges = _tukey(height, 0.25), _tukey(width, 0.25)
    one, two = spectrum(first, edges), spectrum(second, edges)
    longest = max(first.shape)
    rings = Rings((height, width), longest // 2, longest, centred=True)
    cross = one.real * two.real
    cross += one.imag * two.imag
    return tuple(rings.sums(term) for term in (cross, power(one), power(two), np.ones_like(cross)))


def _tukey(side: int, share: float) -> Floats:
    """Return a window (side,) that rises and falls over a share of it; SciPy's takes a second to import."""
    from_edge = np.minimum(np.arange(side), np.arange(side)[::-1]) / max(side - 1, 1)
    return 0.5 * (1 - np.cos(np.pi * np.minimum(2 * from_edge / share, 1)))


def _smooth(correlation: Floats, n_pixels: Floats) -> Floats:
    """Average a curve over a window proportional to the frequency, weighted with the pixels of each ring."""
    ring = np.arange(len(correlation))
    low = np.ceil(ring * (1 - _SMOOTHING)).astype(int)
    high = np.minimum(np.floor(ring * (1 + _SMOOTHING)).astype(int), 2 * ring - low)
    high = np.minimum(high, len(ring) - 1) + 1
    total = np.concatenate([[0.0], np.cumsum(correlation * n_pixels)])
    weight = np.concatenate([[0.0], np.cumsum(n_pixels)])
    smoothed: Floats = (total[high] - total[low]) / (weight[high] - weight[low])
    return smoothed


def _crossing(curve: Floats, level: Floats) -> tuple[float, str]:
    """Return the (fractional) ring where the curve falls below the level for good, or why there is none."""
    above = curve > level
    for ring in np.flatnonzero(~above[1:]) + 1:
        # A dip narrower than the smoothing window is noise.
        if above[ring : int(ring * (1 + 2 * _SMOOTHING)) + 1].any():
            continue
        if ring < _FIRST_USEFUL_RING:
            return float("nan"), "the two halves do not correlate"
        before, after = curve[ring - 1] - level[ring - 1], curve[ring] - level[ring]
        return float(ring - 1 + before / (before - after)), ""
    return float("nan"), "the correlation stays above the threshold up to the smallest detail of the pixels"
