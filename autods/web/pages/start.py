"""The start page: choose a movie, or look at a recent run."""

from __future__ import annotations

import time
from pathlib import Path

from nicegui import run, ui

from autods.io.movie import MOVIE_FORMATS
from autods.web.jobs import JobView
from autods.web.names import shown
from autods.web.routes import movie_address
from autods.web.site import Site
from autods.web.widgets.files import FileChooser, uploader
from autods.web.widgets.layout import chip, later, page, panel

_RECENT = 8


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/")
    def start() -> None:
        with page("Reconstruct a movie", "/"), ui.element("div").classes("columns"):
            with panel("Choose a movie on the server"):
                ui.label(f"{MOVIE_FORMATS}. Large movies are not copied.").classes("soft")
                FileChooser(site, lambda path: ui.navigate.to(movie_address(path)))
            with ui.element("div").classes("stack"):
                with panel("Or upload a small one"):
                    uploader(site, lambda path: ui.navigate.to(movie_address(path)))
                with panel("Recent runs"):
                    place = ui.element("div").classes("stack")

                async def fill() -> None:
                    views = await run.io_bound(site.index.entries) or []
                    with place:
                        _recent([entry.view for entry in views[:_RECENT]])

                later(fill)


def _recent(views: list[JobView]) -> None:
    if not views:
        ui.label("None yet. Runs appear here once you start one, and stay.").classes("soft")
        return
    for item in views:
        with ui.element("div").classes("line"):
            chip(item.status, item.status)
            ui.link(shown(Path(item.job.movie).name), f"/run/{item.job.id}").classes("wrap")
            ui.label(time.strftime("%Y-%m-%d %H:%M", time.localtime(item.job.queued_at))).classes("soft")
    ui.link("All runs", "/runs")
