"""The trash: removed runs, what they take of the disk, the way back and the way out."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import run, ui

from autods.core import UserError
from autods.web.names import shown
from autods.web.site import Site
from autods.web.trash import Removed, delete, removed_runs, restore
from autods.web.widgets.layout import confirm, headed_table, later, page, panel, problem, size_text


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/trash")
    def trash() -> None:
        with page("Trash", "/runs"), panel():
            TrashPage(site).draw()


class TrashPage:
    """One visitor's view of the trash."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def draw(self) -> None:
        """Show what is removed, as soon as it is read."""
        self._total = ui.label("Reading the trash ...").props('role="status"')
        self._problem = problem("")
        self._list = ui.element("div").classes("stack w-full")
        later(self._show)

    async def _show(self) -> None:
        found = await run.io_bound(removed_runs, self._site.store.folder) or []
        size = size_text(sum(item.n_bytes for item in found))
        runs = f"{len(found):,} run{'s' * (len(found) != 1)}, {size} on disk"
        self._total.set_text(runs if found else "The trash is empty.")
        self._list.clear()
        if not found:
            return
        with self._list:
            with headed_table("Run", "Removed", "Disk", ""):
                for item in found:
                    self._row(item)
            everything = f"Delete all {runs} for good? This cannot be undone."
            ui.button("Empty the trash", on_click=lambda: self._ask(everything, found)).props(
                "flat no-caps color=negative"
            ).style("align-self:start")

    def _row(self, item: Removed) -> None:
        with ui.element("tr"):
            for text in (item.run, item.when, size_text(item.n_bytes)):
                with ui.element("td"):
                    ui.label(shown(text)).classes("wrap")
            with ui.element("td"), ui.element("div").classes("line").style("flex-wrap:nowrap"):
                ui.button("Restore", on_click=lambda: self._restore(item)).props("dense flat no-caps")
                question = f"Delete {shown(item.run)} for good? This cannot be undone."
                ui.button("Delete", on_click=lambda: self._ask(question, [item])).props(
                    "dense flat no-caps color=negative"
                )

    async def _restore(self, item: Removed) -> None:
        await self._do(lambda: self._site.store.note_written(restore(self._site.store.folder, item.name)))

    def _ask(self, question: str, items: list[Removed]) -> None:
        def work() -> None:
            for item in items:
                delete(self._site.store.folder, item.name)

        async def go() -> None:
            await self._do(work)

        confirm(question, "Delete for good", go)

    async def _do(self, work: Callable[[], None]) -> None:
        """Change the trash, and show it anew or what is wrong."""
        self._problem.set_text("")
        try:
            await run.io_bound(work)
        except UserError as error:
            self._problem.set_text(shown(str(error)))
        await self._show()
