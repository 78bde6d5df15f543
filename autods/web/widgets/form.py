"""Entries of a form: checked while typing, with the source of each value and guesses marked as guesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.value_element import ValueElement

from autods.core import UserError
from autods.pipelines.definitions import DEVICE
from autods.web.fields import DEVICES, Field, words

#: Characters of a choice that fit into half of the width.
_NARROW = 22
_LEADING_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True)
class Suggestion:
    """A value that the program would use by itself, or that a person confirmed, and where it comes from."""

    text: str
    source: str
    is_confirmed: bool = False

    @property
    def is_guess(self) -> bool:
        """Whether neither the user nor the file says so."""
        return self.source.startswith("guess")


def suggestion(value: str, source: str) -> Suggestion:
    """Read a row of ``profile.json``'s instrument: ``100 nm``, ``metadata (ImageJ tags)``."""
    number = _LEADING_NUMBER.match(value)
    if source.startswith("metadata"):
        shown = source.replace("metadata", "from the file", 1)
    else:
        shown = f"guess: {source}"
    return Suggestion(number[0] if number else "", shown)


class Form:
    """Entries for a list of fields.

    What equals the suggestion is not sent to the command, which finds it by itself: so the shown command
    stays as short as a person would write it.

    Parameters
    ----------
    fields
        The fields.
    values
        What to show at first, by key.
    on_change
        Called after each change.
    headings
        What stands above an entry, by key.
    suggestions
        What the program would use, shown from the start where ``values`` has nothing. A value that is set
        later, before the browser has connected, would overwrite what is typed meanwhile.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        values: Mapping[str, str] | None = None,
        on_change: Callable[[], None] = lambda: None,
        headings: Mapping[str, str] | None = None,
        suggestions: Mapping[str, Suggestion] | None = None,
    ) -> None:
        self.fields = tuple(fields)
        self._inputs: dict[str, ValueElement[Any]] = {}
        self._suggested = dict(suggestions or {})
        self._touched: set[str] = set()
        self._on_change = on_change
        for field in self.fields:
            given = (values or {}).get(field.key, "")
            suggested = self._suggested.get(field.key, Suggestion("", ""))
            shown = given or suggested.text
            if headings and field.key in headings:
                ui.label(headings[field.key]).classes("group")
            self._inputs[field.key] = (
                self._choice(field, shown) if field.kind == "choice" else self._text(field, shown)
            )
            if shown:
                self._marked(field, shown)

    def _choice(self, field: Field, shown: str) -> ValueElement[Any]:
        element = ui.select(field.choices, value=shown, label=field.caption)
        element.on_value_change(lambda: self._changed(field))
        if max(map(len, field.choices.values())) > _NARROW:
            element.style("grid-column: 1 / -1")
        return element.props("dense outlined options-dense").mark(field.key)

    def _text(self, field: Field, shown: str) -> ValueElement[Any]:
        element = ui.input(field.caption, value=shown, validation=field.problem)
        element.props(f'dense outlined hint="{_hint(field)}" data-key="{field.key}" autocomplete=off')
        element.on_value_change(lambda: self._changed(field))
        return element

    def _changed(self, field: Field) -> None:
        text = str(self._inputs[field.key].value or "").strip()
        if text:
            self._marked(field, text)
        else:
            self._touched.discard(field.key)
            self._mark(field, _hint(field), is_guess=False)
        self._on_change()

    def _marked(self, field: Field, text: str) -> None:
        """Note whether an entry goes into the command, and say where it comes from."""
        suggested = self._suggested.get(field.key)
        is_suggested = suggested is not None and text == suggested.text
        if suggested is not None and is_suggested:
            self._mark(field, suggested.source, is_guess=suggested.is_guess)
        else:
            self._mark(field, "given", is_guess=False)
        if is_suggested and not (suggested and suggested.is_confirmed):
            self._touched.discard(field.key)
        else:
            self._touched.add(field.key)

    def _mark(self, field: Field, text: str, *, is_guess: bool) -> None:
        element = self._inputs[field.key]
        if field.kind == "choice":
            return
        colour = "amber-1" if is_guess else None
        if (element.props.get("hint"), element.props.get("bg-color")) == (text, colour):
            return  # an update sends the value, too, over what is being typed
        element.props["hint"] = text
        element.props["bg-color"] = colour
        element.update()

    def suggest(self, suggestions: Mapping[str, Suggestion]) -> None:
        """Fill in what the program would use; what people entered stays."""
        for field in self.fields:
            found = suggestions.get(field.key)
            # What a person confirmed of the camera is no guess.
            if found is None or (field.key in self._suggested and self._suggested[field.key].is_confirmed):
                continue
            self._suggested[field.key] = found
            if field.key not in self._touched and found.text:
                self._inputs[field.key].value = found.text
                self._mark(field, found.source, is_guess=found.is_guess)

    def set(self, values: Mapping[str, str]) -> None:
        """Enter values as a person would: of a preset, or of a drawn region."""
        for key, text in values.items():
            if key in self._inputs:
                self._inputs[key].value = text

    def replace(self, values: Mapping[str, str]) -> None:
        """Show other entries in the place of all that people entered."""
        for key, element in self._inputs.items():
            suggested = self._suggested.get(key, Suggestion("", "")).text
            text = values.get(key, "") or suggested
            if str(element.value or "") != text:
                element.value = text

    def values(self) -> dict[str, str]:
        """Return what people entered, by key."""
        return {
            key: str(self._inputs[key].value or "").strip() for key in self._inputs if key in self._touched
        }

    def all_values(self) -> dict[str, str]:
        """Return all entries, suggestions too."""
        return {key: str(element.value or "").strip() for key, element in self._inputs.items()}

    def words(self) -> list[str]:
        """Return the words of the command.

        Raises `UserError` if an entry does not fit.
        """
        return words(self.fields, self.values())

    def problem(self) -> str | None:
        """Tell the first thing that is wrong; None when nothing is."""
        try:
            self.words()
        except UserError as error:
            return str(error)
        return None


def _hint(field: Field) -> str:
    return f"empty: {field.usual}" if field.usual else ""


def device_entry(device: str, on_change: Callable[[], None]) -> ui.select:
    """Offer the devices, and one of several that a command named."""
    offered = DEVICES if device in DEVICES else {**DEVICES, device: device}
    entry = ui.select(offered, value=device, label=DEVICE.label)
    return entry.props("dense outlined").on_value_change(on_change)
