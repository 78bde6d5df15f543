"""The page of a movie: its frames, what it tells, and the 2D one-click."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nicegui import run, ui

from autods.core import UserError
from autods.io.movie import Choice, ChoiceError
from autods.web.fields import ADVANCED, CAMERA, LOCALIZE, OPTICS, PART, ROI, device_word
from autods.web.movies import MovieFacts
from autods.web.names import path_of, shown
from autods.web.pages.preview import Preview
from autods.web.progress3d import Progress3D, StaleError, load_progress, save_progress, save_values
from autods.web.routes import chosen, movie_address
from autods.web.run_files import read_json
from autods.web.site import Site, device_key
from autods.web.widgets.form import Form, Suggestion, device_entry, suggestion
from autods.web.widgets.frames import FrameViewer
from autods.web.widgets.layout import (
    duration_text,
    error_panel,
    later,
    number_text,
    page,
    panel,
    problem,
    text_table,
    waiting,
)
from autods.web.widgets.preset_line import preset_line

_NEEDED = "optics.pixel_size_nm"
_SAVE_S = 1.5


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/movie")
    def movie(
        path: str = "", channel: int | None = None, position: int | None = None, like: str = ""
    ) -> None:
        name = Path(path_of(path)).name
        with page(shown(name), "/"), ui.element("div").classes("stack w-full") as content:
            waiting(f"Opening {shown(name)} ...", "/")

            async def fill() -> None:
                await _fill(site, content, path, Choice(channel, position), like)

            later(fill)


async def _fill(site: Site, content: ui.element, path: str, choice: Choice, like: str) -> None:
    """Open the movie and show it in the place of the waiting line, or what is wrong."""
    try:
        found = await run.io_bound(site.roots.movie, path_of(path))
        assert found is not None
        facts = await site.movies.facts(found, choice)
        entered = await run.io_bound(_entered, site, facts, like)
    except ChoiceError as error:
        content.clear()
        # The rest of the message is for the command line.
        what = str(error).partition(": choose")[0]
        with content:
            error_panel("Which one is the movie?", shown(f"{what}."), _ways_on(path, choice, error))
        return
    except UserError as error:
        content.clear()
        with content:
            error_panel("This movie cannot be opened", shown(str(error)))
        return
    content.clear()
    with content:
        MoviePage(site, facts, entered or Progress3D({}, {})).draw()


def _entered(site: Site, facts: MovieFacts, like: str) -> Progress3D:
    """Return the entries of the page: those of a run that is to be repeated, else those that are kept."""
    kept = load_progress(site.form_folder(facts.path))
    if not like:
        return kept
    words = (word.partition("=") for word in site.store.load(like).arguments[1:])
    return dataclasses.replace(kept, values={key: value for key, _, value in words if value})


def _ways_on(path: str, choice: Choice, error: ChoiceError) -> dict[str, str]:
    """Return the addresses that choose the first thing that is left open, by what they choose."""
    key, names = next(iter(error.choices.items()))
    word = {"channel": "Channel", "position": "Stage position"}[key]
    return {
        f"{word} {number}" + (f": {name}" if name != str(number) else ""): movie_address(
            path, **chosen(choice), **{key: number}
        )
        for number, name in enumerate(names[:50])
    }


class MoviePage:
    """One visitor's page of a movie."""

    def __init__(self, site: Site, facts: MovieFacts, entered: Progress3D) -> None:
        self._site, self._facts, self._entered = site, facts, entered
        self._is_dirty = False

    def draw(self) -> None:
        """Show everything and start measuring."""
        with ui.element("div").classes("columns"):
            with ui.element("div").classes("stack"):
                with panel():
                    self._frames = FrameViewer(self._facts, self._region_drawn)
                with panel("What the movie tells"):
                    self._measured = ui.element("div").classes("w-full")
            with ui.element("div").classes("stack"):
                self._form_panel()
        self._frames.set_pixel_size(self._facts.known.get("pixel_size_nm"))
        ui.timer(0.1, self._measure, once=True)
        ui.timer(_SAVE_S, self._exchange)

    def _form_panel(self) -> None:
        known, given = suggestions_of(self._site, self._facts), self._entered.values
        with panel("Reconstruct in 2D"):
            self._go = ui.button("Reconstruct", icon="play_arrow", on_click=self._start)
            self._go.props("size=lg no-caps").classes("wide")
            self._problem = problem("")
            ui.button("Reconstruct in 3D ...", on_click=self._start_3d).props("flat dense no-caps")
        with panel("Microscope"):
            self._pixel_note = ui.label("").classes("notice")
            preset_line(self._site.presets, "optics", lambda: self._optics)
            with ui.element("div").classes("entries"):
                self._optics = Form(OPTICS, given, self._changed, suggestions=known)
        with panel("Camera"):
            preset_line(self._site.presets, "camera", lambda: self._camera)
            with ui.element("div").classes("entries"):
                self._camera = Form(CAMERA, given, self._changed, suggestions=known)
            if self._facts.camera:
                ui.label(f"The file names: {shown(self._facts.camera)}").classes("soft wrap")
                ui.button("Remember for this camera", on_click=self._confirm).props("flat dense no-caps")
        with panel("Part of the movie"):
            ui.label("Empty takes everything; a region can be drawn on the picture.").classes("soft")
            with ui.element("div").classes("entries"):
                part = {key: str(value) for key, value in chosen(self._facts.choice).items()}
                self._part = Form(PART, {**given, **part}, self._changed)
        with panel(), ui.expansion("Advanced").classes("w-full"), ui.element("div").classes("entries"):
            self._advanced = Form(ADVANCED, given, self._changed)
            self._device = device_entry(given.get("device", "auto"), self._changed)
            self._follow = ui.switch("The file still grows: localize what is added")
        with panel("Try it on a few frames"):
            self._preview = Preview(self._site, self._facts, self._frames, self._words, self._take_threshold)
        self._changed()
        self._is_dirty = False

    def _forms(self) -> tuple[Form, ...]:
        return self._optics, self._camera, self._part, self._advanced

    def _words(self) -> list[str]:
        """Return the words of the command; a pixel size must be known."""
        found = [word for form in self._forms() for word in form.words()]
        if not self._has_pixel_size():
            raise UserError(
                "the pixel size is not in the file: enter it (camera pixel divided by magnification)"
            )
        device = str(self._device.value)
        return found if device == "auto" else [*found, device_word(device)]

    def _values(self) -> dict[str, str]:
        found = {key: text for form in self._forms() for key, text in form.values().items()}
        return {**found, "device": str(self._device.value)}

    def _exchange(self) -> None:
        """Save what was entered here, or show what was entered on another page of this movie."""
        folder = self._site.form_folder(self._facts.path)
        told = ""
        try:
            if self._is_dirty:
                self._is_dirty = False
                self._entered = save_values(folder, self._values(), self._entered.version)
                return
            if load_progress(folder).version == self._entered.version:
                return
        except StaleError as error:
            told = str(error)
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        self._entered = load_progress(folder)
        for form in self._forms():
            form.replace(self._entered.values)
        self._is_dirty = False
        if told:
            ui.notify(told, type="warning")

    def _has_pixel_size(self) -> bool:
        return bool(self._optics.all_values()[_NEEDED])

    def _take_threshold(self, threshold: float) -> None:
        self._advanced.set({"decode.threshold": f"{threshold:g}"})

    def _changed(self) -> None:
        if not hasattr(self, "_preview"):
            return
        self._is_dirty = True
        found = next((text for form in self._forms() if (text := form.problem())), "")
        self._problem.set_text(found)
        missing = not self._has_pixel_size()
        self._pixel_note.set_text("The file does not state the pixel size: enter it." if missing else "")
        self._pixel_note.set_visibility(missing)
        self._go.set_enabled(not found and not missing)
        roi = self._part.values().get(ROI.key, "")
        self._frames.viewer.set_region(box_of(roi))
        if (size := self._optics.all_values()[_NEEDED]) and not OPTICS[0].problem(size):
            self._frames.set_pixel_size(float(size.replace(",", ".")))

    def _region_drawn(self, box: tuple[int, int, int, int] | None) -> None:
        self._part.set({ROI.key: "" if box is None else ":".join(map(str, box))})

    async def _start(self) -> None:
        self._go.disable()
        try:
            arguments = [str(self._facts.path), *self._words()]
            arguments += ["--follow"] if self._follow.value else []
            device = device_key(str(self._device.value))
            job = await self._site.start("localize", self._facts.path, arguments, device)
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            self._go.enable()
            return
        ui.navigate.to(f"/run/{job.id}")

    def _confirm(self) -> None:
        """Keep what is given here for all movies of this camera in this mode."""
        try:
            self._site.known_cameras.confirm(self._facts.camera, self._camera.values())
        except UserError as error:
            ui.notify(shown(str(error)), type="warning")
            return
        ui.notify("Movies of this camera in this mode start with these values now.")

    def _start_3d(self) -> None:
        """Make a draft with what was entered, and go on there."""
        try:
            path = self._facts.path
            job = self._site.store.create("localize3d", path, [str(path)], "cpu", queue=False)
            values = {**self._optics.values(), **self._camera.values(), **self._part.values()}
            save_progress(job.folder, Progress3D(values, {}))
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        ui.navigate.to(f"/run/{job.id}")

    async def _measure(self) -> None:
        """Measure the movie once its pixel size is known, and fill in what was found."""
        is_known = self._has_pixel_size()
        self._show_measured({}, can_measure=not is_known)
        if not is_known:
            return
        fields = [field for field in LOCALIZE if field.key.startswith(("optics.", "camera."))]
        known = self._optics.values() | self._camera.values()
        words = [word for field in fields if (word := field.word(known.get(field.key, "")))]
        words += [f"{key}={value}" for key, value in chosen(self._facts.choice).items()]
        with self._measured:
            waiting = ui.label("Measuring ...").classes("soft")
        try:
            folder = await self._site.short_commands.run("profile", self._facts.path, words)
        except UserError as error:
            waiting.delete()
            self._show_measured({})
            with self._measured:
                problem(shown(str(error)))
            return
        profile = read_json(folder, "profile.json")
        self._show_measured(profile)
        rows = {row["key"]: suggestion(row["value"], row["source"]) for row in profile.get("instrument", [])}
        self._optics.suggest(rows)
        self._camera.suggest(rows)
        self._changed()

    def _show_measured(self, profile: dict[str, object], *, can_measure: bool = True) -> None:
        self._measured.clear()
        whole = profile.get("whole", {})
        assert isinstance(whole, dict)
        n_frames, height, width = self._facts.shape
        rows = [("Frames", f"{n_frames} of {height} x {width} px, {self._facts.dtype}")]
        exposure = self._facts.known.get("exposure_ms")
        if exposure:
            rows.append(("Exposure", f"{exposure:g} ms, {duration_text(exposure * n_frames / 1000)} in all"))
        if profile:
            sigma = profile.get("psf_sigma_px")
            source = profile.get("psf_source")
            rows += [
                ("Density", number_text(whole.get("density_per_um2"), "emitters per µm² and frame")),
                ("Signal-to-noise ratio", number_text(whole.get("snr"))),
                ("Spot width (sigma)", f"{number_text(sigma, 'px')} ({source})"),
                (
                    "Background, noise",
                    f"{number_text(whole.get('background'), 'ADU')}, "
                    f"{number_text(whole.get('noise_std'), 'ADU')}",
                ),
            ]
        with self._measured:
            text_table(rows, is_headed=True)
            notes = profile.get("notes", [])
            for note in notes if isinstance(notes, list) else []:
                ui.label(str(note)).classes("notice")
            if not profile and can_measure:
                ui.button("Measure", on_click=self._measure).props("flat dense no-caps")


def suggestions_of(site: Site, facts: MovieFacts) -> dict[str, Suggestion]:
    """Return what is known without asking, by key: of the file, and what was confirmed of its camera."""
    groups = {field.key.partition(".")[2]: field.key for field in (*OPTICS, *CAMERA)}
    stated = {
        groups[name]: Suggestion(f"{value:g}", f"from the file ({facts.source})")
        for name, value in facts.known.items()
        if name in groups
    }
    confirmed = site.known_cameras.get(facts.camera)
    source = f"confirmed for this camera, {confirmed.day}"
    return stated | {
        key: Suggestion(text, source, is_confirmed=True) for key, text in confirmed.values.items()
    }


def box_of(roi: str) -> tuple[int, int, int, int] | None:
    """Read ``Y0:X0:Y1:X1``; None where it is anything else."""
    if not roi or ROI.problem(roi):
        return None
    y0, x0, y1, x1 = (int(part) for part in roi.split(":"))
    return y0, x0, y1, x1
