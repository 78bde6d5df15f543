"""Frames of a movie: one at a time or the brightest values of many, with contrast."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from autods.web.movies import MovieFacts
from autods.web.names import shown
from autods.web.routes import frame_address
from autods.web.widgets.viewer import Box, Viewer

#: Frames of a projection at most.
_PROJECTED = 100


class FrameViewer:
    """The frames of a movie with a slider and the contrast.

    Parameters
    ----------
    facts
        What the movie's file tells.
    on_region
        Told of a region that was drawn; None is the whole field.
    on_frame
        Told of the frame that is shown.
    """

    def __init__(
        self,
        facts: MovieFacts,
        on_region: Callable[[Box | None], None],
        on_frame: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._facts = facts
        self.on_frame = on_frame
        n_frames, height, width = facts.shape
        self.viewer = Viewer(
            f"Frames of {shown(facts.path.name)}", width, height, on_region=on_region, is_sharp=True
        ).classes("w-full")
        low, high = facts.limits
        span = high - low
        with ui.element("div").classes("line w-full"):
            self._number = ui.number("Frame", value=0, min=0, max=n_frames - 1, precision=0)
            self._number.props("dense outlined").style("width:8rem")
            self._number.on_value_change(self._moved)
            self._slider = ui.slider(min=0, max=max(n_frames - 1, 1), value=0).style("flex:1;min-width:8rem")
            self._slider.props('aria-label="Frame"').bind_value(self._number)
            self._brightest = ui.switch(f"Brightest of {min(_PROJECTED, n_frames)}", on_change=self._draw)
        with ui.element("div").classes("line w-full"):
            ui.label("Contrast").classes("soft")
            self._contrast = ui.range(
                min=low - 0.25 * span, max=high + 1.5 * span, step=span / 100, value={"min": low, "max": high}
            )
            self._contrast.props('aria-label="Contrast: black and white"').style("flex:1;min-width:8rem")
            self._contrast.on_value_change(self._draw)
        self._draw()

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        value = self._number.value
        return min(max(int(value), 0), self._facts.shape[0] - 1) if isinstance(value, int | float) else 0

    def set_pixel_size(self, nm: float | None) -> None:
        """Set the scale bar."""
        self.viewer.set_scale(nm)

    def _moved(self) -> None:
        self._draw()
        self.on_frame(self.frame)

    def _draw(self) -> None:
        limits = self._contrast.value
        n = _PROJECTED if self._brightest.value else 1
        self.viewer.show(frame_address(self._facts, self.frame, (limits["min"], limits["max"]), n))
