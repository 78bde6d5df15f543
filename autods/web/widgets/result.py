"""The result of a run: a picture to zoom into, filters that re-render it, a side view, downloads."""

from __future__ import annotations

from pathlib import Path

from nicegui import run, ui

from autods.core import UserError
from autods.pipelines.view import Histogram, RunView
from autods.web.jobs import Job
from autods.web.names import shown
from autods.web.routes import COLORS, Pictures, file_address, picture_address
from autods.web.run_files import file_stat, modified
from autods.web.widgets.layout import heading, problem, size_text
from autods.web.widgets.viewer import Box, Viewer

_TITLES = {
    "photons": "Photons",
    "uncertainty_nm": "Lateral uncertainty (nm)",
    "frame": "Frame",
    "z_nm": "Depth z (nm)",
}
_PERCENTILES = (95.0, 100.0)
_WHOLE_PX = 1024
_DOWNLOADS = (
    ("localizations.csv", "ThunderSTORM table"),
    ("localizations.hdf5", "Picasso table"),
    ("localizations.yaml", "Picasso's description"),
    ("reconstruction.tif", "picture for Fiji, with scale"),
    ("preview.png", "picture to look at"),
    ("psf.h5", "calibrated PSF"),
    ("plan.yaml", "every setting and decision"),
    ("run.json", "record of the run"),
    ("log.txt", "log"),
)


async def show_result(job: Job, pictures: Pictures) -> None:
    """Show the result of a finished run."""
    try:
        view = await run.io_bound(pictures.run_view, job)
    except UserError as error:
        problem(shown(str(error)))
        return
    assert view is not None
    histograms = await run.io_bound(view.histograms)
    ResultPanel(job, view, histograms or {})


