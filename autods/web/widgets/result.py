"""The result of a run: tiles to zoom into, filters that draw them anew, side views, downloads."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote, urlencode

from nicegui import run, ui

from autods.core import UserError
from autods.pipelines.shown_rows import Look
from autods.pipelines.sorted_table import Histogram, Source
from autods.pipelines.tiles import Painter
from autods.web.jobs import Job
from autods.web.names import shown
from autods.web.result_routes import COLORS, look_query, tile_address
from autods.web.results import Results
from autods.web.routes import file_address
from autods.web.run_files import file_stat
from autods.web.widgets.layout import later, problem
from autods.web.widgets.side_views import SideViews
from autods.web.widgets.tile_viewer import TileViewer
from autods.web.widgets.viewer import Box

_TITLES = {
    "photons": "Photons",
    "uncertainty_xy_nm": "Lateral uncertainty (nm)",
    "frame": "Frame",
    "z_nm": "Depth z (nm)",
}
_SOURCES = {"localizations": "each localization", "linked": "linked: one a molecule and blink"}
_PERCENTILES = (95.0, 100.0)
_WAIT_S = 0.4


@dataclass(frozen=True)
class Shown:
    """What a visitor looks at: kept in the page's address, so that a reload and a sent link show the same."""

    #: What is drawn, and how; its filter is what was typed.
    look: Look
    #: Which table.
    source: Source = "localizations"
    #: Ranges of the sliders, by column.
    limits: tuple[tuple[str, float, float], ...] = ()
    #: The visible part, nm; None for the whole field.
    box: Box | None = None
    #: Name of the run that is drawn over it in green; '' for none.
    second: str = ""

    @property
    def filter(self) -> str:
        """The typed filter and the sliders as one expression; what is not known passes a slider."""
        parts = [f"({self.look.filter})"] if self.look.filter.strip() else []
        for name, low, high in self.limits:
            parts.append(f"!({name} < {low:g})")
            parts += [f"!({name} > {high:g})"] if high != float("inf") else []
        return " & ".join(parts)

    def text(self) -> str:
        """Return it as JSON for an address."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, text: str, *, is_3d: bool) -> Shown:
        """Read what `text` wrote; anything else is the usual look."""
        usual = cls(Look(colors="depth" if is_3d else COLORS[0]))
        try:
            content = json.loads(text) if text else {}
            look = Look(**content["look"])
            box = content["box"]
            found = cls(
                look,
                get_args(Source)[get_args(Source).index(content["source"])],
                tuple((str(name), float(low), float(high)) for name, low, high in content["limits"]),
                None if box is None else (int(box[0]), int(box[1]), int(box[2]), int(box[3])),
                str(content.get("second", "")),
            )
        except (ValueError, TypeError, KeyError, IndexError):
            return usual
        is_known = look.colors in COLORS and (is_3d or look.colors != "depth")
        limited = all(name in _TITLES for name, _, _ in found.limits)
        return found if is_known and limited and isinstance(look.filter, str) else usual


async def show_result(
    job: Job, results: Results, at: str, box: ui.element, *, keeps_address: bool = True
) -> None:
    """Show the result of a finished run: its picture at once, the viewer when the table is sorted."""
    sources = await run.io_bound(results.sources, job) or []
    if not sources:
        with box:
            problem("The table of this run is not there any more: run it again.")
        return
    wanted = Shown.read(at, is_3d=False).source
    source: Source = wanted if wanted in sources else sources[0]
    try:
        await _ready(job, results, source, box)
        painter = await run.io_bound(results.painter, job, source)
    except UserError as error:
        with box:
            problem(shown(str(error)))
        return
    assert painter is not None
    box.clear()
    with box:
        first = dataclasses.replace(Shown.read(at, is_3d=painter.table.is_3d), source=source)
        ResultPanel(job, results, painter, sources, first, keeps_address=keeps_address)


async def _ready(job: Job, results: Results, source: Source, box: ui.element) -> None:
    """Wait until a table is sorted, with what can be seen meanwhile.

    Raises `UserError` if it cannot be.
    """
    preparation = results.prepare(job, source)
    if preparation is None:
        return
    with box:
        ui.label("The table is sorted for looking at it; this is needed once.").classes("soft")
        bar = ui.linear_progress(value=0, show_value=False).props('aria-label="Sorting the table"')
        if file_stat(job.folder, "preview.png"):
            ui.element("img").classes("figure").props(
                f'src="{file_address(job, "preview.png")}" alt="Preview"'
            )
    while not preparation.task.done():
        bar.value = preparation.share
        await asyncio.wait([preparation.task], timeout=_WAIT_S)
    preparation.task.result()


class ResultPanel:
    """One visitor's view of a result."""

    def __init__(
        self,
        job: Job,
        results: Results,
        painter: Painter,
        sources: list[Source],
        shown_first: Shown,
        *,
        keeps_address: bool,
    ) -> None:
        self._job, self._results, self._painter = job, results, painter
        self._version, self._now = results.version(job), shown_first
        self._sides: SideViews | None = None
        self._keeps_address = keeps_address
        table = painter.table
        files = f"/api/export/{quote(job.id)}"
        with ui.element("div").classes("columns"):
            with ui.element("div").classes("stack"):
                self._viewer = TileViewer(
                    "Reconstruction",
                    tile_address(job),
                    files,
                    self._now.box,
                    self._moved,
                ).classes("w-full result")
                self._viewer.set_field(table.shape_nm, painter.level_0_nm, painter.levels)
                self._style_line(sources)
            with ui.element("div").classes("stack").style("gap:.2rem"):
                self._count = ui.label("").props('role="status"')
                self._typed_filter()
                self._sliders: list[tuple[ui.range, str, float, float]] = []
                for name, histogram in table.histograms.items():
                    self._filter(name, histogram)
                with ui.element("div").classes("line"):
                    ui.button("Show all again", on_click=self._reset).props("flat dense no-caps")
                    self._exports = ui.element("div").classes("line")
        if table.is_3d:
            self._sides = SideViews(job, table.shape_nm, table.depth_range_nm or (0.0, 1.0))
        self._apply()

    def _style_line(self, sources: list[Source]) -> None:
        look, table = self._now.look, self._painter.table
        colors = {name: name for name in COLORS if name != "depth" or table.is_3d}
        with ui.element("div").classes("line"):
            self._colors = ui.select(colors, value=look.colors, label="Colours")
            drawings = {"gaussian": "Gaussian", "histogram": "Histogram"}
            self._drawing = ui.select(drawings, value=look.drawing, label="Drawing")
            for choice in (self._colors, self._drawing):
                choice.props("dense outlined options-dense").style("min-width:8rem").on_value_change(
                    self._styled
                )
            ui.label("Contrast").classes("soft")
            low, high = _PERCENTILES
            self._contrast = ui.slider(min=low, max=high, step=0.1, value=look.percentile)
            self._contrast.props('reverse aria-label="Contrast"').style("flex:1;min-width:8rem")
            self._contrast.on("change", self._styled)
        with ui.element("div").classes("line"):
            if len(sources) > 1:
                options = {source: _SOURCES[source] for source in sources}
                choice = ui.select(options, value=self._now.source, label="Table")
                choice.props("dense outlined options-dense").style("min-width:14rem")
                choice.on_value_change(lambda event: self._other_table(event.value))
            others = {"": "no other run"} | self._results.others(self._job)
            second = self._now.second if self._now.second in others else ""
            self._second = ui.select(others, value=second, label="Second channel")
            self._second.props("dense outlined options-dense").style("min-width:12rem;max-width:100%")
            self._second.on_value_change(lambda event: self._other_run(str(event.value or "")))
            self._two = ui.label("").classes("soft").props('role="status"')
            self._corrected = ui.switch("Drift subtracted", value=look.is_corrected, on_change=self._styled)
            self._corrected.set_visibility(self._painter.rows.has_drift)

    async def _other_run(self, job_id: str) -> None:
        """Draw another run over this one, once its table is sorted."""
        self._two.set_text("")
        if job_id:
            try:
                other = await run.io_bound(self._results.load, job_id)
                assert other is not None
                preparation = self._results.prepare(other, "localizations")
                if preparation is not None:
                    self._two.set_text("The other table is sorted first ...")
                    await asyncio.wait([preparation.task])
                    preparation.task.result()
            except UserError as error:
                self._problem.set_text(shown(str(error)))
                return
            self._two.set_text("magenta: this run, green: the other one, white: both")
        self._now = dataclasses.replace(self._now, second=job_id)
        self._apply()

    def _typed_filter(self) -> None:
        self._typed = ui.input(
            "Filter, such as photons > 500 & uncertainty_xy < 20", value=self._now.look.filter
        )
        self._typed.props("dense outlined clearable data-key=view.filter").classes("w-full")
        self._typed.on("keydown.enter", self._styled).on("blur", self._styled).on("clear", self._styled)
        self._problem = problem("")

    def _filter(self, name: str, histogram: Histogram) -> None:
        low, high, step = _round_range(float(histogram.edges[0]), float(histogram.edges[-1]))
        ui.label(_TITLES[name]).classes("soft")
        ui.echart(_chart(histogram)).style("height:74px;width:100%").props(
            f'role="img" aria-label="{_TITLES[name]}"'
        )
        kept = {key: (lowest, min(highest, high)) for key, lowest, highest in self._now.limits}.get(
            name, (low, high)
        )
        slider = ui.range(min=low, max=high, step=step, value={"min": kept[0], "max": kept[1]})
        slider.props(f'label aria-label="{_TITLES[name]}: lowest and highest" data-filter="{name}"')
        slider.style("padding:0 26px 0 12px")
        slider.on("change", self._styled, throttle=0.2, leading_events=False)
        self._sliders.append((slider, name, low, high))

    def _reset(self) -> None:
        self._typed.value = ""
        for slider, _, low, high in self._sliders:
            slider.value = {"min": low, "max": high}
        self._styled()

    def _styled(self) -> None:
        """Take over what the controls say."""
        limits = []
        for slider, name, low, high in self._sliders:
            chosen = slider.value
            if chosen["min"] > low or chosen["max"] < high:
                # The last bin holds everything above.
                limits.append((name, chosen["min"], float("inf") if chosen["max"] >= high else chosen["max"]))
        look = Look(
            str(self._typed.value or ""),
            self._drawing.value,
            str(self._colors.value),
            float(self._contrast.value),
            bool(self._corrected.value),
        )
        now = dataclasses.replace(self._now, look=look, limits=tuple(limits))
        if now != self._now:
            self._now = now
            self._apply()

    def _other_table(self, source: Source) -> None:
        self._now = dataclasses.replace(self._now, source=source)
        self._remember()
        ui.navigate.reload()

    def _moved(self, box: Box) -> None:
        self._now = dataclasses.replace(self._now, box=box)
        self._remember()

    def _remember(self) -> None:
        if not self._keeps_address:
            return
        query = urlencode({"at": self._now.text()})
        ui.run_javascript(f"history.replaceState(null, '', location.pathname + '?' + {json.dumps(query)})")

    async def _apply_async(self) -> None:
        text = self._now.filter
        try:
            count = await run.io_bound(self._painter.rows.count, text)
        except UserError as error:
            self._problem.set_text(shown(str(error)))
            return
        if text != self._now.filter:
            return
        self._problem.set_text("")
        total = len(self._painter.table)
        self._count.set_text(f"{count:,} of {total:,} localizations shown")
        look = dataclasses.replace(self._now.look, filter=text)
        query = look_query(look, self._now.source, self._version, self._now.second)
        is_depth = look.colors == "depth" and not self._now.second
        depth = self._painter.table.depth_range_nm if is_depth else None
        self._viewer.show(query, depth)
        if self._sides is not None:
            self._sides.show(query)
        self._exports.clear()
        with self._exports:
            for ending, name in (("csv", "Filtered table (CSV)"), ("parquet", "(Parquet)")):
                ui.link(name, f"/api/table/{quote(self._job.id)}.{ending}?{query}").props("download")

    def _apply(self) -> None:
        self._remember()
        later(self._apply_async)


