"""How good a finished table is: numbers with a sentence each on what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.metrics.decorrelation import decorrelation_resolution
from autods.metrics.resolution import frc_resolution, split_random
from autods.postprocessing.drift import Drift
from autods.postprocessing.linking import LinkedTable
from autods.postprocessing.precision import nena_precision
from autods.rendering import render_gaussian

#: Field that resolutions are measured in at most, nm a side; the part with most events is taken.
_FIELD_NM = 20_000.0
#: Pixel of the images, nm.
_PIXEL_NM = 5.0
#: Precision in the table and measured may differ by this factor before it is worth a word.
_PRECISION_FACTOR = 1.3
#: Significance of a localization that noise may have made, and number of them from which a share is told.
_NEAR_LIMIT, _FEW = 6.0, 50


@dataclass(frozen=True)
class QualityRow:
    """One measure of quality."""

    #: What is measured.
    name: str
    #: With its unit.
    value: str
    #: What it means, and what is not good about it.
    sentence: str


def assess(
    raw: LocalizationTable, linked: LinkedTable, drift: Drift, frames: range, *, seed: int = 0
) -> list[QualityRow]:
    """Measure the quality of a result.

    Parameters
    ----------
    raw
        Localizations, neither linked nor corrected.
    linked
        Events of the corrected table.
    drift
        What was subtracted.
    frames
        Frames of the movie.
    seed
        Of the halves of the Fourier ring correlation.
    """
    if not len(linked):
        return []
    rows = [_linking(raw, linked), _drift(drift)]
    part = _busiest(linked.table)
    rows += [_resolution(part, drift, seed), _decorrelation(part), _precision(raw), _over_time(raw, frames)]
    return rows


def significance(table: LocalizationTable, pixel_size_nm: float) -> NDArray[np.float64]:
    """Return (N,) photons over their standard error where an emitter is alone; NaN where that is not known.

    In background of standard deviation b a pixel, a Gaussian PSF of standard deviation s pixels gives
    ``N / sqrt(4 pi s^2 b^2 + N)`` (Thompson, Biophys. J. 82, 2775 (2002)).

    Parameters
    ----------
    table
        With photons, PSF width and the background's standard deviation.
    pixel_size_nm
        Camera pixel, nm.
    """
    area_px = 4 * math.pi * (table.sigma_nm / pixel_size_nm) ** 2
    light = np.maximum(table.photons, 0)
    noise: NDArray[np.float64] = np.sqrt(area_px * table.background_std**2 + light)
    return light / np.maximum(noise, 1e-9)


def share_near_limit(table: LocalizationTable, pixel_size_nm: float) -> float:
    """Return the share of localizations that stand little above what noise alone may look like; 0 for few."""
    known = significance(table, pixel_size_nm)
    known = known[np.isfinite(known)]
    return float((known < _NEAR_LIMIT).mean()) if len(known) >= _FEW else 0.0


def _linking(raw: LocalizationTable, linked: LinkedTable) -> QualityRow:
    mean = len(raw) / len(linked)
    sentence = (
        f"{len(raw):,} localizations are {len(linked):,} events of {mean:.1f} frames on average,"
        f" linked within {linked.radius_nm:.0f} nm."
    )
    return QualityRow("events", f"{len(linked):,}", sentence)


def _drift(drift: Drift) -> QualityRow:
    if not drift.is_on:
        return QualityRow("drift", "not corrected", f"{_capital(drift.note)}.")
    size = float(np.hypot(*np.ptp(drift.curve_nm[:, :2], axis=0)))
    return QualityRow("drift", f"{size:.0f} nm", f"{_capital(drift.note)}.")


def _resolution(part: LocalizationTable, drift: Drift, seed: int) -> QualityRow:
    half = split_random(len(part), np.random.default_rng(seed))

    def measure(table: LocalizationTable) -> tuple[float, str]:
        x, y = table.x_nm - table.x_nm.min(), table.y_nm - table.y_nm.min()
        shape = (max(float(y.max()), 500.0) + 1, max(float(x.max()), 500.0) + 1)
        shifted = LocalizationTable.build(table.frame, x, y)
        found = frc_resolution(shifted, shape, pixel_size_nm=_PIXEL_NM, half=half)
        return found.resolution_nm, found.reason

    resolution, reason = measure(part)
    if math.isnan(resolution):
        return QualityRow("resolution (FRC)", "not known", f"{_capital(reason)}.")
    sentence = "Details down to this size agree between two halves of the events."
    if drift.is_on:
        before, _ = measure(drift.add(part))
        told = f"{before:.0f} nm" if math.isfinite(before) else "none at all"
        sentence += f" Without the correction of the drift: {told}."
    return QualityRow("resolution (FRC)", f"{resolution:.0f} nm", sentence)


def _decorrelation(part: LocalizationTable) -> QualityRow:
    x, y = part.x_nm - part.x_nm.min(), part.y_nm - part.y_nm.min()
    shape = (max(float(y.max()), 500.0) + 1, max(float(x.max()), 500.0) + 1)
    known = part.uncertainty_xy_nm[np.isfinite(part.uncertainty_xy_nm)]
    # Beyond what the spots hold there is only the rounding of the picture, which must not be measured.
    pixel_nm = max(_PIXEL_NM, float(np.median(known)) / 1.5) if len(known) else _PIXEL_NM
    image = render_gaussian(x, y, part.uncertainty_xy_nm, shape, pixel_nm)
    found = decorrelation_resolution(image, pixel_nm)
    if math.isnan(found.resolution_nm):
        return QualityRow("resolution (decorrelation)", "not known", "The image has no clear cut-off.")
    sentence = "From the image of the events alone; a few localizations at exact places make it look better."
    return QualityRow("resolution (decorrelation)", f"{found.resolution_nm:.0f} nm", sentence)


def _precision(raw: LocalizationTable) -> QualityRow:
    measured = nena_precision(raw)
    known = raw.uncertainty_xy_nm[np.isfinite(raw.uncertainty_xy_nm)]
    expected = float(np.median(known)) if len(known) else math.nan
    if math.isnan(measured):
        sentence = "Too few molecules are seen in consecutive frames to measure it."
        return QualityRow("precision (NeNA)", "not known", sentence)
    sentence = f"Measured between consecutive frames; the table expects {expected:.1f} nm."
    if measured > _PRECISION_FACTOR * expected:
        sentence += " Molecules move, or the uncertainties are too small."
    elif measured * _PRECISION_FACTOR < expected:
        sentence += " The uncertainties of the table are larger than needed."
    return QualityRow("precision (NeNA)", f"{measured:.1f} nm", sentence)


def _over_time(raw: LocalizationTable, frames: range) -> QualityRow:
    tenth = max(len(frames) // 10, 1)
    first = float((raw.frame < frames.start + tenth).sum()) / tenth
    last = float((raw.frame >= frames.stop - tenth).sum()) / tenth
    sentence = "Localizations a frame in the first and in the last tenth of the movie."
    if last < 0.2 * first:
        sentence += " Most molecules were bleached by then: more frames would add little."
    elif last > 0.8 * first and len(frames) > 100:
        sentence += " Molecules were still plenty: more frames would fill the picture further."
    return QualityRow("over time", f"{first:.1f} to {last:.1f}", sentence)


def _busiest(table: LocalizationTable) -> LocalizationTable:
    """Return the part of a large field that holds most events."""
    keep = np.ones(len(table), bool)
    for values in (table.x_nm, table.y_nm):
        if np.ptp(values) > _FIELD_NM:
            ordered = np.sort(values)
            count = np.searchsorted(ordered, ordered + _FIELD_NM) - np.arange(len(ordered))
            start = ordered[int(np.argmax(count))]
            keep &= (values >= start) & (values < start + _FIELD_NM)
    # Busy rows and busy columns need not meet.
    return table.select(keep) if keep.sum() > len(table) // 20 else table.select(_central(table))


def _central(table: LocalizationTable) -> NDArray[np.bool_]:
    x, y = np.median(table.x_nm), np.median(table.y_nm)
    near = np.maximum(np.abs(table.x_nm - x), np.abs(table.y_nm - y)) < _FIELD_NM / 2
    return near if near.any() else np.ones(len(table), bool)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
