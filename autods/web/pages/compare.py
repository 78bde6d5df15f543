"""Two results side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import run, ui

from autods.core import UserError
from autods.web.jobs import Job
from autods.web.names import shown
from autods.web.pages.run import title_of
from autods.web.site import Site
from autods.web.widgets.layout import heading, later, page, panel, problem, text_table
from autods.web.widgets.result import show_result


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/compare")
    def compare(a: str = "", b: str = "") -> None:
        with page("Compare two runs", "/runs"):
            rows = ui.element("div").classes("w-full")
            with ui.element("div").classes("columns even compared"):
                for job_id in (a, b):
                    with panel():
                        heading(title_of(job_id), 2)
                        ui.link("The run", f"/run/{job_id}")
                        place = ui.element("div").classes("w-full")
                    later(_filling(site, job_id, place))
            later(_differing(site, a, b, rows))


def _filling(site: Site, job_id: str, place: ui.element) -> Callable[[], Awaitable[None]]:
    async def fill() -> None:
        try:
            job = await run.io_bound(site.store.load, job_id)
        except UserError as error:
            with place:
                problem(shown(str(error)))
            return
        assert job is not None
        await show_result(job, site.results, "", place, keeps_address=False)

    return fill


def _differing(site: Site, a: str, b: str, place: ui.element) -> Callable[[], Awaitable[None]]:
    """Show the settings in which two runs differ."""

    async def fill() -> None:
        try:
            jobs = [await run.io_bound(site.store.load, job_id) for job_id in (a, b)]
        except UserError:
            return
        first, second = (_settings(job) for job in jobs if job is not None)
        rows = [(key, first.get(key, ""), second.get(key, "")) for key in sorted({*first, *second})]
        with place, panel("What differs"), ui.element("div").classes("wide-table"):
            different = [row for row in rows if row[1] != row[2]]
            if not different:
                ui.label("Nothing that was given.").classes("soft")
            text_table([shown(text or "default") for text in row] for row in different)

    return fill


def _settings(job: Job) -> dict[str, str]:
    words = (word.partition("=") for word in job.arguments[1:] if "=" in word)
    return {"movie": job.movie, **{key: value for key, _, value in words}}