def _round_range(low: float, high: float) -> tuple[float, float, float]:
    """Return the ends of a slider and its step, as round numbers: they are read."""
    power = math.floor(math.log10(max(high - low, 1e-9) / 100))
    step = 10.0**power
    ends = (math.floor(low / step) * step, math.ceil(high / step) * step)
    return round(ends[0], max(-power, 0)), round(ends[1], max(-power, 0)), step


def _chart(histogram: Histogram) -> dict[str, Any]:
    centers = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    return {
        "animation": False,
        "grid": {"left": 4, "right": 4, "top": 4, "bottom": 18},
        "xAxis": {
            "type": "value",
            "min": float(histogram.edges[0]),
            "max": float(histogram.edges[-1]),
            "splitLine": {"show": False},
            # The ends are no round numbers.
            "axisLabel": {"fontSize": 10, "color": "#7d8b97", "showMinLabel": False, "showMaxLabel": False},
        },
        "yAxis": {"show": False},
        "tooltip": {"trigger": "axis"},
        "series": [
            {
                "type": "bar",
                "data": [
                    [float(f"{x:.4g}"), n] for x, n in zip(centers, histogram.counts.tolist(), strict=True)
                ],
                "barWidth": "90%",
                "color": "#0b5cad",
            }
        ],
    }
