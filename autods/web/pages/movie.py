"""The page of a movie: its frames, what it tells, and the 2D one-click."""

from __future__ import annotations

from nicegui import run, ui

from autods.core import UserError
from autods.io.movie import Choice, ChoiceError
from autods.web.fields import ADVANCED, CAMERA, LOCALIZE, OPTICS, PART, ROI, device_word
from autods.web.movies import MovieFacts
from autods.web.names import path_of, shown
from autods.web.pages.preview import Preview
from autods.web.routes import chosen, movie_address
from autods.web.run_files import read_json
from autods.web.site import Site, device_key
from autods.web.steps3d import Progress3D, save_progress
from autods.web.widgets.form import Form, Suggestion, suggestion
from autods.web.widgets.frames import FrameViewer
from autods.web.widgets.layout import duration_text, error_page, number_text, page, panel, problem
from autods.web.widgets.preset_line import preset_line

_NEEDED = "optics.pixel_size_nm"


def add_pages(site: Site) -> None:
    """Add the page to the server."""

    @ui.page("/movie")
    async def movie(path: str = "", channel: int | None = None, position: int | None = None) -> None:
        choice = Choice(channel, position)
        try:
            facts = await run.io_bound(site.movies.facts, site.roots.movie(path_of(path)), choice)
        except ChoiceError as error:
            # The rest of the message is for the command line.
            what = str(error).partition(": choose")[0]
            error_page("Which one is the movie?", f"{what}.", _ways_on(path, choice, error))
            return
        except UserError as error:
            error_page("This movie cannot be opened", shown(str(error)))
            return
        assert facts is not None
        with page(shown(facts.path.name), "/"):
            await MoviePage(site, facts).draw()


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
    """One visitor's page of a movie.

    Parameters
    ----------
    site
        What all pages share.
    facts
        What the movie's file tells.
    """

    def __init__(self, site: Site, facts: MovieFacts) -> None:
        self._site, self._facts = site, facts

    async def draw(self) -> None:
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

    def _form_panel(self) -> None:
        known = suggestions_from_file(self._facts)
        with panel("Reconstruct in 2D"):
            self._go = ui.button("Reconstruct", icon="play_arrow", on_click=self._start)
            self._go.props("size=lg no-caps").classes("wide")
            self._problem = problem("")
            ui.button("Reconstruct in 3D ...", on_click=self._start_3d).props("flat dense no-caps")
        with panel("Microscope"):
            self._pixel_note = ui.label("").classes("notice")
            preset_line(self._site.presets, "optics", lambda: self._optics)
            with ui.element("div").classes("entries"):
                self._optics = Form(OPTICS, on_change=self._changed, suggestions=known)
        with panel("Camera"):
            preset_line(self._site.presets, "camera", lambda: self._camera)
            with ui.element("div").classes("entries"):
                self._camera = Form(CAMERA, on_change=self._changed, suggestions=known)
        with panel("Part of the movie"):
            ui.label("Empty takes everything; a region can be drawn on the picture.").classes("soft")
            with ui.element("div").classes("entries"):
                self._part = Form(PART, on_change=self._changed)
                self._part.set({key: str(value) for key, value in chosen(self._facts.choice).items()})
        with panel(), ui.expansion("Advanced").classes("w-full"), ui.element("div").classes("entries"):
            self._advanced = Form(ADVANCED, on_change=self._changed)
            self._device = ui.select(["auto", "cpu", "cuda", "mps"], value="auto", label="Device")
            self._device.props("dense outlined")
        with panel("Try it on a few frames"):
            self._preview = Preview(self._site, self._facts, self._frames, self._words, self._take_threshold)
        self._changed()

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

    def _has_pixel_size(self) -> bool:
        return bool(self._optics.all_values()[_NEEDED])

    def _take_threshold(self, threshold: float) -> None:
        self._advanced.set({"decode.threshold": f"{threshold:g}"})

    def _changed(self) -> None:
        if not hasattr(self, "_advanced"):
            return
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
        try:
            arguments = [str(self._facts.path), *self._words()]
            device = device_key(str(self._device.value))
            job = self._site.store.create("localize", self._facts.path, arguments, device, queue=True)
            await self._site.submit()
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        ui.navigate.to(f"/run/{job.id}")

    def _start_3d(self) -> None:
        """Make a draft with what was entered, and go on there."""
        try:
            path = self._facts.path
            job = self._site.store.create("localize3d", path, [str(path)], "cpu", queue=False)
            values = {**self._optics.values(), **self._camera.values(), **self._part.values()}
            save_progress(job.folder, Progress3D(values, {}, {}))
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        ui.navigate.to(f"/run/{job.id}")

    async def _measure(self) -> None:
        """Measure the movie once its pixel size is known, and fill in what was found."""
        self._show_measured({})
        if not self._has_pixel_size():
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
            with self._measured:
                problem(shown(str(error)))
            return
        profile = read_json(folder, "profile.json")
        self._show_measured(profile)
        rows = {row["key"]: suggestion(row["value"], row["source"]) for row in profile.get("instrument", [])}
        self._optics.suggest(rows)
        self._camera.suggest(rows)
        self._changed()

    def _show_measured(self, profile: dict[str, object]) -> None:
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
            with ui.element("table").classes("plain"), ui.element("tbody"):
                for name, text in rows:
                    with ui.element("tr"):
                        with ui.element("th"):
                            ui.label(name)
                        with ui.element("td"):
                            ui.label(text)
            notes = profile.get("notes", [])
            for note in notes if isinstance(notes, list) else []:
                ui.label(str(note)).classes("notice")
            if not profile:
                ui.button("Measure", on_click=self._measure).props("flat dense no-caps")


def suggestions_from_file(facts: MovieFacts) -> dict[str, Suggestion]:
    """Return what a movie's file states, by the keys of the forms."""
    groups = {field.key.partition(".")[2]: field.key for field in (*OPTICS, *CAMERA)}
    return {
        groups[name]: Suggestion(f"{value:g}", f"from the file ({facts.source})")
        for name, value in facts.known.items()
        if name in groups
    }


def box_of(roi: str) -> tuple[int, int, int, int] | None:
    """Read ``Y0:X0:Y1:X1``; None where it is anything else."""
    if not roi or ROI.problem(roi):
        return None
    y0, x0, y1, x1 = (int(part) for part in roi.split(":"))
    return y0, x0, y1, x1
