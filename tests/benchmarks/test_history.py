"""A history grows by the rows of each run, and says where they are from."""

from __future__ import annotations

from pathlib import Path

import pytest

from autods.cli.main import main
from autods.core import UserError
from autods.io.result_tables import Table
from benchmarks.history import append_history, read_history
from benchmarks.suite import SuiteResult
from tests.docs.pages import ROOT


def result(**cells: float) -> SuiteResult:
    return SuiteResult("A title", [Table("results", "Results", [{"program": "autods", **cells}])])


def test_rows_are_kept_and_appended(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    append_history(path, "throughput", result(stage_fps=10.0))
    first = path.read_text()
    append_history(path, "uniform", result(jaccard=0.5))
    rows = read_history(path)
    assert [row["suite"] for row in rows] == ["throughput", "uniform"]
    assert [(row["stage_fps"], row["jaccard"]) for row in rows] == [("10", ""), ("", "0.5")]
    assert first.splitlines()[1] in path.read_text()
    assert all(row["commit"] and "cores" in row["machine"] and row["date"].endswith("+00:00") for row in rows)


def test_another_table_is_no_history(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("frame,x [nm]\n1,2\n")
    with pytest.raises(UserError, match="is no history of benchmarks"):
        append_history(path, "throughput", result(stage_fps=10.0))
    assert path.read_text() == "frame,x [nm]\n1,2\n"


def test_the_kept_history_is_one() -> None:
    rows = read_history(ROOT / "benchmarks" / "data" / "history.csv")
    assert rows
    assert {row["suite"] for row in rows} == {"throughput"}
    assert all(float(row["stage_fps"]) > 0 and 0 < float(row["jaccard"]) <= 1 for row in rows)


@pytest.mark.slow
def test_the_command_appends(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    words = ["benchmark", "suite=fast/throughput", "device=cpu", f"history={path}"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert [row["suite"] for row in read_history(path)] == ["throughput"]
