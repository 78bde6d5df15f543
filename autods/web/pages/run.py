"""The page of a run: progress while it goes on, then the result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nicegui import run, ui

from autods.core import UserError
from autods.pipelines.shown_rows import Look
from autods.web.jobs import Job, JobView, log_text
from autods.web.names import shown
from autods.web.pages.stepper import Stepper
from autods.web.progress3d import Progress3D, load_progress, save_progress
from autods.web.result_routes import COLORS, live_address, look_query
from autods.web.routes import movie_address
from autods.web.site import Site
from autods.web.steps3d import values_of
from autods.web.trash import disk_bytes, remove
from autods.web.widgets.downloads import downloads
from autods.web.widgets.layout import (
    chip,
    confirm,
    duration_text,
    error_panel,
    later,
    page,
    panel,
    size_text,
    waiting,
)
from autods.web.widgets.result import show_result
from autods.web.widgets.tile_viewer import TileViewer

_PERIOD_S = 1.0


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/run/{job_id}")
    def run_page(job_id: str, at: str = "") -> None:
        with page(title_of(job_id), "/runs"), ui.element("div").classes("stack w-full") as content:
            waiting("Reading the run ...", "/runs")

            async def fill() -> None:
                try:
                    now = await run.io_bound(site.view, job_id)
                except UserError as error:
                    content.clear()
                    with content:
                        error_panel("There is no such run", shown(str(error)))
                    return
                assert now is not None
                content.clear()
                with content:
                    await RunPage(site, now, at).draw()

            later(fill)


def _so_far(now: JobView) -> str:
    """Tell how far in the movie a run is."""
    done, total = now.progress.get("done"), now.progress.get("total")
    if not isinstance(done, int | float) or not now.stage.startswith(("localize", "follow")):
        return ""
    if not total:
        return f" in the first {done:,.0f} frames of a movie that still grows"
    return f" in {done:,.0f} of {total:,.0f} frames"


def title_of(job_id: str) -> str:
    """Return the name of the movie in the name of a run: ``DATE-TIME_NAME_RANDOM``."""
    return job_id.partition("_")[2].rpartition("_")[0] or job_id


class RunPage:
    """One visitor's view of a run.

    Parameters
    ----------
    site
        What all pages share.
    now
        The run.
    at
        What of the result was looked at, from the page's address.
    """

    def __init__(self, site: Site, now: JobView, at: str) -> None:
        self._site, self._first, self._id, self._at = site, now, now.job.id, at
        self._result_of: float | None = None
        self._files_of: object = None
        self._stepper: Stepper | None = None
        self._is_busy = False
        self._live: TileViewer | None = None
        self._live_version = 0

    async def draw(self) -> None:
        """Show everything and keep it up to date."""
        now = self._first
        with panel():
            self._status_lines()
        with panel("Found so far") as self._live_panel:
            self._live_text = ui.label("").classes("soft").props('role="status"')
            self._live_box = ui.element("div").classes("w-full live")
        self._live_panel.set_visibility(False)
        with panel("Result") as self._result_panel:
            self._result = ui.element("div").classes("w-full")
        if now.job.kind == "localize3d":
            self._stepper = Stepper(self._site, now)
            with ui.element("div").classes("stack w-full") as steps:
                waiting("Opening the movie ...", "/runs")

                async def fill() -> None:
                    assert self._stepper is not None
                    await self._stepper.draw(steps)

                later(fill)
        self._files_panel = ui.element("div").classes("columns even")
        with self._files_panel:
            with panel("Files"):
                self._files = ui.element("div").classes("stack")
            with panel("Repeat it"):
                ui.label("The same run as a command:").classes("soft")
                self._command(now.job)
        with panel():
            self._log_box = ui.expansion("Log").classes("w-full")
        with self._log_box, ui.element("pre").classes("log").props('tabindex="0" aria-label="Log"'):
            self._log = ui.label("").style("white-space:pre-wrap")
        self._log_box.on_value_change(self._refresh_log)
        await self._refresh()
        ui.timer(_PERIOD_S, self._refresh)

    def _status_lines(self) -> None:
        with ui.element("div").classes("line"):
            self._chip = chip("")
            self._stage = ui.label("").props('role="status"')
            self._left = ui.label("").classes("soft")
            self._stop = ui.button("Stop", icon="stop", on_click=self._stop_run).props("outline no-caps")
            self._kill = ui.button("End at once", on_click=self._kill_run).props(
                "flat no-caps color=negative"
            )
            self._resume = ui.button("Go on", icon="play_arrow", on_click=self._go_on).props("no-caps")
            self._size = ui.label("").classes("soft")
            self._remove = ui.button("Remove", icon="delete", on_click=self._ask_remove)
            self._remove.props("flat no-caps")
        self._bar = ui.linear_progress(value=0, show_value=False).props(
            'instant-feedback aria-label="Progress"'
        )
        self._message = ui.label("").classes("notice bad").props('role="alert"')
        self._warnings = ui.element("div").classes("stack").style("gap:.4rem")
        self._warnings.set_visibility(False)
        self._warned: list[str] = []

    def _command(self, job: Job) -> None:
        with ui.element("div").classes("line"):
            ui.link("Its movie", movie_address(job.movie))
            if job.kind == "localize":
                ui.link("Run again with changes", movie_address(job.movie, like=job.id))
            else:
                again = ui.button("Run again with changes", on_click=self._again_3d)
                again.props("flat dense no-caps")
        with ui.element("code").classes("command"):
            self._command_text = ui.label(shown(job.command))

        def copy() -> None:
            ui.clipboard.write(self._command_text.text)
            ui.notify("Copied")

        ui.button("Copy", icon="content_copy", on_click=copy).props("flat dense no-caps")

    def _again_3d(self) -> None:
        """Go to a draft with the entries of this run, which stays as it is."""
        job = self._site.view(self._id).job
        kept = values_of(job.arguments)
        try:
            draft = self._site.store.create("localize3d", Path(job.movie), [job.movie], "cpu", queue=False)
            # A run that was never started has its entries in its form alone.
            values = kept or load_progress(job.folder).values
            save_progress(draft.folder, Progress3D(values, {}))
        except UserError as error:
            ui.notify(shown(str(error)), type="negative", multi_line=True)
            return
        ui.navigate.to(f"/run/{draft.id}")

    async def _refresh(self) -> None:
        if self._is_busy:
            return
        self._is_busy = True
        try:
            now = await run.io_bound(self._site.view, self._id)
        except UserError:
            return
        finally:
            self._is_busy = False
        assert now is not None
        self._show_status(now)
        self._refresh_log()
        if self._stepper is not None:
            self._stepper.refresh(now)
        await self._show_live(now)
        changed = self._site.results.version(now.job)
        is_there = now.status == "done" and changed > 0
        self._result_panel.set_visibility(is_there)
        self._files_panel.set_visibility(now.status not in ("queued", "draft"))
        version = changed if is_there else 0.0
        if self._files_of != (version, now.status, now.stage):
            self._files_of = (version, now.status, now.stage)
            self._files.clear()
            with self._files:
                downloads(now.job)
            n_bytes = await run.io_bound(disk_bytes, now.job.folder)
            self._size.set_text("" if now.is_unfinished else f"{size_text(n_bytes or 0)} on disk")
        if self._result_of != version:
            self._result_of = version
            self._result.clear()
            if is_there:
                with self._result:
                    self._result_later(now.job)

    async def _show_live(self, now: JobView) -> None:
        """Draw what a run that goes on has found, when there is more of it."""
        if now.status != "running":
            self._live_panel.set_visibility(False)
            self._live_box.clear()
            self._live, self._live_version = None, 0
            return
        live = await run.io_bound(self._site.results.live, now.job)
        if live is None or live.painter is None or not live.count:
            return
        self._live_panel.set_visibility(True)
        self._live_text.set_text(
            f"{live.count:,} localizations{_so_far(now)}, before filter, drift and linking"
        )
        if self._live_version == live.version:
            return
        self._live_version = live.version
        table, painter = live.painter.table, live.painter
        if self._live is None:
            with self._live_box:
                self._live = TileViewer("Found so far", live_address(now.job)).classes("w-full")
        self._live.set_field(table.shape_nm, painter.level_0_nm, painter.levels)
        look = Look(colors="depth" if table.is_3d else COLORS[0])
        self._live.show(look_query(look, "localizations", live.version), table.depth_range_nm)

    def _result_later(self, job: Job) -> None:
        """Show the result when it is ready; the rest of the page does not wait for it."""

        async def fill() -> None:
            await show_result(job, self._site.results, self._at, self._result)

        later(fill)

    def _show_status(self, now: JobView) -> None:
        self._chip.set_text(now.status)
        self._chip.classes(replace=f"chip {now.status}")
        self._stage.set_text(self._stage_text(now))
        left = duration_text(now.progress.get("seconds_left"))
        self._left.set_text(f"about {left} left" if left else "")
        self._bar.set_visibility(now.status in ("running", "stopping"))
        self._bar.props["indeterminate"] = now.fraction is None
        self._bar.value = now.fraction or 0.0
        self._stop.set_visibility(now.status in ("queued", "running"))
        self._kill.set_visibility(now.status == "stopping")
        self._remove.set_visibility(not now.is_unfinished)
        self._resume.set_visibility(now.status in ("interrupted", "failed", "withdrawn"))
        self._command_text.set_text(shown(now.job.command))
        self._message.set_text(now.message)
        self._message.set_visibility(bool(now.message))
        warnings = [str(text) for text in now.run.get("warnings", [])] if now.status == "done" else []
        if warnings != self._warned:
            self._warned = warnings
            self._warnings.clear()
            self._warnings.set_visibility(bool(warnings))
            with self._warnings:
                for text in warnings:
                    ui.label(text).classes("notice")

    def _stage_text(self, now: JobView) -> str:
        if now.status == "queued":
            before = self._site.queue.position(now.job)
            return (
                f"waits for {before} other run{'s' * (before > 1)} on {now.job.device}"
                if before
                else "starts"
            )
        if now.status == "done":
            found = now.run.get("results", {}).get("localizations")
            seconds = duration_text(now.run.get("seconds"))
            return (
                f"{found:,} localizations in {seconds}"
                if isinstance(found, int)
                else f"finished in {seconds}"
            )
        if now.status == "draft":
            return "Enter what is known, then run all steps at once or one by one."
        if now.status == "interrupted":
            return "stopped: what was finished is kept"
        if now.status == "stopping":
            return "stops after the step at hand"
        if not now.is_unfinished:
            return ""
        if not now.stage:
            return "starts"
        share = "" if now.fraction is None else f": {100 * now.fraction:.0f} %"
        done, total = now.progress.get("done"), now.progress.get("total")
        steps = f" ({done} of {total})" if total else ""
        return f"{now.stage}{share}{steps}"

    def _refresh_log(self) -> None:
        if self._log_box.value:
            job = self._site.view(self._id).job
            self._log.set_text(self._site.fresh(("log", self._id), lambda: log_text(job)) or "Nothing yet.")

    async def _stop_run(self) -> None:
        await self._site.stop(self._site.view(self._id).job)
        await self._refresh()

    async def _kill_run(self) -> None:
        await self._site.stop(self._site.view(self._id).job, kill=True)
        await self._refresh()

    def _ask_remove(self) -> None:
        async def put() -> None:
            job = self._site.view(self._id).job
            try:
                await run.io_bound(remove, job)
            except UserError as error:
                ui.notify(shown(str(error)), type="negative", multi_line=True)
                return
            self._site.store.note_written(job.id)
            ui.navigate.to("/runs")

        confirm("Put this run into the trash? It can be taken back from there.", "Remove", put)

    async def _go_on(self) -> None:
        now = self._site.view(self._id)
        try:
            if now.job.kind == "localize3d":
                state = load_progress(now.job.folder)
                save_progress(now.job.folder, dataclasses.replace(state, finished_with=state.finished(now)))
            await self._site.resume(now.job)
        except UserError as error:
            ui.notify(shown(str(error)), type="negative", multi_line=True)
        await self._refresh()
