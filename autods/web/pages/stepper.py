"""3D step by step, or all at once: the steps of a 3D run with their figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from nicegui import run, ui

from autods.core import UserError
from autods.io.movie import Choice
from autods.pipelines.settings3d import STAGES
from autods.web.fields import CHANNEL, POSITION
from autods.web.jobs import JobView
from autods.web.movies import MovieFacts
from autods.web.names import shown
from autods.web.pages.movie import box_of, suggestions_of
from autods.web.progress3d import StaleError, load_progress, save_progress, save_values
from autods.web.site import Site, device_key
from autods.web.steps3d import DEVICE, HEADINGS, STEPS, arguments
from autods.web.steps3d import Step as StepText
from autods.web.widgets.form import Form, Suggestion, device_entry
from autods.web.widgets.frames import FrameViewer
from autods.web.widgets.layout import chip, panel, problem
from autods.web.widgets.preset_line import preset_line
from autods.web.widgets.source import SourceEntry
from autods.web.widgets.step_result import StepResult
from autods.web.widgets.viewer import Box

_STATUS = {"new": "not yet", "running": "running", "done": "done", "stale": "out of date"}
#: Steps on whose picture a region is drawn, and the entry that it becomes.
_REGIONS = {"calibrate": "roi", "snr": "snr.region"}


class Stepper:
    """One visitor's view of the steps of a 3D run."""

    def __init__(self, site: Site, now: JobView) -> None:
        self._site, self._job = site, now.job
        self._movie = Path(now.job.movie)
        self._state = load_progress(now.job.folder)
        self._forms: dict[str, Form] = {}
        self._panels: dict[str, ui.element] = {}
        self._chips: dict[str, ui.label] = {}
        self._buttons: dict[str, ui.element] = {}
        self._results: dict[str, StepResult] = {}
        self._current = STAGES[0]
        self._is_dirty = False
        self._frames: FrameViewer | None = None

    async def draw(self, place: ui.element) -> None:
        """Show everything in a place, once the movie is open."""
        try:
            movie = await run.io_bound(self._site.roots.movie, self._movie)
            assert movie is not None
            facts = await self._site.movies.facts(movie, self._choice())
        except UserError as error:
            place.clear()
            with place:
                problem(shown(str(error)))
            return
        place.clear()
        with place:
            self._draw(facts)

    def _draw(self, facts: MovieFacts) -> None:
        with panel("Reconstruct in 3D"):
            with ui.element("div").classes("line"):
                self._go = ui.button("One click: all steps", icon="play_arrow", on_click=self._run_all)
                self._go.props("no-caps size=lg")
                device = self._state.values.get(DEVICE, "auto")
                self._device = device_entry(device, self._changed).style("min-width:7rem")
            self._problem = problem("")
            with ui.element("nav").classes("steps").props('aria-label="Steps"'):
                for step in STEPS:
                    self._step_button(step)
        with ui.element("div").classes("columns"):
            with ui.element("div").classes("stack"):
                with panel() as self._picture:
                    self._frames = FrameViewer(facts, self._region_drawn)
                    self._frames.set_pixel_size(facts.known.get("pixel_size_nm"))
                with panel() as self._figure:
                    for step in STEPS:
                        self._results[step.name] = StepResult(self._job, step)
            with ui.element("div").classes("stack"):
                known = suggestions_of(self._site, facts)
                for step in STEPS:
                    self._step_panel(step, known)
        self._choose(STAGES[0])
        self._changed()
        self._is_dirty = False

    def _choice(self) -> Choice:
        """Return the channel and position that were entered."""
        entered = (self._state.values.get(field.key, "") for field in (CHANNEL, POSITION))
        return Choice(*(int(text) if text.strip().isdigit() else None for text in entered))

    def _step_button(self, step: StepText) -> None:
        with ui.element("button").props(f'type="button" data-step="{step.name}"') as button:
            button.on("click", lambda: self._choose(step.name))
            ui.label(f"{STAGES.index(step.name) + 1}. {step.title}")
            self._chips[step.name] = chip("not yet")
        self._buttons[step.name] = button

    def _step_panel(self, step: StepText, known: Mapping[str, Suggestion]) -> None:
        with panel(step.title) as box:
            ui.label(step.text).classes("soft")
            if step.name == "calibrate":
                self._source = SourceEntry(self._site, self._state.values, self._changed)
                preset_line(self._site.presets, "optics", lambda: self._forms["calibrate"])
                preset_line(self._site.presets, "camera", lambda: self._forms["calibrate"])
            with ui.element("div").classes("entries"):
                form = Form(step.fields, self._state.values, self._changed, HEADINGS, known)
                self._forms[step.name] = form
            if step.name == "train":
                self._tensorboard()
            ui.button("Run up to this step", on_click=lambda: self._run(step.name)).props("no-caps outline")
        self._panels[step.name] = box

    def _tensorboard(self) -> None:
        """Offer TensorBoard; it knows no token, so that on a server for others only its command is told."""
        board = self._site.tensorboard
        if board is None:
            ui.label("All curves: tensorboard --logdir " + str(self._site.store.folder)).classes("soft wrap")
            return

        async def show() -> None:
            address = await run.io_bound(board.address)
            if address is not None:
                ui.navigate.to(address, new_tab=True)

        ui.button("All curves in TensorBoard", on_click=show).props("flat dense no-caps")

    def _choose(self, name: str) -> None:
        self._current = name
        for other, box in self._panels.items():
            box.set_visibility(other == name)
            self._results[other].set_visibility(other == name)
            button = self._buttons[other]
            if other == name:
                button.props('aria-current="step"')
            else:
                button.props(remove="aria-current")
        self._picture.set_visibility(name in _REGIONS)
        self._mark_region()

    def _region_drawn(self, box: Box | None) -> None:
        text = "" if box is None else ":".join(map(str, box))
        if self._current in _REGIONS:
            self._forms[self._current].set({_REGIONS[self._current]: text})

    def _mark_region(self) -> None:
        if self._frames is not None and self._current in _REGIONS:
            entry = self._forms[self._current].values().get(_REGIONS[self._current], "")
            self._frames.viewer.set_region(box_of(entry))

    def _values(self) -> dict[str, str]:
        values = {key: text for form in self._forms.values() for key, text in form.values().items()}
        return {**values, **self._source.values(), DEVICE: str(self._device.value)}

    def _changed(self) -> None:
        if len(self._forms) < len(STEPS):
            return
        wrong = next((text for form in self._forms.values() if (text := form.problem())), "")
        self._problem.set_text(wrong)
        self._go.set_enabled(not wrong)
        self._state = dataclasses.replace(self._state, values=self._values())
        self._is_dirty = True
        self._mark_region()

    async def _run_all(self) -> None:
        await self._run(STAGES[-1])

    async def _run(self, until: str) -> None:
        now = self._site.view(self._job.id)
        if now.is_unfinished:
            ui.notify("This run goes on already: wait for it, or stop it first.", type="warning")
            return
        try:
            values = self._values()
            words = arguments(self._site.roots, self._movie, values, until)
            saved = save_values(self._job.folder, values, self._state.version)
            # What the last run finished is written down before its words are replaced.
            self._state = save_progress(
                self._job.folder, dataclasses.replace(saved, finished_with=saved.finished(now))
            )
            await self._site.resume(now.job, words, device_key(values[DEVICE]))
        except StaleError as error:
            self._take_others(str(error))
            return
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        self._is_dirty = False

    def _exchange(self) -> None:
        """Save what was entered here, or show what was entered on another page."""
        try:
            if self._is_dirty:
                self._is_dirty = False
                self._state = save_values(self._job.folder, self._state.values, self._state.version)
            elif load_progress(self._job.folder).version != self._state.version:
                self._take_others("")
        except StaleError as error:
            self._take_others(str(error))
        except UserError as error:
            self._problem.set_text(shown(str(error)))

    def _take_others(self, told: str) -> None:
        """Show the entries that are kept on the server."""
        self._state = load_progress(self._job.folder)
        values = self._state.values
        for form in self._forms.values():
            form.replace(values)
        self._source.replace(values)
        self._device.set_value(values.get(DEVICE, "auto"))
        self._state = dataclasses.replace(self._state, values=values)
        self._is_dirty = False
        if told:
            ui.notify(told, type="warning")

    def refresh(self, now: JobView) -> None:
        """Bring steps and figures up to date."""
        if len(self._results) < len(STEPS):
            return
        self._exchange()
        for name, status in self._state.status(now.job.folder, now).items():
            self._chips[name].set_text(_STATUS[status])
            self._chips[name].classes(replace=f"chip {status}")
            self._results[name].refresh(status)
