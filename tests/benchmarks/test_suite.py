import csv
from dataclasses import dataclass

import pytest

from autods.core import UserError
from autods.io.result_tables import Table
from benchmarks.page import write_page
from benchmarks.style import grouped_bars, grouped_points, lines, panels
from benchmarks.suite import SuiteResult, commit, machine, run_suite


@dataclass(frozen=True)
class Made:
    name: str = "made"

    def run(self):
        figure, axes = panels(3)
        grouped_bars(axes[0], ["a", "b"], {"one": [1, 2], "two": [2, float("nan")]}, "label")
        grouped_points(axes[2], ["a", "b"], {"one": [1, 2]}, {"one": [0.1, 0.2]}, "label")
        lines(axes[1], [1, 2], {"one": [3, 4]}, ("x", "y"))
        tables = [Table("results", "First", [{"a": 0.25}]), Table("more", "Second", [{"b": 2}])]
        return SuiteResult("What was compared", tables, {"picture": figure}, ["A note."])


def test_a_suite_leaves_tables_figures_and_where_they_come_from(tmp_path):
    out = tmp_path / "new" / "folder"
    run_suite(Made(), out, "autods benchmark suite=made")
    names = {"results.csv", "more.csv", "results.md", "suite.json", "picture.png", "picture.pdf"}
    assert {path.name for path in out.iterdir()} == names
    with (out / "results.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"a": "0.25"}]
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "picture.pdf").read_bytes().startswith(b"%PDF")
    page = (out / "results.md").read_text()
    for text in (
        "## What was compared",
        "### Second",
        "* A note.",
        "![picture](picture.png)",
        "`autods benchmark suite=made`",
        machine(),
        commit(),
    ):
        assert text in page


def test_one_page_shows_all_suites_below_a_folder(tmp_path):
    run_suite(Made(), tmp_path / "a", "first command")
    run_suite(Made(), tmp_path / "b" / "c", "second command")
    page = write_page(tmp_path).read_text()
    for text in ("first command", "second command", "<td>0.25</td>", "A note.", 'href="b/c/more.csv"'):
        assert text in page
    assert page.count("data:image/png;base64,iVBOR") == 2
    assert write_page(tmp_path / "a").read_text().count("<h2") == 1
    with pytest.raises(UserError, match="no results"):
        write_page(tmp_path / "nowhere")


def test_what_fails_leaves_no_page(tmp_path):
    class Failing(Made):
        def run(self):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_suite(Failing(), tmp_path, "")
    assert not list(tmp_path.iterdir())
