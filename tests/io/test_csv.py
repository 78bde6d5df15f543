import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.core import UserError
from autods.io.csv import format_rows, read_columns, read_header


def _format(values, decimals):
    return b"".join(format_rows({"a": np.asarray(values)}, {"a": decimals})).decode()


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.integers(0, 4))
def test_numbers_are_what_python_would_write(values, decimals):
    lines = _format(values, decimals).split("\n")
    assert lines.pop() == ""
    for line, value in zip(lines, values, strict=True):
        assert len(line.partition(".")[2]) == decimals
        assert float(line) == pytest.approx(value, rel=1e-14, abs=0.5000001 * 10**-decimals)
        assert line == "0" or not line.lstrip("-").startswith("0") or line.lstrip("-")[1:2] == "."


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0, 2, "0.00"),
        (-0.001, 2, "0.00"),
        (-12.5, 1, "-12.5"),
        (0.05, 2, "0.05"),
        (7, 0, "7"),
        (0, 0, "0"),
        (100, 0, "100"),
        (999.996, 2, "1000.00"),
        (np.nan, 2, "NaN"),
        (np.inf, 0, "NaN"),
        (1e300, 0, "NaN"),
    ],
)
def test_single_numbers(value, decimals, text):
    assert _format([value], decimals) == text + "\n"


def test_numbers_of_different_length_in_one_block():
    assert _format([3.25, np.nan, 1234.5, -0.5], 2) == "3.25\nNaN\n1234.50\n-0.50\n"


def test_more_rows_than_a_block_holds():
    rows = np.arange(150_000)
    lines = b"".join(format_rows({"a": rows, "b": rows / 4}, {"a": 0, "b": 2})).splitlines()
    assert lines[0] == b"0,0.00"
    assert lines[70_000] == b"70000,17500.00"
    assert len(lines) == 150_000


@pytest.mark.parametrize(
    "text", ['"a","b [nm]"\n1,2\n', "a;b [nm]\n1;2\n", "# a\tb [nm]\n1\t2\n\n", "\ufeffa,b [nm]\r\n1,2\r\n"]
)
def test_headers_and_delimiters(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8", newline="")
    header = read_header(path)
    assert header.names == ("a", "b [nm]")
    assert {name: column.tolist() for name, column in read_columns(path, header).items()} == {
        "a": [1],
        "b [nm]": [2],
    }


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,b\n1,2\n3\n", "a,b\n1,x\n", "a,b\n1,2,3\n"])
def test_broken_tables_give_one_line(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_columns(path, read_header(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
