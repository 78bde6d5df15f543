"""Where the PSF of a 3D run comes from: a file of the data folders, an earlier run, or a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from nicegui import ui

from autods.core import UserError
from autods.web.names import shown
from autods.web.run_files import file_stat
from autods.web.site import Site
from autods.web.steps3d import SOURCE, SOURCE_PATH, SOURCES, named_psfs
from autods.web.widgets.files import FileChooser, uploader
from autods.web.widgets.layout import problem

_MOST_RUNS = 50


class SourceEntry:
    """A choice of the kind, and of the file or run."""

    def __init__(self, site: Site, values: Mapping[str, str], on_change: Callable[[], None]) -> None:
        self._site, self._on_change = site, on_change
        self._path = values.get(SOURCE_PATH, "")
        options = {**SOURCES, **{name: f"ready-made: {name}" for name in named_psfs()}}
        self._kind = ui.select(options, value=values.get(SOURCE, "--beads"), label="PSF from")
        self._kind.props("dense outlined options-dense").classes("w-full").mark("source")
        with ui.element("div").classes("line w-full"):
            self._button = ui.button("Choose ...", icon="folder_open", on_click=self._open)
            self._button.props("no-caps outline dense")
            self._label = ui.label("").classes("wrap soft")
        self._problem = problem("")
        self._dialog = ui.dialog()
        self._show()
        self._kind.on_value_change(self._changed)

    def values(self) -> dict[str, str]:
        """Return kind and path."""
        return {SOURCE: str(self._kind.value), SOURCE_PATH: self._path if self._needs_path else ""}

    def replace(self, values: Mapping[str, str]) -> None:
        """Show another choice."""
        self._kind.value = values.get(SOURCE, "--beads")
        self._path = values.get(SOURCE_PATH, "")
        self._show()

    @property
    def _needs_path(self) -> bool:
        return self._kind.value in SOURCES

    def _changed(self) -> None:
        self._path = ""
        self._show()
        self._on_change()

    def _show(self) -> None:
        self._button.set_visibility(self._needs_path)
        text = shown(Path(self._path).name) if self._path else "nothing chosen yet"
        self._label.set_text(text if self._needs_path else "")

    def _open(self) -> None:
        self._dialog.clear()
        with self._dialog, ui.card().style("width:min(46rem,92vw);max-width:none"):
            ui.label(SOURCES[str(self._kind.value)]).classes("text-h6")
            if self._kind.value == "--run":
                self._runs()
            else:
                FileChooser(self._site, self._take)
                uploader(self._site, self._take)
            ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
        self._dialog.open()

    def _runs(self) -> None:
        trained = [
            entry.view.job
            for entry in self._site.index.entries()
            if entry.view.job.kind == "localize3d" and file_stat(entry.view.job.folder, "model/card.yaml")
        ][:_MOST_RUNS]
        if not trained:
            ui.label("No 3D run has a trained network yet.").classes("soft")
        for job in trained:
            ui.button(job.id, on_click=lambda job=job: self._take(job.folder)).props("flat no-caps")

    def _take(self, path: Path) -> None:
        try:
            self._path = str(self._site.roots.resolve(path))
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        self._problem.set_text("")
        self._dialog.close()
        self._show()
        self._on_change()
