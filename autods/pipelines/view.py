"""Looking at movies and at the localizations of a run: filtered, re-rendered, from the side."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.core.grid import nm_to_px, px_to_nm
from autods.io.movie import Movie
from autods.io.tables import read_table
from autods.pipelines.outputs import spot_sigma_nm
from autods.rendering import (
    render_cross_section,
    render_depth,
    render_gaussian,
    render_histogram,
    to_preview,
)
from autods.runs.record import read_run

Range = tuple[float, float]
#: Depth range of the colours covers this share of the localizations.
_DEPTH_PERCENTILES = (1.0, 99.0)
#: Room at its ends, in parts of the range.
_DEPTH_MARGIN = 0.05
_BINS = 60
#: Frames whose values set the limits of the contrast.
_CONTRAST_FRAMES = 5


@dataclass(frozen=True)
class Filters:
    """Ranges that localizations must lie in, both ends included; None lets all pass.

    Parameters
    ----------
    photons
        Photons.
    uncertainty_nm
        Lateral uncertainty, nm.
    frame
        Frames, from 0.
    z_nm
        Depth, nm; has no effect in 2D.
    """

    photons: Range | None = None
    uncertainty_nm: Range | None = None
    frame: Range | None = None
    z_nm: Range | None = None


@dataclass(frozen=True)
class Style:
    """How a picture is drawn.

    Parameters
    ----------
    drawing
        ``gaussian``: each as wide as its uncertainty; ``histogram``: counts per pixel.
    colors
        A colour map's name, or ``depth`` (3D only).
    percentile
        Of the non-empty pixels, shown at full brightness.
    """

    drawing: Literal["gaussian", "histogram"] = "gaussian"
    colors: str = "inferno"
    percentile: float = 99.5


@dataclass(frozen=True)
class Histogram:
    """Counts (N,) between edges (N + 1,)."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class RunView:
    """The localizations of a finished run.

    Parameters
    ----------
    table
        Localizations.
    origin_nm, shape_nm
        ``(y, x)`` of the corner and ``(height, width)`` of the localized part of the field, nm.
    """

    table: LocalizationTable
    origin_nm: tuple[float, float]
    shape_nm: tuple[float, float]

    def select(self, filters: Filters) -> LocalizationTable:
        """Return the localizations that pass the filters; those without the quantity pass, too."""
        columns = self.columns()
        keep = np.ones(len(self.table), bool)
        for item in fields(filters):
            limits, values = getattr(filters, item.name), columns.get(item.name)
            if limits is not None and values is not None:
                keep &= ~((values < limits[0]) | (values > limits[1]))
        return self.table.select(keep)

    def count(self, limits: dict[str, Range]) -> int:
        """Count the localizations within limits, given by the filters' names."""
        return len(self.select(Filters(**limits)))

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns that can be filtered, by the filters' names."""
        table = self.table
        found = {
            "photons": table.photons,
            "uncertainty_nm": table.uncertainty_xy_nm,
            "frame": table.frame.astype(np.float64),
        }
        return found if table.z_nm is None else {**found, "z_nm": table.z_nm}

    def histograms(self) -> dict[str, Histogram]:
        """Return the histogram of each column that can be filtered; columns without numbers are left out.

        The upper percent of photons and uncertainties, which would squeeze the rest, falls into the last bin.
        """
        found = {}
        for name, column in self.columns().items():
            values = column[np.isfinite(column)]
            if not len(values):
                continue
            low, high = float(values.min()), float(values.max())
            if name in ("photons", "uncertainty_nm"):
                high = float(np.percentile(values, 99))
            if name == "frame":
                high += 1.0
            if not high > low:
                high = low + 1.0
            n_bins = min(_BINS, round(high - low)) if name == "frame" else _BINS
            edges = np.linspace(low, high, n_bins + 1)
            counts = np.histogram(np.clip(values, low, high), edges)[0]
            found[name] = Histogram(edges, counts.astype(np.int64))
        return found

    @property
    def depth_range_nm(self) -> Range:
        """Range of depths that the colours span, nm."""
        z_nm = self.table.z_nm
        if z_nm is None or not len(z_nm):
            return 0.0, 1.0
        low, high = np.percentile(z_nm, _DEPTH_PERCENTILES)
        margin = _DEPTH_MARGIN * float(high - low) + 1.0
        return float(low) - margin, float(high) + margin

    def picture(
        self, filters: Filters, style: Style, box_nm: tuple[float, float, float, float] | None, side_px: int
    ) -> NDArray[np.uint8]:
        """Draw the localizations.

        Parameters
        ----------
        filters, style
            Which, and how.
        box_nm
            Part ``(y0, x0, y1, x1)`` of the field, nm from its corner; None for all of it.
        side_px
            Pixels of the longer side.

        Returns
        -------
        ndarray
            (Y, X, 3) uint8.

        Raises
        ------
        UserError
            If the part is empty, or depth colours are wanted in 2D.
        """
        y0, x0, y1, x1 = box_nm or (0.0, 0.0, *self.shape_nm)
        height, width = y1 - y0, x1 - x0
        if not (height > 0 and width > 0):
            raise UserError("the part of the field is empty: zoom out")
        table = self.select(filters)
        pixel_nm = max(height, width) / side_px
        x_nm, y_nm = table.x_nm - self.origin_nm[1] - x0, table.y_nm - self.origin_nm[0] - y0
        shape, sigma = (height, width), spot_sigma_nm(table, pixel_nm)
        if style.colors == "depth":
            if table.z_nm is None:
                raise UserError("the run has no depths: choose a colour map")
            image = render_depth(x_nm, y_nm, table.z_nm, sigma, shape, pixel_nm, self.depth_range_nm)
            return to_preview(image, percentile=style.percentile)
        if style.drawing == "histogram":
            image = render_histogram(x_nm, y_nm, shape, pixel_nm)
        else:
            image = render_gaussian(x_nm, y_nm, sigma, shape, pixel_nm)
        return to_preview(image, percentile=style.percentile, colormap=style.colors)

    def section(
        self, filters: Filters, style: Style, plane: Literal["xz", "yz"], slab_nm: Range, side_px: int
    ) -> NDArray[np.uint8]:
        """Draw the localizations seen from the side.

        Parameters
        ----------
        filters, style
            Which, and how.
        plane
            ``xz`` looks along y, ``yz`` along x.
        slab_nm
            Range of the coordinate looked along, nm from the corner of the field.
        side_px
            Pixels along x (or y).

        Raises
        ------
        UserError
            In 2D.
        """
        table = self.select(filters)
        if table.z_nm is None or table.uncertainty_z_nm is None:
            raise UserError("the run has no depths: a cross-section needs a 3D run")
        along = self.shape_nm[1] if plane == "xz" else self.shape_nm[0]
        pixel_nm = along / side_px
        lateral = spot_sigma_nm(table, pixel_nm)
        axial = np.where(np.isfinite(table.uncertainty_z_nm), table.uncertainty_z_nm, 2 * lateral)
        image = render_cross_section(
            table.x_nm - self.origin_nm[1],
            table.y_nm - self.origin_nm[0],
            table.z_nm,
            lateral,
            np.clip(axial, pixel_nm / 2, None),
            self.shape_nm,
            self.depth_range_nm,
            pixel_nm,
            plane,
            slab_nm,
        )
        colors = "inferno" if style.colors == "depth" else style.colors
        return to_preview(image, percentile=style.percentile, colormap=colors)


