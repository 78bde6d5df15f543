"""The files of a 3D run folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.core.grid import px_to_nm
from autods.io.images import write_png
from autods.pipelines import outputs
from autods.pipelines.finish import FINISH_FILES, Finished, finish_rows
from autods.pipelines.html_report import Section, SettingRow
from autods.pipelines.settings3d import Localize3DSettings
from autods.rendering import render_cross_section, render_depth, to_preview
from autods.runs.record import RunRecord
from autods.runs.stages import STAGE_FOLDER

OUTPUT_FILES = (
    "localizations.csv",
    "localizations.hdf5",
    "localizations.yaml",
    "reconstruction.tif",
    "preview.png",
    "sections.png",
    "plan.yaml",
    "report.html",
    *FINISH_FILES,
)
#: Headings and notes of the stages' figures in the report.
_STAGES = {
    "calibrate": (
        "Point-spread function",
        "Images of an emitter at depths over the range, each on its own scale.",
    ),
    "background": ("Background", "A frame with and without its background, which may change over the movie."),
    "snr": ("Noise and photons", "Measured in the marked region; the simulations are made alike."),
    "train": ("Training", "Scores on simulated frames that the network was not trained on."),
    "test": ("Test", "A simulated frame with its truth, and a real one beside what the result renders to."),
}
#: Smallest pixel of the side views that keeps them below this many pixels.
_SECTION_PX = 4_000_000


def write_pictures(
    table: LocalizationTable,
    region: outputs.Region,
    z_range_nm: tuple[float, float],
    pixel_size_nm: float,
    folder: Path,
) -> bytes:
    """Write ``reconstruction.tif``, ``preview.png`` in the colours of depth, and ``sections.png``.

    Returns the preview. Raises `UserError` if a file cannot be written.
    """
    image, pixel_nm = outputs.reconstruct(table, region, pixel_size_nm)
    outputs.write_picture(image, pixel_nm, folder)
    assert table.z_nm is not None
    shape_nm = _shape_nm(region)
    x, y = _within(table, region)
    sigma = outputs.spot_sigma_nm(table, pixel_nm)
    # A third of the plain picture's brightness each: the colours need three times the memory.
    colour_nm = max(pixel_nm, math.sqrt(3 * shape_nm[0] * shape_nm[1] / outputs.MAX_RENDER_PX))
    coloured = render_depth(
        x, y, table.z_nm, np.maximum(sigma, 0.5 * colour_nm), shape_nm, colour_nm, z_range_nm
    )
    preview = folder / "preview.png"
    write_png(to_preview(coloured, colour_nm, z_range_nm=z_range_nm), preview)
    write_png(_side_views(table, x, y, sigma, shape_nm, z_range_nm, colour_nm), folder / "sections.png")
    return preview.read_bytes()


def write_report(
    record: RunRecord,
    finished: Finished,
    region: outputs.Region,
    *,
    preview_png: bytes,
    settings: Sequence[SettingRow],
) -> None:
    """Write ``report.html`` with the stages' figures."""
    sections = [
        Section(
            "From the side", (record.folder / "sections.png").read_bytes(), "xz above, yz below; z upwards."
        )
    ]
    for name, (heading, note) in _STAGES.items():
        path = record.folder / STAGE_FOLDER / f"{name}.png"
        if path.is_file():
            sections.append(Section(heading, path.read_bytes(), note))
    outputs.write_report(
        record, finished, region, preview_png=preview_png, settings=settings, sections=sections
    )


def _side_views(
    table: LocalizationTable,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    sigma_nm: NDArray[np.float64],
    shape_nm: tuple[float, float],
    z_range_nm: tuple[float, float],
    pixel_size_nm: float,
) -> NDArray[np.uint8]:
    """Draw xz above yz."""
    assert table.z_nm is not None
    assert table.uncertainty_z_nm is not None
    area = (z_range_nm[1] - z_range_nm[0]) * max(shape_nm)
    pixel_nm = max(pixel_size_nm, math.sqrt(area / _SECTION_PX))
    known = np.isfinite(table.uncertainty_z_nm)
    typical = float(np.median(table.uncertainty_z_nm[known])) if known.any() else pixel_nm
    axial = np.clip(
        np.where(known, table.uncertainty_z_nm, typical), 0.5 * pixel_nm, max(3 * typical, pixel_nm)
    )
    views = [
        to_preview(
            render_cross_section(
                x,
                y,
                table.z_nm,
                np.maximum(sigma_nm, 0.5 * pixel_nm),
                axial,
                shape_nm,
                z_range_nm,
                pixel_nm,
                plane,
            ),
            pixel_nm,
        )
        for plane in ("xz", "yz")
    ]
    width = max(view.shape[1] for view in views)
    rows = [np.pad(view, ((0, 6), (0, width - view.shape[1]), (0, 0))) for view in views]
    return np.concatenate(rows)


def _shape_nm(region: outputs.Region) -> tuple[float, float]:
    height, width = (px_to_nm(float(side), region.pixel_size_nm) for side in region.shape[1:])
    return height, width


def _within(
    table: LocalizationTable, region: outputs.Region
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y0, x0 = (px_to_nm(float(start), region.pixel_size_nm) for start in region.origin_px)
    return table.x_nm - x0, table.y_nm - y0


def setting_rows(settings: Localize3DSettings, z_range_nm: tuple[float, float]) -> list[SettingRow]:
    """Describe what was not a number of the instrument."""
    usual, row = Localize3DSettings(settings.psf), SettingRow.chosen
    low, high = z_range_nm
    given = settings.psf.z_min_nm is not None and settings.psf.z_max_nm is not None
    threshold, significance, best = settings.threshold, settings.min_significance, "best on simulated frames"
    return [
        SettingRow(
            "psf.z_min_nm, psf.z_max_nm", f"{low:g} to {high:g} nm", "given" if given else "bead stack"
        ),
        row("snr.region", settings.snr.region, usual.snr.region),
        row("family", settings.training.family, usual.training.family),
        row("trainer.max_steps", settings.training.max_steps, usual.training.max_steps),
        row("passes", settings.passes, usual.passes),
        row("refine", settings.refine, usual.refine),
        row("decode.threshold", threshold, None, best if threshold is None else None),
        row("decode.min_significance", significance, None, best if significance is None else None),
        *finish_rows(settings.finish),
        row("device", settings.device, usual.device),
    ]
