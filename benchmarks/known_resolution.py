"""FRC and decorrelation on images whose resolution follows from how they were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from autods.core import LocalizationTable
from autods.io.result_tables import Row, Table, mean_rows
from autods.metrics.decorrelation import decorrelation_resolution
from autods.metrics.resolution import frc_resolution, split_random
from benchmarks.style import COLOURS, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE_NM = 5000.0
#: Molecules of the localization tables.
_MOLECULES = 6000
#: Pixel of the images whose cut-off is set, nm.
_PIXEL_NM = 20.0
#: Mean points per pixel of these images.
_POINTS = 0.02
#: Noise of the band-limited images, of their maximum: faint, so that the pupil and not the noise limits them.
_NOISE = 1e-4
#: Ends of the spectrum: all or nothing; and as a circular pupil's, which falls off so smoothly that the
#: analysis sees its end up to a sixth early.
SHARP = "sharp end"
TRANSFERS = (SHARP, "end of a pupil")
#: Resolution of points under a Gaussian by decorrelation, in sigma: under the strongest high-pass, d(r) peaks
#: where |I| ~ u exp(-u), u = 2 (pi sigma f)^2, is half its mean over the disc.
_GAUSSIAN_POINTS = 2.49


@dataclass(frozen=True)
class KnownResolution:
    """The suite ``resolution``.

    Parameters
    ----------
    precisions_nm
        Localization precisions of the tables for FRC, and widths of the Gaussian images, nm.
    repeats
        Mean localizations of each molecule.
    cutoffs_nm
        Resolutions of the band-limited images, nm; at least 40.
    n_seeds
        Images of each kind.
    seed
        Of the first.
    """

    precisions_nm: Sequence[float] = (10.0, 20.0, 40.0)
    repeats: Sequence[float] = (4.0, 10.0, 30.0)
    cutoffs_nm: Sequence[float] = (60.0, 80.0, 130.0, 260.0)
    n_seeds: int = 3
    seed: int = 0
    name: str = "resolution"

    def run(self) -> SuiteResult:
        """Make the images and measure them."""
        rows: list[Row] = []
        for index in range(self.n_seeds):
            rng = np.random.default_rng(self.seed + index)
            for sigma in self.precisions_nm:
                for repeats in self.repeats:
                    kind = f"molecules localized {repeats:g} times to {sigma:g} nm"
                    known = frc_of_molecules(sigma, repeats)
                    rows.append(_row("FRC, 1/7", kind, known, measure_frc(sigma, repeats, rng)))
                kind = f"points under a Gaussian of {2 * sigma:g} nm"
                known = _GAUSSIAN_POINTS * 2 * sigma
                image = gaussian_filter(_points(rng), 2 * sigma / _PIXEL_NM)
                rows.append(_row("decorrelation", kind, known, _decorrelation(image)))
            for cutoff in self.cutoffs_nm:
                for kind in TRANSFERS:
                    measured = _decorrelation(band_limited(cutoff, kind, rng))
                    rows.append(_row("decorrelation", f"points, {kind} at {cutoff:g} nm", cutoff, measured))
        means = mean_rows(rows, ("method", "image", "known_nm"), ("measured_nm", "error_percent"))
        worst = max(abs(float(row["error_percent"] or 0)) for row in means)
        notes = [
            f"Largest mean error: {worst:.1f} %. Mean over {self.n_seeds} images.",
            "FRC: molecules anywhere, halves drawn at random, m = repeats / 2 localizations of each in one:"
            " FRC = m G^2 / (1 + m G^2) with G = exp(-2 pi^2 sigma^2 q^2), which is 1/7 at the known"
            " resolution. Decorrelation: spectra that end at the known frequency, sharply or as smoothly as a"
            f" pupil's, which reads longer; and a Gaussian, {_GAUSSIAN_POINTS:g} sigma.",
        ]
        title = "Resolution of simulated images: measured against known"
        return SuiteResult(title, [Table("results", title, means)], {"known": _figure(means)}, notes)


def frc_of_molecules(sigma_nm: float, repeats: float) -> float:
    """Return the resolution by FRC at 1/7 of molecules localized repeatedly, nm.

    With m = repeats / 2 Poisson localizations of each molecule in a half, FRC(q) = m G^2 / (1 + m G^2), where
    G^2 = exp(-4 pi^2 sigma^2 q^2): it is 1/7 where m G^2 = 1/6, at 1 / q = 2 pi sigma / sqrt(ln(3 repeats)).
    """
    return 2 * math.pi * sigma_nm / math.sqrt(math.log(3 * repeats))


def measure_frc(sigma_nm: float, repeats: float, rng: np.random.Generator) -> float:
    """Return the FRC resolution of such molecules, nm."""
    owner = np.repeat(np.arange(_MOLECULES), rng.poisson(repeats, _MOLECULES))
    places = rng.uniform(0, _SIDE_NM, (_MOLECULES, 2))[owner] + rng.normal(0, sigma_nm, (len(owner), 2))
    table = LocalizationTable.build(np.zeros(len(owner), np.int64), places[:, 0], places[:, 1])
    half = split_random(len(table), rng)
    shape, pixel_nm = (_SIDE_NM, _SIDE_NM), min(sigma_nm / 2, 10.0)
    return frc_resolution(table, shape, pixel_size_nm=pixel_nm, half=half).resolution_nm


def band_limited(resolution_nm: float, kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return random points seen through a transfer function of TRANSFERS that ends at a resolution, nm."""
    points = _points(rng)
    axes = [np.fft.fftfreq(side, _PIXEL_NM) for side in points.shape]
    relative = np.hypot(axes[0][:, None], axes[1][None]) * resolution_nm
    inside = np.clip(relative, 0, 1)
    pupil = 2 / np.pi * (np.arccos(inside) - inside * np.sqrt(1 - inside**2))
    transfer = relative <= 1 if kind == SHARP else pupil
    image = np.fft.ifft2(np.fft.fft2(points) * transfer).real
    noisy: NDArray[np.float64] = image + rng.normal(0, _NOISE * np.abs(image).max(), image.shape)
    return noisy


