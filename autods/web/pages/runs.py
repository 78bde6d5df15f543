"""The list of all runs, with the queue: sorted, filtered, renamed, compared, removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from nicegui import run, ui

from autods.core import UserError
from autods.web.jobs import Job, JobView
from autods.web.names import shown
from autods.web.run_index import Entry, is_of, read_counts
from autods.web.run_notes import Notes, write_notes
from autods.web.site import Site
from autods.web.trash import disk_bytes, remove
from autods.web.widgets.layout import (
    chip,
    confirm,
    duration_text,
    headed_table,
    later,
    page,
    panel,
    problem,
    size_text,
)

_PERIOD_S = 1.5
_PAGE = 50
_ORDERS: dict[str, tuple[str, Callable[[Entry], Any], bool]] = {
    "latest": ("latest first", lambda entry: entry.view.job.queued_at, True),
    "oldest": ("oldest first", lambda entry: entry.view.job.queued_at, False),
    "name": ("by name", lambda entry: name_of(entry).lower(), False),
    "count": ("most localizations first", lambda entry: _count(entry.view) or 0, True),
}


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/runs")
    def runs() -> None:
        with page("Runs", "/runs"), panel():
            RunsPage(site).draw()


def name_of(entry: Entry) -> str:
    """Return how a list calls a run: its title, else its movie."""
    return entry.notes.title or shown(Path(entry.view.job.movie).name)


class RunsPage:
    """One visitor's list."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._number = 0
        self._seen = -1
        self._chosen: dict[str, str] = {}
        self._size_labels: dict[str, ui.label] = {}
        self._sizes: dict[tuple[str, tuple[int, ...]], int] = {}

    def draw(self) -> None:
        """Show the controls, then the list as soon as it is read."""
        ui.label(
            "One run at a time uses a device; the others wait. Closing this page stops nothing."
        ).classes("soft")
        with ui.element("div").classes("line"):
            self._text = ui.input("Search movie, title, notes").props("dense outlined clearable")
            self._status = ui.select({"": "every status"}, value="", label="Status")
            self._order = ui.select(
                {key: item[0] for key, item in _ORDERS.items()}, value="latest", label="Order"
            )
            for control in (self._text, self._status, self._order):
                control.props("dense outlined options-dense").style("min-width:10rem")
                control.on_value_change(self._first_page)
            self._compare = ui.button("Compare", icon="compare", on_click=self._go_compare).props(
                "outline no-caps"
            )
        self._problem = problem("")
        self._list = ui.element("div").classes("stack w-full")
        with self._list:
            ui.label("Reading the runs ...").classes("soft").props('role="status"')
        with ui.element("nav").classes("line").props('aria-label="Pages of the list"'):
            self._back = ui.button("Previous", on_click=lambda: self._turn(-1)).props("flat dense no-caps")
            self._where = ui.label("").classes("soft")
            self._next = ui.button("Next", on_click=lambda: self._turn(1)).props("flat dense no-caps")
            ui.element("span").style("flex:1")
            ui.link("Trash", "/trash")
        self._dialog = ui.dialog()
        later(self._refresh)
        ui.timer(_PERIOD_S, self._refresh)

    async def _refresh(self) -> None:
        entries = await run.io_bound(self._site.index.entries)
        if entries is None or self._site.index.version == self._seen:
            return
        self._seen = self._site.index.version
        counts = read_counts(entries)
        self._status.set_options(
            {"": f"every status ({len(entries)})"}
            | {name: f"{name} ({count})" for name, count in sorted(counts.items())}
        )
        await self._show(entries)

    async def _first_page(self) -> None:
        self._number = 0
        await self._show(await run.io_bound(self._site.index.entries) or [])

    async def _turn(self, step: int) -> None:
        self._number += step
        await self._show(await run.io_bound(self._site.index.entries) or [])

    async def _show(self, entries: list[Entry]) -> None:
        _, key, is_reversed = _ORDERS[str(self._order.value)]
        text, status = str(self._text.value or ""), str(self._status.value or "")
        found = sorted(
            (entry for entry in entries if is_of(entry, text, status)), key=key, reverse=is_reversed
        )
        last = max((len(found) - 1) // _PAGE, 0)
        self._number = min(max(self._number, 0), last)
        part = found[self._number * _PAGE : (self._number + 1) * _PAGE]
        self._back.set_enabled(self._number > 0)
        self._next.set_enabled(self._number < last)
        first = self._number * _PAGE
        self._where.set_text(f"{first + 1 if part else 0} to {first + len(part)} of {len(found):,}")
        self._list.clear()
        with self._list:
            _table(part, self._row)
        self._count_chosen()
        sizes = await run.io_bound(self._measure, part)
        for entry in part if sizes else []:
            self._size_labels[entry.view.job.id].set_text(size_text((sizes or {})[entry.view.job.id]))

    def _measure(self, part: list[Entry]) -> dict[str, int]:
        """Count the bytes of the runs that are shown, of each as long as it stays as it is."""
        for entry in part:
            key = (entry.view.job.id, entry.stamp)
            if key not in self._sizes:
                self._sizes[key] = disk_bytes(entry.view.job.folder)
        return {entry.view.job.id: self._sizes[entry.view.job.id, entry.stamp] for entry in part}

    def _row(self, entry: Entry) -> None:
        item, job, name = entry.view, entry.view.job, name_of(entry)
        with ui.element("tr"):
            with ui.element("td"):
                box = ui.checkbox(value=job.id in self._chosen).props(
                    f'dense aria-label="Choose {_attribute(name)}"'
                )
                box.on_value_change(lambda event: self._choose(job, event.value))
            with ui.element("td"):
                chip(item.status, item.status)
            with ui.element("td").style("min-width:9rem"):
                ui.link(name, f"/run/{job.id}").classes("wrap")
                if entry.notes.text:
                    ui.label(entry.notes.text[:80]).classes("soft wrap")
            submitted = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.queued_at))
            for text in ("3D" if job.kind == "localize3d" else "2D", job.device, submitted, _stage(item)):
                with ui.element("td"):
                    ui.label(shown(text)).classes("wrap")
            with ui.element("td"):
                self._size_labels[job.id] = ui.label("").classes("soft")
            with ui.element("td"), ui.element("div").classes("line").style("gap:0;flex-wrap:nowrap"):
                for icon, told, act in (("edit", "Rename", self._edit), ("delete", "Remove", self._ask)):
                    button = ui.button(icon=icon, on_click=lambda act=act: act(entry)).props(
                        "flat dense round size=sm"
                    )
                    button.props(f'aria-label="{told} {_attribute(name)}"').tooltip(told)

    def _choose(self, job: Job, is_chosen: bool) -> None:
        if is_chosen:
            self._chosen[job.id] = job.id
        else:
            self._chosen.pop(job.id, None)
        self._count_chosen()

    def _count_chosen(self) -> None:
        self._compare.set_enabled(len(self._chosen) == 2)
        self._compare.set_text("Compare" if len(self._chosen) == 2 else "Compare (choose two)")

    def _go_compare(self) -> None:
        first, second = self._chosen
        ui.navigate.to(f"/compare?{urlencode({'a': first, 'b': second})}")

    def _edit(self, entry: Entry) -> None:
        folder = entry.view.job.folder
        self._dialog.clear()
        with self._dialog, ui.card().style("width:min(30rem,92vw)"):
            title = (
                ui.input("Title", value=entry.notes.title).props("autofocus outlined dense").classes("w-full")
            )
            text = ui.textarea("Notes", value=entry.notes.text).props("outlined dense").classes("w-full")

            async def save() -> None:
                notes = Notes(str(title.value or "").strip(), str(text.value or "").strip())
                await self._do(lambda: write_notes(folder, notes), entry)

            with ui.row():
                ui.button("Save", on_click=save).props("no-caps")
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
        self._dialog.open()

    def _ask(self, entry: Entry) -> None:
        async def put() -> None:
            await self._do(lambda: remove(entry.view.job), entry)

        confirm(f"Put {name_of(entry)} into the trash? It can be taken back from there.", "Remove", put)

    async def _do(self, work: Callable[[], None], entry: Entry) -> None:
        """Change a run, and show the list anew or what is wrong."""
        self._dialog.close()
        try:
            await run.io_bound(work)
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        self._problem.set_text("")
        self._site.store.note_written(entry.view.job.id)
        await self._refresh()


def _table(part: list[Entry], row: Callable[[Entry], None]) -> None:
    if not part:
        ui.label("No runs here.").classes("soft")
        ui.link("Choose a movie", "/")
        return
    with headed_table("", "Status", "Run", "Kind", "Device", "Submitted", "Stage", "Disk", ""):
        for entry in part:
            row(entry)


def _attribute(text: str) -> str:
    return text.replace('"', "").replace("\\", "")


def _count(item: JobView) -> int | None:
    count = item.run.get("results", {}).get("localizations")
    return count if isinstance(count, int) else None


def _stage(item: JobView) -> str:
    if item.status == "failed":
        return item.message
    if item.status == "done":
        count = _count(item)
        return "" if count is None else f"{count:,} localizations"
    if not item.is_unfinished or not item.stage:
        return ""
    share = "" if item.fraction is None else f" {100 * item.fraction:.0f} %"
    left = duration_text(item.progress.get("seconds_left"))
    return f"{item.stage}{share}" + (f", {left} left" if left else "")