def open_view(folder: Path) -> RunView:
    """Read the localizations of a finished run and the field that they cover.

    Raises
    ------
    UserError
        If the folder has no localizations.
    """
    table = read_table(folder)
    run = read_run(folder) or {}
    region = run.get("results", {}).get("region")
    try:
        pixel_nm = float(region["pixel_size_nm"])
        origin = tuple(px_to_nm(float(start), pixel_nm) for start in region["origin_px"])
        shape = tuple(px_to_nm(float(side), pixel_nm) for side in region["shape"][1:])
    except (TypeError, KeyError, ValueError):
        # A table from elsewhere: the field is what it covers.
        extent = [float(np.max(column, initial=1.0)) for column in (table.y_nm, table.x_nm)]
        return RunView(table, (0.0, 0.0), (extent[0], extent[1]))
    return RunView(table, (origin[0], origin[1]), (shape[0], shape[1]))


def contrast_limits(movie: Movie) -> Range:
    """Return the grey values of black and white that suit the first frames of a movie."""
    frames = movie.read(0, min(_CONTRAST_FRAMES, movie.shape[0]))
    low, high = np.nanpercentile(frames, (0.5, 99.8))
    return float(low), float(high if high > low else low + 1)


def frame_picture(movie: Movie, t: int, limits: Range, *, projected: int = 1) -> NDArray[np.uint8]:
    """Draw a frame, or the brightest value of several, in grey.

    Parameters
    ----------
    movie
        The movie.
    t
        First frame.
    limits
        Values shown black and white.
    projected
        Number of frames.

    Returns
    -------
    ndarray
        (Y, X, 3) uint8.

    Raises
    ------
    UserError
        If the frame is not in the movie.
    """
    n_frames = movie.shape[0]
    if not 0 <= t < n_frames:
        raise UserError(f"{movie.path} has frames 0 to {n_frames - 1}: {t} is none of them")
    frames = movie.read(t, min(t + projected, n_frames)).astype(np.float32)
    low, high = limits
    span = high - low if high > low and math.isfinite(high - low) else 1.0
    level = np.clip((np.nan_to_num(frames.max(0)) - low) / span, 0, 1)
    grey = np.rint(level * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Encode a picture (Y, X, 3) as PNG."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def marks(
    table: LocalizationTable, frame: int, threshold: float, pixel_size_nm: float
) -> tuple[list[float], int]:
    """Return what to draw over a frame: x0, y0, x1, y1, ... in pixels, corner origin; and how many in all.

    Parameters
    ----------
    table
        Localizations of a few frames, found with a low threshold.
    frame
        The frame that is shown.
    threshold
        Least confidence.
    pixel_size_nm
        Camera pixel, nm.
    """
    sure = table.select(table.confidence >= threshold)
    shown = sure.select(sure.frame == frame)
    xy = np.stack([shown.x_nm, shown.y_nm], axis=1)
    return nm_to_px(xy, pixel_size_nm).ravel().tolist(), len(sure)


def highest_confidence(table: LocalizationTable) -> float:
    """Return the highest confidence of a table; 1 for an empty one."""
    return float(table.confidence.max(initial=0.1)) if len(table) else 1.0
