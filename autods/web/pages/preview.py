"""Trying the settings on a few frames, with the found positions drawn over them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml
from nicegui import run, ui

from autods.core import LocalizationTable, UserError
from autods.io.tables import read_table
from autods.pipelines.view import highest_confidence, marks
from autods.web.movies import MovieFacts
from autods.web.names import shown
from autods.web.run_files import read_json
from autods.web.site import Site
from autods.web.widgets.frames import FrameViewer
from autods.web.widgets.layout import problem
from autods.zoo import load_card

#: Frames that are tried.
_FRAMES = 10
#: Threshold of the trial: the slider moves from here on.
_LOW = 0.02
_WITHOUT = ("frames=", "decode.threshold=", "device=")


@dataclasses.dataclass
class _Trial:
    table: LocalizationTable
    pixel_nm: float


class Preview:
    """The trial of a movie's page.

    Parameters
    ----------
    site, facts
        What all pages share, and what the movie's file tells.
    frames
        Where the positions are drawn.
    words
        Gives the words of the command.
    take
        Told of the threshold that is to be used.
    """

    def __init__(
        self,
        site: Site,
        facts: MovieFacts,
        frames: FrameViewer,
        words: Callable[[], list[str]],
        take: Callable[[float], None],
    ) -> None:
        self._site, self._facts, self._frames, self._words = site, facts, frames, words
        self._trial: _Trial | None = None
        frames.on_frame = lambda _: self._draw()
        ui.label(f"Runs {_FRAMES} frames from the one shown and circles what is found.").classes("soft")
        with ui.element("div").classes("line"):
            self._button = ui.button("Try", icon="search", on_click=self._run).props("no-caps outline")
            self._spinner = ui.spinner(size="sm")
        self._spinner.set_visibility(False)
        self._text = ui.label("").classes("soft").props('role="status"')
        self._problem = problem("")
        with ui.element("div").classes("w-full") as self._controls:
            ui.label("Threshold of the confidence").classes("soft")
            self._threshold = ui.slider(min=0, max=1, step=0.005, value=0.25, on_change=self._draw)
            self._threshold.props('label aria-label="Threshold of the confidence"')
            ui.button("Use this threshold", on_click=lambda: take(self._threshold.value)).props(
                "flat dense no-caps"
            )
        self._controls.set_visibility(False)

    async def _run(self) -> None:
        self._problem.set_text("")
        try:
            words = [word for word in self._words() if not word.startswith(_WITHOUT)]
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        start = max(min(self._frames.frame, self._facts.shape[0] - _FRAMES), 0)
        part = f"frames={start}:{min(start + _FRAMES, self._facts.shape[0])}"
        self._button.disable()
        self._spinner.set_visibility(True)
        try:
            await self._localize([*words, part])
        except UserError as error:
            self._problem.set_text(shown(str(error)))
        finally:
            self._button.enable()
            self._spinner.set_visibility(False)

    async def _localize(self, words: list[str]) -> None:
        short = self._site.short_commands
        # Every candidate down to a low threshold, so that the slider needs no second run.
        folder = await short.run("localize", self._facts.path, [*words, f"decode.threshold={_LOW}"])
        table = await run.io_bound(read_table, folder)
        region = read_json(folder, "run.json")["results"]["region"]
        assert table is not None
        self._trial = _Trial(table, float(region["pixel_size_nm"]))
        self._threshold.props(f"max={highest_confidence(table):.3f}")
        self._threshold.value = self._models_threshold(folder)
        self._controls.set_visibility(True)
        self._draw()

    @staticmethod
    def _models_threshold(folder: Path) -> float:
        """Return the threshold of the model that most patches of the trial have used."""
        plan = yaml.safe_load((folder / "plan.yaml").read_text(encoding="utf-8"))
        used = Counter(patch["model"] for patch in plan["patches"] if patch["model"] is not None)
        model = used.most_common(1)[0][0] if used else next(iter(plan["models"]))
        return load_card(model).threshold

    def _draw(self) -> None:
        if self._trial is None:
            return
        trial, threshold = self._trial, float(self._threshold.value)
        xy, total = marks(trial.table, self._frames.frame, threshold, trial.pixel_nm)
        self._frames.viewer.draw_marks(xy)
        self._text.set_text(
            f"{len(xy) // 2} in this frame, {total} in the frames tried, at a threshold of {threshold:g}."
        )
