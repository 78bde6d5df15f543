"""A 3D result from the side and from any direction."""

from __future__ import annotations

import math
from urllib.parse import quote

from nicegui import ui

from autods.web.jobs import Job
from autods.web.widgets.layout import heading
from autods.web.widgets.viewer import Viewer

_PX, _TURNED_PX = 1024, 600


class SideViews:
    """A cross-section and a view that can be turned.

    Parameters
    ----------
    job
        The run.
    shape_nm, depth_range_nm
        The field (height, width) and the depths that are drawn, nm.
    """

    def __init__(self, job: Job, shape_nm: tuple[float, float], depth_range_nm: tuple[float, float]) -> None:
        self._job, self._shape, self._query = job, shape_nm, ""
        low, high = depth_range_nm
        self._top = high
        with ui.element("div").classes("columns even"):
            with ui.element("div").classes("stack"):
                heading("Cross-section", 2)
                self._plane = ui.toggle({"xz": "x-z (seen along y)", "yz": "y-z (seen along x)"}, value="xz")
                self._plane.props("no-caps dense").on_value_change(self._turned_over)
                with ui.element("div").classes("line"):
                    ui.label("Slab (nm)").classes("soft")
                    top = shape_nm[0]
                    self._slab = ui.range(min=0, max=top, step=top / 200, value={"min": 0, "max": top})
                    self._slab.props('label aria-label="Slab"').style("flex:1;min-width:10rem;padding:0 12px")
                    self._slab.on("change", self._draw_section)
                self._side = Viewer("Cross-section", shape_nm[1], high - low, nm_per_unit=1.0).classes(
                    "w-full section"
                )
                self._side.set_axes("x", "z", high)
            with ui.element("div").classes("stack"):
                heading("From any direction", 2)
                with ui.element("div").classes("line"):
                    ui.label("Turn").classes("soft")
                    self._azimuth = ui.slider(min=-180, max=180, step=2, value=30)
                    self._azimuth.props('label aria-label="Turn about z, degrees"')
                    ui.label("Tilt").classes("soft")
                    self._elevation = ui.slider(min=-90, max=90, step=2, value=60)
                    self._elevation.props('label aria-label="Tilt, degrees"')
                    for slider in (self._azimuth, self._elevation):
                        slider.style("flex:1;min-width:8rem").on(
                            "update:model-value", self._draw_turned, throttle=0.15
                        )
                self._turned = (
                    ui.element("img")
                    .classes("figure turned")
                    .props('alt="Localizations from a direction, in the colours of depth" loading=lazy')
                )
                side_um = math.hypot(*shape_nm) / 1000
                ui.label(f"Height and width of the picture: {side_um:.4g} µm; colours of depth.").classes(
                    "soft"
                )

    def show(self, query: str) -> None:
        """Show another look."""
        self._query = query
        self._draw_section()
        self._draw_turned()

    def _turned_over(self) -> None:
        height, width = self._shape
        top, along = (height, width) if self._plane.value == "xz" else (width, height)
        self._slab.props(f"max={top} step={top / 200}")
        self._slab.value = {"min": 0, "max": top}
        self._side.set_size(along)
        self._side.set_axes(str(self._plane.value)[0], "z", self._top)
        self._draw_section()

    def _draw_section(self) -> None:
        slab = self._slab.value
        part = f"plane={self._plane.value}&low={slab['min']:g}&high={slab['max']:g}&px={_PX}"
        self._side.show(f"/api/section/{quote(self._job.id)}?{self._query}&{part}")

    def _draw_turned(self) -> None:
        part = f"azimuth={self._azimuth.value:g}&elevation={self._elevation.value:g}&px={_TURNED_PX}"
        self._turned.props(f'src="/api/turned/{quote(self._job.id)}?{self._query}&{part}"')
