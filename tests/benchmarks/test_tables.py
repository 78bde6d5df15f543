import csv
import io
import math

import pytest

from autods.io.result_tables import Table, mean_rows, number, read_rows


def test_csv_keeps_the_digits_and_every_column():
    table = Table("t", "Title", [{"a": 1 / 3, "b": "x,y"}, {"a": None, "c": 7}])
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert float(rows[0]["a"]) == pytest.approx(1 / 3, rel=1e-7)
    assert [row["b"] for row in rows] == ["x,y", ""]
    assert [row["c"] for row in rows] == ["", "7"]
    assert read_rows(table.to_csv()) == rows


def test_markdown_joins_a_mean_with_its_deviation():
    table = Table("t", "Title", [{"x": 1.23456, "x_sd": 0.05}, {"x": 4.0, "x_sd": None}])
    assert table.to_markdown().splitlines()[2:] == ["| x |", "| --- |", "| 1.23 ± 0.05 |", "| 4 |"]


@pytest.mark.parametrize(
    ("cell", "text"), [(None, "-"), (math.nan, "-"), (12345.6, "12346"), (0.05432, "0.0543"), (7, "7")]
)
def test_numbers_for_people(cell, text):
    assert number(cell) == text


def test_means_are_taken_group_by_group_and_skip_what_is_unknown():
    rows = [
        {"kind": "b", "x": 1.0},
        {"kind": "a", "x": 5.0},
        {"kind": "b", "x": 3.0},
        {"kind": "b", "x": math.nan},
    ]
    b, a = mean_rows(rows, ["kind"], ["x"])
    assert (b["kind"], b["n"], b["x"]) == ("b", 3, 2.0)
    assert b["x_sd"] == pytest.approx(math.sqrt(2))
    assert (a["x"], a["x_sd"]) == (5.0, None)
