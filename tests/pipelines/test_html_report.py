"""The report: complete, self-contained, and honest about positions that stick to the pixel grid."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from autods.core import LocalizationTable
from autods.pipelines.finish import Finished
from autods.pipelines.html_report import PatchRow, ReportContent, SettingRow, lattice_bias, render_report
from autods.postprocessing.drift import Drift
from autods.postprocessing.linking import link


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    return buffer.getvalue()


def finished(table: LocalizationTable) -> Finished:
    return Finished(
        table,
        table,
        link(table),
        Drift.off(range(50), 2, "not asked for"),
        np.zeros(len(table), int),
        0,
        range(50),
    )


def content(n: int = 2000, seed: int = 0) -> ReportContent:
    rng = np.random.default_rng(seed)
    table = LocalizationTable.build(
        rng.integers(0, 50, n),
        rng.uniform(0, 3200, n),
        rng.uniform(0, 3200, n),
        photons=rng.gamma(2, 500, n),
        uncertainty_xy_nm=rng.uniform(5, 30, n),
    )
    return ReportContent(
        title="AutoDS",
        movie="/data/<cell> & co.tif",
        shape=(50, 32, 32),
        pixel_size_nm=100.0,
        finished=finished(table),
        preview_png=png(),
        patches=[
            PatchRow((0, 0, 32, 16), "diff_1", "average level 1", 0.4, 7.5),
            PatchRow((0, 16, 32, 32), None, "no emitters", float("nan"), float("nan"), ("SNR 0.5 below 1",)),
        ],
        warnings=["the movie has one frame only"],
        settings=[SettingRow("optics.pixel_size_nm", "100 nm", "given")],
        stages=[("localize", 1.25)],
        versions={"autods": "0.1.0"},
        command="autods localize '/data/<cell> & co.tif'",
    )


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "img" and name == "src":
                self.images.append(value or "")
            elif name in {"src", "href"}:
                self.outside.append(value or "")


def test_everything_is_inside_the_file() -> None:
    html = render_report(content())
    parser = _Links()
    parser.feed(html)
    assert parser.outside == []
    assert "http" not in html
    assert len(parser.images) == 5
    for source in parser.images:
        prefix, _, data = source.partition(",")
        assert prefix == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] >= 8


def test_it_tells_what_was_done() -> None:
    told = content()
    html = render_report(told)
    for text in (
        "optics.pixel_size_nm",
        "given",
        "average level 1",
        "SNR 0.5 below 1",
        "one frame only",
        f"{np.median(told.finished.table.photons):,.0f}",
    ):
        assert text in html
    assert "&lt;cell&gt; &amp; co.tif" in html
    assert "<cell>" not in html


def test_an_empty_result_still_makes_a_report() -> None:
    html = render_report(replace(content(), finished=finished(LocalizationTable.empty()), patches=[]))
    assert "No localization was found" in html


def test_unknown_photons_are_said_to_be_unknown() -> None:
    table = content().finished.table
    nan = np.full(len(table), np.nan)
    html = render_report(replace(content(), finished=finished(replace(table, photons=nan))))
    assert re.search(r"<b>not known</b>\s*<span>photons, median", html)


def test_uniform_positions_show_no_lattice_bias() -> None:
    position = np.random.default_rng(1).uniform(0, 100, 20_000)
    assert lattice_bias(position) < 0.03


@pytest.mark.parametrize("grid", [1, 2, 4, 8])
def test_positions_on_a_grid_show_it(grid: int) -> None:
    rng = np.random.default_rng(2)
    position = (rng.integers(0, 1000, 5000) + rng.normal(0.5, 0.03, 5000)) / grid
    assert lattice_bias(position) > 0.9


def test_a_lattice_bias_is_warned_of() -> None:
    base = content()
    stuck = np.floor(base.finished.table.x_nm / 100) * 100 + 50
    warning = "prefer places within the pixel"
    assert warning in render_report(
        replace(base, finished=finished(replace(base.finished.table, x_nm=stuck)))
    )
    assert warning not in render_report(base)
