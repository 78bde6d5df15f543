"""Choosing a file of the data folders, and uploading small ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nicegui import events, run, ui

from autods.core import UserError
from autods.io.atomic import atomic_path
from autods.web.names import shown
from autods.web.roots import Entry, safe_name
from autods.web.site import Site
from autods.web.widgets.layout import later, problem, size_text


class FileChooser:
    """The entries of a folder, of the first data folder to begin with; a click on a file chooses it."""

    def __init__(self, site: Site, on_choose: Callable[[Path], None]) -> None:
        self._site, self._on_choose = site, on_choose
        self._folder = site.roots.folders[0]
        self._box = ui.element("div").classes("stack").style("gap:.5rem")
        with self._box:
            ui.label("Reading the folder ...").classes("soft").props('role="status"')
        later(self._draw)

    async def _open(self, folder: Path) -> None:
        self._folder = folder
        await self._draw()

    async def _draw(self) -> None:
        folder = self._folder
        try:
            entries: list[Entry] | UserError = await run.io_bound(self._site.roots.listing, folder) or []
        except UserError as error:
            entries = error
        if folder != self._folder:  # meanwhile another one was opened
            return
        self._box.clear()
        with self._box:
            self._path_line()
            if isinstance(entries, UserError):
                problem(shown(str(entries)))
                return
            with ui.element("div").classes("files").props('role="list"'):
                if not entries:
                    ui.label("This folder is empty.").classes("soft q-pa-md")
                for entry in entries:
                    self._entry(entry.path, entry.is_folder, entry.n_bytes, entry.modified)

    def _path_line(self) -> None:
        roots = self._site.roots.folders
        with ui.element("div").classes("line"):
            if len(roots) > 1:
                for root in roots:
                    ui.button(shown(root.name or str(root)), on_click=lambda r=root: self._open(r)).props(
                        "flat dense"
                    )
            if self._folder.resolve() not in roots:
                ui.button("Up", icon="arrow_upward", on_click=lambda: self._open(self._folder.parent)).props(
                    "flat dense"
                )
            ui.label(shown(self._folder)).classes("soft wrap")
            if self._folder.resolve() not in roots:
                ui.button("Take this folder as one movie", on_click=lambda: self._choose(self._folder)).props(
                    "flat dense"
                )

    def _entry(self, path: Path, is_folder: bool, n_bytes: int, modified: float) -> None:
        is_movie = path.suffix.lower() == ".zarr"
        target = self._choose if not is_folder or is_movie else self._open
        with ui.element("div").props('role="listitem"'):
            row = ui.element("button").props('type="button"').on("click", lambda: target(path))
        with row:
            ui.icon("folder" if is_folder else "description").props('aria-hidden="true"')
            ui.label(shown(path.name)).classes("name")
            ui.label("" if is_folder else size_text(n_bytes)).classes("size")
            ui.label(time.strftime("%Y-%m-%d %H:%M", time.localtime(modified))).classes("size")

    def _choose(self, path: Path) -> None:
        self._on_choose(path)


def uploader(site: Site, on_done: Callable[[Path], None]) -> None:
    """Show where small files can be dropped; each goes to the upload folder under a name of its own."""
    most = site.max_upload_bytes

    async def receive(event: events.UploadEventArguments) -> None:
        target = site.uploads / f"{time.strftime('%Y%m%d-%H%M%S')}_{safe_name(event.file.name)}"
        try:
            with atomic_path(site.roots.inside(target)) as part:
                await event.file.save(part)
        except UserError as error:
            ui.notify(shown(str(error)), type="negative", multi_line=True)
            return
        on_done(target)

    def refuse() -> None:
        ui.notify(
            f"Larger than {size_text(most)}: put the file into the data folder instead.",
            type="negative",
            multi_line=True,
        )

    ui.upload(
        label=f"Drop a file here, or + to upload (up to {size_text(most)})",
        on_upload=receive,
        on_rejected=refuse,
        max_file_size=most,
        auto_upload=True,
    ).props("flat bordered").classes("w-full").style("max-width:none")
