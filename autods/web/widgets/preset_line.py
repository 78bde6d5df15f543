"""Saved microscopes and cameras above a form."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from autods.core import UserError
from autods.web.presets import PresetKind, Presets
from autods.web.widgets.form import Form

_NAMES = {"optics": "microscope", "camera": "camera"}


def preset_line(presets: Presets, kind: PresetKind, form: Callable[[], Form]) -> None:
    """Show a list of saved sets of values, and a button that saves the present ones."""
    what = _NAMES[kind]

    def take() -> None:
        if choice.value:
            form().set(presets.get(kind, str(choice.value)))

    def save() -> None:
        try:
            # Guesses stay guesses: what was measured or assumed here is not true of the next movie.
            presets.save(kind, str(name.value or ""), form().values())
        except UserError as error:
            ui.notify(str(error), type="negative")
            return
        choice.set_options(presets.names(kind), value=str(name.value).strip())
        dialog.close()

    with ui.dialog() as dialog, ui.card():
        name = ui.input(f"Name of this {what}").props("autofocus").on("keydown.enter", save)
        with ui.row():
            ui.button("Save", on_click=save).props("no-caps")
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
    with ui.element("div").classes("line w-full"):
        names = presets.names(kind)
        choice = ui.select(names, label=f"Saved {what}s" if names else f"No saved {what} yet", on_change=take)
        choice.props("dense outlined options-dense").style("flex:1;min-width:9rem")
        ui.button("Save as ...", on_click=dialog.open).props("flat dense no-caps")