class ResultPanel:
    """One visitor's view of a result.

    Parameters
    ----------
    job, view
        The run and its localizations.
    histograms
        Of what can be filtered.
    """

    def __init__(self, job: Job, view: RunView, histograms: dict[str, Histogram]) -> None:
        self._job, self._view = job, view
        self._version = modified(job.folder, "localizations.csv")
        self._limits: dict[str, tuple[float, float]] = {}
        self._part: tuple[Box, int] | None = None
        height, width = view.shape_nm
        with ui.element("div").classes("columns"):
            with ui.element("div").classes("stack"):
                self._viewer = Viewer(
                    "Reconstruction", width, height, nm_per_unit=1.0, on_shown=self._shown
                ).classes("w-full result")
                self._style_line()
                if view.table.is_3d:
                    self._section()
            with ui.element("div").classes("stack").style("gap:.2rem"):
                self._count = ui.label("")
                for name, histogram in histograms.items():
                    self._filter(name, histogram)
                ui.button("Show all again", on_click=self._reset).props("flat dense no-caps")
        self._draw()

    def _style_line(self) -> None:
        colors = [name for name in COLORS if name != "depth" or self._view.table.is_3d]
        with ui.element("div").classes("line"):
            self._colors = ui.select(
                colors, value="depth" if self._view.table.is_3d else colors[0], label="Colours"
            )
            self._drawing = ui.select(
                {"gaussian": "Gaussian", "histogram": "Histogram"}, value="gaussian", label="Drawing"
            )
            for choice in (self._colors, self._drawing):
                choice.props("dense outlined options-dense").style("min-width:8rem").on_value_change(
                    self._draw
                )
            ui.label("Contrast").classes("soft")
            low, high = _PERCENTILES
            self._contrast = ui.slider(min=low, max=high, step=0.1, value=99.5)
            self._contrast.props('reverse aria-label="Contrast"').style("flex:1;min-width:8rem")
            self._contrast.on("change", self._draw)

    def _filter(self, name: str, histogram: Histogram) -> None:
        low, high = float(histogram.edges[0]), float(histogram.edges[-1])
        ui.label(_TITLES[name]).classes("soft")
        ui.echart(_chart(histogram)).style("height:84px;width:100%").props(
            f'role="img" aria-label="{_TITLES[name]}"'
        )
        step = 1.0 if name == "frame" else (high - low) / 200
        slider = ui.range(min=low, max=high, step=step, value={"min": low, "max": high})
        slider.props(f'label aria-label="{_TITLES[name]}: lowest and highest" data-filter="{name}"')
        slider.style("padding:0 26px 0 12px")

        def limit() -> None:
            chosen = slider.value
            is_all = chosen["min"] <= low and chosen["max"] >= high
            # The last bin holds everything above.
            top = float("inf") if chosen["max"] >= high else chosen["max"]
            self._limits.pop(name, None)
            if not is_all:
                self._limits[name] = (chosen["min"], top)
            self._draw()

        slider.on("change", limit, throttle=0.3, leading_events=False)
        self._sliders = [*getattr(self, "_sliders", []), (slider, low, high)]

    def _reset(self) -> None:
        self._limits.clear()
        for slider, low, high in self._sliders:
            slider.value = {"min": low, "max": high}
        self._draw()

    def _section(self) -> None:
        heading("Cross-section", 2)
        width = self._view.shape_nm[1]
        height_nm = self._view.depth_range_nm[1] - self._view.depth_range_nm[0]
        self._plane = ui.toggle({"xz": "x-z (seen along y)", "yz": "y-z (seen along x)"}, value="xz")
        self._plane.props("no-caps dense").on_value_change(self._slab_reset)
        with ui.element("div").classes("line"):
            ui.label("Slab (nm)").classes("soft")
            top = self._view.shape_nm[0]
            self._slab = ui.range(min=0, max=top, step=top / 200, value={"min": 0, "max": top})
            self._slab.props('label aria-label="Slab"').style("flex:1;min-width:10rem").on(
                "change", self._draw
            )
        self._side = Viewer("Cross-section", width, height_nm, nm_per_unit=1.0).classes("w-full section")

    def _slab_reset(self) -> None:
        height, width = self._view.shape_nm
        top = height if self._plane.value == "xz" else width
        self._slab.props(f"max={top} step={top / 200}")
        self._slab.value = {"min": 0, "max": top}
        self._side.set_size(width if self._plane.value == "xz" else height)
        self._draw()

    def _query(self) -> dict[str, object]:
        filters = {name: f"{low:g}:{high:g}" for name, (low, high) in self._limits.items()}
        return {
            "colors": self._colors.value,
            "drawing": self._drawing.value,
            "percentile": self._contrast.value,
            **filters,
        }

    def _draw(self) -> None:
        passed = self._view.count(self._limits)
        self._count.set_text(f"{passed:,} of {len(self._view.table):,} localizations shown")
        self._viewer.show(picture_address(self._job, self._version, **self._query(), px=_WHOLE_PX))
        self._detail()
        if self._view.table.is_3d:
            slab = self._slab.value
            query = {**self._query(), "plane": self._plane.value, "box": f"{slab['min']:g}:{slab['max']:g}"}
            self._side.show(picture_address(self._job, self._version, **query, px=_WHOLE_PX))

    def _shown(self, box: Box, px: int) -> None:
        self._part = (box, px)
        self._detail()

    def _detail(self) -> None:
        """Draw what is visible anew when it is enlarged beyond the pixels of the whole picture."""
        if self._part is None:
            return
        (y0, x0, y1, x1), px = self._part
        longest = max(self._view.shape_nm)
        shown = max(y1 - y0, x1 - x0)
        if shown < 1 or shown > 0.7 * longest * px / _WHOLE_PX:
            self._viewer.clear_detail()
            return
        query = {**self._query(), "box": f"{y0}:{x0}:{y1}:{x1}", "px": px}
        self._viewer.show_detail(picture_address(self._job, self._version, **query), (y0, x0, y1, x1))


def downloads(job: Job) -> None:
    """Offer the files of a run."""
    found = [(name, text, stat) for name, text in _DOWNLOADS if (stat := file_stat(job.folder, name))]
    if not found:
        ui.label("Files appear here as the run writes them.").classes("soft")
    if file_stat(job.folder, "report.html"):
        ui.link("Report: what was measured, chosen and found", file_address(job, "report.html"), new_tab=True)
    with ui.element("table").classes("plain"), ui.element("tbody"):
        for name, text, stat in found:
            with ui.element("tr"):
                with ui.element("td"):
                    ui.link(name, file_address(job, name, download=True)).props(
                        f'download="{Path(name).name}"'
                    )
                with ui.element("td"):
                    ui.label(text).classes("soft")
                with ui.element("td"):
                    ui.label(size_text(stat.st_size)).classes("soft")


def _chart(histogram: Histogram) -> dict[str, object]:
    centers = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    return {
        "animation": False,
        "grid": {"left": 4, "right": 4, "top": 4, "bottom": 18},
        "xAxis": {
            "type": "category",
            "data": [f"{value:.4g}" for value in centers],
            "axisTick": {"show": False},
            "axisLabel": {"fontSize": 10, "interval": 14},
        },
        "yAxis": {"show": False},
        "tooltip": {"trigger": "axis"},
        "series": [
            {"type": "bar", "data": histogram.counts.tolist(), "barCategoryGap": "5%", "color": "#0b5cad"}
        ],
    }
