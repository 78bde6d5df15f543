"""The page of a run: progress while it goes on, then the result."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui

from autods.core import UserError
from autods.web.jobs import Job, JobView, log_text
from autods.web.names import shown
from autods.web.pages.stepper import Stepper
from autods.web.routes import Pictures
from autods.web.run_files import modified
from autods.web.site import Site
from autods.web.widgets.layout import chip, duration_text, error_page, page, panel
from autods.web.widgets.result import downloads, show_result

_PERIOD_S = 1.0


def add_pages(site: Site, pictures: Pictures) -> None:
    """Add the page to the server."""

    @ui.page("/run/{job_id}")
    async def run(job_id: str) -> None:
        try:
            job = site.view(job_id).job
        except UserError as error:
            error_page("There is no such run", shown(str(error)))
            return
        with page(shown(Path(job.movie).name), "/runs"):
            await RunPage(site, pictures, job.id).draw()


class RunPage:
    """One visitor's view of a run.

    Parameters
    ----------
    site, pictures
        What all pages share.
    job_id
        The run.
    """

    def __init__(self, site: Site, pictures: Pictures, job_id: str) -> None:
        self._site, self._pictures, self._id = site, pictures, job_id
        self._result_of: float | None = None
        self._files_of: object = None
        self._stepper: Stepper | None = None

    async def draw(self) -> None:
        """Show everything and keep it up to date."""
        now = self._site.view(self._id)
        with panel():
            self._status_lines()
        if now.job.kind == "localize3d":
            self._stepper = Stepper(self._site, now)
            await self._stepper.draw()
        with panel("Result") as self._result_panel:
            self._result = ui.element("div").classes("w-full")
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
        self._bar = ui.linear_progress(value=0, show_value=False).props(
            'instant-feedback aria-label="Progress"'
        )
        self._message = ui.label("").classes("notice bad").props('role="alert"')
        self._warnings = ui.element("div").classes("stack").style("gap:.4rem")
        self._warned: list[str] = []

    def _command(self, job: Job) -> None:
        with ui.element("code").classes("command"):
            self._command_text = ui.label(shown(job.command))

        def copy() -> None:
            ui.clipboard.write(self._command_text.text)
            ui.notify("Copied")

        ui.button("Copy", icon="content_copy", on_click=copy).props("flat dense no-caps")

    async def _refresh(self) -> None:
        try:
            now = self._site.view(self._id)
        except UserError:
            return
        self._show_status(now)
        self._refresh_log()
        if self._stepper is not None:
            self._stepper.refresh(now)
        changed = modified(now.job.folder, "localizations.csv")
        is_there = now.status == "done" and changed > 0
        self._result_panel.set_visibility(is_there)
        self._files_panel.set_visibility(now.status not in ("queued", "draft"))
        version = changed if is_there else 0.0
        if self._files_of != (version, now.status, now.stage):
            self._files_of = (version, now.status, now.stage)
            self._files.clear()
            with self._files:
                downloads(now.job)
        if self._result_of != version:
            self._result_of = version
            self._result.clear()
            if is_there:
                with self._result:
                    await show_result(now.job, self._pictures)

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
        self._resume.set_visibility(now.status in ("interrupted", "failed", "withdrawn"))
        self._command_text.set_text(shown(now.job.command))
        self._message.set_text(now.message)
        self._message.set_visibility(bool(now.message))
        warnings = [str(text) for text in now.run.get("warnings", [])] if now.status == "done" else []
        if warnings != self._warned:
            self._warned = warnings
            self._warnings.clear()
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

    async def _go_on(self) -> None:
        await self._site.resume(self._site.view(self._id).job)
        await self._refresh()
