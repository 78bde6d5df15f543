"""The files of a run to save."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui

from autods.web.jobs import Job
from autods.web.routes import file_address
from autods.web.run_files import file_stat
from autods.web.widgets.layout import size_text

_DOWNLOADS = (
    ("localizations.csv", "ThunderSTORM table"),
    ("localizations.hdf5", "Picasso table"),
    ("localizations.yaml", "Picasso's description"),
    ("localizations.parquet", "Parquet table"),
    ("linked.csv", "linked table"),
    ("drift.csv", "drift that was subtracted"),
    ("reconstruction.tif", "picture for Fiji, with scale"),
    ("preview.png", "picture to look at"),
    ("psf.h5", "calibrated PSF"),
    ("plan.yaml", "every setting and decision"),
    ("run.json", "record of the run"),
    ("log.txt", "log"),
)


def downloads(job: Job) -> None:
    """Offer the files of a run."""
    found = [(name, text, stat) for name, text in _DOWNLOADS if (stat := file_stat(job.folder, name))]
    if not found:
        ui.label("Files appear here as the run writes them.").classes("soft")
    if file_stat(job.folder, "report.html"):
        ui.link("Report: what was measured, chosen and found", file_address(job, "report.html"), new_tab=True)
    with ui.element("table").classes("plain"), ui.element("tbody"):
        for name, text, stat in found:
            with ui.element("tr"):
                with ui.element("td"):
                    ui.link(name, file_address(job, name, download=True)).props(
                        f'download="{Path(name).name}"'
                    )
                with ui.element("td"):
                    ui.label(text).classes("soft")
                with ui.element("td"):
                    ui.label(size_text(stat.st_size)).classes("soft")
