"""The files of a run folder."""

from __future__ import annotations

import importlib
import io
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.core.grid import px_to_nm
from autods.io.atomic import write_json, write_text
from autods.io.images import write_image_tiff, write_png
from autods.io.movie import CroppedMovie, Movie
from autods.io.tables import write_picasso, write_thunderstorm
from autods.pipelines.finish import FINISH_FILES, Finished, write_finished
from autods.pipelines.html_report import PatchRow, ReportContent, Section, SettingRow, render_report
from autods.rendering import render_gaussian, to_preview
from autods.runs.record import RunRecord

#: Files of a finished run.
OUTPUT_FILES = (
    "localizations.csv",
    "localizations.hdf5",
    "localizations.yaml",
    "reconstruction.tif",
    "preview.png",
    "profile.json",
    "plan.yaml",
    "report.html",
    *FINISH_FILES,
)
#: Libraries that only writing needs.
_LIBRARIES = ("matplotlib.figure", "matplotlib.backends.backend_agg", "pyarrow.parquet", "PIL.Image")
#: Pixels of a reconstruction at most; larger fields get larger pixels.
MAX_RENDER_PX = 64_000_000
#: Spots are drawn at least this wide, in pixels of the reconstruction.
_MIN_SPOT_PX = 0.5


@dataclass(frozen=True)
class Region:
    """Where the localized part lies in the movie."""

    #: The movie's file.
    movie: Path
    #: (T, Y, X) of the whole movie.
    full_shape: tuple[int, int, int]
    #: (T, Y, X) of the part.
    shape: tuple[int, int, int]
    #: ``(y0, x0)`` of the part, px.
    origin_px: tuple[int, int]
    #: Camera pixel, nm.
    pixel_size_nm: float
    #: Frame of the movie that the part begins with.
    first_frame: int = 0

    @classmethod
    def of(cls, whole: Movie, part: CroppedMovie, pixel_size_nm: float) -> Region:
        """Describe a part of a movie."""
        return cls(whole.path, whole.shape, part.shape, part.origin_px, pixel_size_nm, part.first_frame)


def load_libraries() -> None:
    """Begin to import what writing needs, some two seconds' worth, beside what a run does before."""
    threading.Thread(
        target=lambda: [importlib.import_module(name) for name in _LIBRARIES], daemon=True
    ).start()


def write_tables(finished: Finished, region: Region, folder: Path) -> None:
    """Write the localizations for ThunderSTORM and for Picasso, and what was made of them.

    Raises `UserError` if a file cannot be written.
    """
    write_thunderstorm(finished.table, folder / "localizations.csv")
    write_picasso(
        finished.table,
        folder / "localizations.hdf5",
        region.pixel_size_nm,
        region.full_shape,
        movie=region.movie,
        notes={"Drift": finished.drift.note},
    )
    write_finished(finished, folder, region.pixel_size_nm, region.full_shape, region.movie)


def reconstruct(table: LocalizationTable, region: Region, pixel_size_nm: float) -> tuple[NDArray[Any], float]:
    """Render the localized part of the field; each localization is as wide as its uncertainty.

    Returns ``image, pixel_size_nm``: (Y, X), and its pixel: larger than wanted where the image would be too
    large.

    Parameters
    ----------
    table
        Localizations, coordinates of the full frame.
    region
        The part.
    pixel_size_nm
        Wanted pixel, nm.
    """
    height, width = (px_to_nm(float(side), region.pixel_size_nm) for side in region.shape[1:])
    pixel_size_nm = picture_pixel_nm((height, width), pixel_size_nm)
    y0, x0 = (px_to_nm(float(start), region.pixel_size_nm) for start in region.origin_px)
    sigma = spot_sigma_nm(table, pixel_size_nm)
    image = render_gaussian(table.x_nm - x0, table.y_nm - y0, sigma, (height, width), pixel_size_nm)
    return image, pixel_size_nm


def picture_pixel_nm(shape_nm: tuple[float, float], wanted_nm: float) -> float:
    """Return the pixel of a picture of a field (height, width), nm: larger where there would be too many."""
    return max(wanted_nm, math.sqrt(shape_nm[0] * shape_nm[1] / MAX_RENDER_PX))


def spot_sigma_nm(table: LocalizationTable, pixel_size_nm: float) -> NDArray[np.float64]:
    """Return how wide each localization is drawn, (N,) nm: its uncertainty, within what a picture can show.

    Parameters
    ----------
    table
        Localizations.
    pixel_size_nm
        Pixel of the picture, nm.
    """
    known = table.uncertainty_xy_nm[np.isfinite(table.uncertainty_xy_nm)]
    typical = float(np.median(known)) if len(known) else pixel_size_nm
    sigma = np.where(np.isfinite(table.uncertainty_xy_nm), table.uncertainty_xy_nm, typical)
    # A few very uncertain ones would wash the picture out.
    return np.clip(sigma, _MIN_SPOT_PX * pixel_size_nm, max(3 * typical, pixel_size_nm))


def write_picture(image: NDArray[Any], pixel_size_nm: float, folder: Path) -> bytes:
    """Write ``reconstruction.tif`` and ``preview.png`` of a picture (Y, X); return the bytes of the preview.

    Raises `UserError` if a file cannot be written.
    """
    write_image_tiff(image, folder / "reconstruction.tif", pixel_size_nm)
    preview = folder / "preview.png"
    write_png(to_preview(image, pixel_size_nm), preview)
    return preview.read_bytes()


def write_profile(profile: dict[str, Any], folder: Path) -> None:
    """Write ``profile.json``."""
    write_json(folder / "profile.json", profile)


def write_plan(plan: dict[str, Any], folder: Path) -> None:
    """Write ``plan.yaml``."""
    stream = io.StringIO()
    yaml.safe_dump(plan, stream, sort_keys=False, allow_unicode=True, width=110)
    write_text(folder / "plan.yaml", stream.getvalue())


def write_report(
    record: RunRecord,
    finished: Finished,
    region: Region,
    *,
    preview_png: bytes,
    settings: Sequence[SettingRow],
    patches: Sequence[PatchRow] = (),
    sections: Sequence[Section] = (),
) -> None:
    """Write ``report.html`` of a run.

    Raises `UserError` if it cannot be written.
    """
    record.add_results(region=region)
    content = ReportContent(
        title=f"{'3D localization' if finished.table.is_3d else 'Localization'} of {region.movie.name}",
        movie=str(region.movie),
        shape=region.shape,
        pixel_size_nm=region.pixel_size_nm,
        finished=finished,
        preview_png=preview_png,
        patches=patches,
        warnings=record.warnings,
        settings=settings,
        stages=[(stage.name, stage.seconds) for stage in record.stages],
        versions=record.to_dict()["versions"],
        command=record.command,
        sections=sections,
    )
    write_text(record.folder / "report.html", render_report(content))