def _points(rng: np.random.Generator) -> NDArray[np.float64]:
    side = round(_SIDE_NM / _PIXEL_NM)
    return rng.poisson(_POINTS, (side, side)).astype(np.float64)


def _decorrelation(image: NDArray[np.float64]) -> float:
    return decorrelation_resolution(image, _PIXEL_NM).resolution_nm


def _row(method: str, kind: str, known_nm: float, measured_nm: float) -> Row:
    error = 100 * (measured_nm / known_nm - 1)
    return {
        "method": method,
        "image": kind,
        "known_nm": known_nm,
        "measured_nm": measured_nm,
        "error_percent": error,
    }


def _figure(means: Sequence[Row]) -> Figure:
    figure, axes = panels(1, size=(4.6, 4.0))
    for index, method in enumerate(dict.fromkeys(str(row["method"]) for row in means)):
        here = [row for row in means if row["method"] == method]
        known, measured = (
            [float(row[name] or "nan") for row in here] for name in ("known_nm", "measured_nm")
        )
        axes[0].plot(known, measured, "o", label=method, color=COLOURS[index], ms=4)
    everything = [float(row["known_nm"] or "nan") for row in means]
    ends = np.array([min(everything), max(everything)])
    axes[0].plot(ends, ends, color="0.5", lw=1)
    axes[0].fill_between(ends, 0.85 * ends, 1.15 * ends, color="0.9", zorder=0, label="± 15 %")
    axes[0].set(xscale="log", yscale="log", xlabel="known resolution, nm", ylabel="measured, nm")
    ticks = [nm for nm in (10, 20, 30, 50, 100, 200, 300) if ends[0] / 1.2 < nm < 1.2 * ends[1]]
    for set_ticks in (axes[0].set_xticks, axes[0].set_yticks):
        set_ticks([], minor=True)
        set_ticks(ticks, [str(nm) for nm in ticks])
    axes[0].legend(frameon=False, fontsize=8)
    return figure
