"""The report of a run: one HTML file that holds all its pictures and says how good the result is."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from numpy.typing import NDArray

from autods.core.grid import nm_to_px
from autods.pipelines import report_figures
from autods.pipelines.finish import Finished
from autods.pipelines.report_figures import PatchRow
from autods.pipelines.settings import SettingRow

__all__ = ["PatchRow", "ReportContent", "Section", "SettingRow", "lattice_bias", "render_report"]

#: Above this, positions prefer places within the pixel visibly.
LATTICE_BIAS_LIMIT = 0.1
_HARMONICS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Section:
    """A picture with its heading and a line of explanation."""

    heading: str
    png: bytes
    note: str

    @property
    def base64(self) -> str:
        """The picture as text."""
        return base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class ReportContent:
    """All that a report shows."""

    #: What was done.
    title: str
    #: Path of the movie.
    movie: str
    #: (T, Y, X) of what was localized.
    shape: tuple[int, int, int]
    #: Camera pixel, nm.
    pixel_size_nm: float
    #: The localizations, in coordinates of the full frame, and what was made of them.
    finished: Finished
    #: The reconstruction as a picture.
    preview_png: bytes
    #: What each patch held and got.
    patches: Sequence[PatchRow]
    #: What the user should know, one line each.
    warnings: Sequence[str]
    #: Each setting with its source.
    settings: Sequence[SettingRow]
    #: Name and seconds of each stage.
    stages: Sequence[tuple[str, float]]
    #: Of the programs.
    versions: Mapping[str, str]
    #: The command line that repeats the run.
    command: str
    #: Further pictures, in order, each with a heading and a line of explanation.
    sections: Sequence[Section] = ()


def lattice_bias(position_px: NDArray[np.float64]) -> float:
    """Measure how much positions prefer places within the camera pixel, 0 (flat) to 1 (all at one place).

    The length of the mean phase vector ``|mean(exp(2 pi i k x))|``, the largest over the harmonics
    k = 1, 2, 4, 8 (the grids of an upsampling network), its expectation by chance ``1 / N`` subtracted in the
    square (Rayleigh's test of uniformity; Mardia & Jupp, Directional Statistics, 6.3.1).

    Parameters
    ----------
    position_px
        (N,) positions along one axis, pixels; NaN without any.
    """
    if not len(position_px):
        return math.nan
    phase = 2j * np.pi * (position_px % 1)
    lengths = np.array([abs(np.exp(k * phase).mean()) for k in _HARMONICS])
    return float(np.sqrt(max(lengths.max() ** 2 - 1 / len(position_px), 0.0)))


def render_report(content: ReportContent) -> str:
    """Return the report as an HTML text without any link to the outside."""
    # Where in the pixel a molecule was seen is told by the positions before the correction of the drift.
    table = content.finished.raw
    x_px, y_px = (nm_to_px(values, content.pixel_size_nm) for values in (table.x_nm, table.y_nm))
    bias = max(lattice_bias(x_px), lattice_bias(y_px))
    warnings = list(content.warnings)
    if len(table) >= 1000 and bias > LATTICE_BIAS_LIMIT:
        warnings.append(f"positions prefer places within the pixel (lattice bias {bias:.2f}, flat is 0)")
    density = np.array([patch.density_per_um2 for patch in content.patches], np.float64)
    snr = np.array([patch.snr for patch in content.patches], np.float64)
    figures = {"preview": content.preview_png}
    if content.patches:
        figures["models"] = report_figures.model_map(content.patches)
        figures["measured"] = report_figures.measured_histograms(density, snr)
    if content.finished.drift.is_on:
        drift = content.finished.drift
        figures["drift"] = report_figures.drift_curve(drift.curve_nm, drift.first_frame)
    if len(table):
        figures["subpixel"] = report_figures.subpixel_histograms(x_px, y_px)
        figures["quality"] = report_figures.quality_histograms(
            table.photons, table.uncertainty_xy_nm, table.frame
        )
    return _template().render(
        content=content,
        warnings=warnings,
        numbers=_key_numbers(content, bias),
        quality=content.finished.quality(),
        figures={name: base64.b64encode(png).decode("ascii") for name, png in figures.items()},
    )


def _key_numbers(content: ReportContent, bias: float) -> list[tuple[str, str]]:
    """Return names and values of the numbers at the head of the report."""
    table, (n_frames, height, width) = content.finished.table, content.shape
    side_um = content.pixel_size_nm / 1000
    numbers = [
        ("localizations", f"{len(table):,}"),
        ("frames", f"{n_frames:,}"),
        ("a frame", f"{len(table) / n_frames:.1f}"),
        ("field", f"{width * side_um:.1f} x {height * side_um:.1f} µm"),
    ]
    if len(table):
        numbers += [
            ("photons, median", _median(table.photons)),
            ("uncertainty, median", f"{_median(table.uncertainty_xy_nm)} nm"),
            ("lattice bias", f"{bias:.3f}"),
        ]
        if table.z_nm is not None and table.uncertainty_z_nm is not None:
            low, high = np.percentile(table.z_nm, [1, 99])
            numbers += [
                ("depths, 1 to 99 %", f"{low:.0f} to {high:.0f} nm"),
                ("axial uncertainty, median", f"{_median(table.uncertainty_z_nm)} nm"),
            ]
    return numbers


def _median(values: NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "not known"
    median = float(np.median(finite))
    return f"{median:,.0f}" if median >= 100 else f"{median:.3g}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("autods.pipelines", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
