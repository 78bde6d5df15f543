"""The list of all runs, with the queue."""

from __future__ import annotations

import time
from pathlib import Path

from nicegui import ui

from autods.web.jobs import JobView
from autods.web.names import shown
from autods.web.site import Site
from autods.web.widgets.layout import chip, duration_text, page, panel

_PERIOD_S = 1.5
_MOST = 200


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/runs")
    def runs() -> None:
        with page("Runs", "/runs"), panel():
            ui.label(
                "One run at a time uses a device; the others wait. Closing this page stops nothing."
            ).classes("soft")
            shown: list[object] = []

            @ui.refreshable
            def table() -> None:
                _table(site.views()[:_MOST])

            def refresh() -> None:
                now = [(item.job.id, item.status, item.stage, item.fraction) for item in site.views()]
                if now != shown:
                    shown[:] = now
                    table.refresh()

            shown[:] = [(item.job.id, item.status, item.stage, item.fraction) for item in site.views()]
            table()
            ui.timer(_PERIOD_S, refresh)


def _table(views: list[JobView]) -> None:
    if not views:
        ui.label("No runs yet.").classes("soft")
        ui.link("Choose a movie", "/")
        return
    with ui.element("table").classes("plain"):
        with ui.element("thead"), ui.element("tr"):
            for name in ("Status", "Movie", "Kind", "Device", "Submitted", "Stage"):
                with ui.element("th"):
                    ui.label(name)
        with ui.element("tbody"):
            for item in views:
                _row(item)


def _row(item: JobView) -> None:
    job = item.job
    with ui.element("tr"):
        with ui.element("td"):
            chip(item.status, item.status)
        with ui.element("td"):
            ui.link(shown(Path(job.movie).name), f"/run/{job.id}").classes("wrap")
        for text in (
            "3D" if job.kind == "localize3d" else "2D",
            job.device,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(job.queued_at)),
            _stage(item),
        ):
            with ui.element("td"):
                ui.label(text).classes("wrap")


def _stage(item: JobView) -> str:
    if item.status == "failed":
        return item.message
    if not item.is_unfinished or not item.stage:
        return ""
    share = "" if item.fraction is None else f" {100 * item.fraction:.0f} %"
    left = duration_text(item.progress.get("seconds_left"))
    return f"{item.stage}{share}" + (f", {left} left" if left else "")
