"""Tables of numbers as text: fast, and the same bytes on every machine."""

from __future__ import annotations

import codecs
import csv
import logging
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.io.foreign import read_by_library

_log = logging.getLogger(__name__)

_HEADER_BYTES = 100_000
_UNKNOWN = ("", "nan", "na", "n/a", "null", "none", "-", "inf", "-inf", "infinity")
_NUMBER = re.compile(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?")
#: Rows formatted at once.
_BLOCK = 1 << 16
#: Above this a number does not fit 64 bits.
_LARGEST = 9e18
_COMMA, _NEWLINE = np.uint8(ord(",")), np.uint8(ord("\n"))


def format_rows(columns: Mapping[str, NDArray[Any]], decimals: Mapping[str, int]) -> Iterator[bytes]:
    """Format columns as lines of comma-separated values.

    Parameters
    ----------
    columns
        (N,) arrays by name.
    decimals
        Digits after the point of each column; 0 writes no point.

    Yields
    ------
    bytes
        Many lines at once, each ended by a line feed. What is not finite is written as ``NaN``, which both
        Java (ThunderSTORM) and Python read.
    """
    n_rows = len(next(iter(columns.values())))
    for start in range(0, n_rows, _BLOCK):
        stop = min(start + _BLOCK, n_rows)
        parts = []
        for name, column in columns.items():
            parts += [_characters(column[start:stop], decimals[name]), np.full((1, stop - start), _COMMA)]
        parts[-1][:] = _NEWLINE
        block = np.ascontiguousarray(np.concatenate(parts).T)
        yield block[block != 0].tobytes()


def _characters(values: NDArray[Any], decimals: int) -> NDArray[np.uint8]:
    """Write numbers in decimal, all at once: (width, N) ASCII codes, 0 where there is no character."""
    scaled = np.rint(np.abs(values.astype(np.float64)) * 10.0**decimals)
    unknown = ~(scaled < _LARGEST)
    left = np.where(unknown, 0, scaled).astype(np.int64)
    sign = np.where((values < 0) & (left > 0), np.uint8(ord("-")), np.uint8(0))
    rows: list[NDArray[np.uint8]] = []
    while len(rows) <= decimals or left.any():
        tens = left // 10
        digit = (left - 10 * tens + ord("0")).astype(np.uint8)
        if len(rows) > decimals:
            digit[left == 0] = 0  # a leading zero
        rows.append(digit)
        left = tens
    characters = np.stack([sign, *reversed(rows)])
    if decimals:
        point = np.full((1, len(values)), np.uint8(ord(".")))
        characters = np.concatenate([characters[:-decimals], point, characters[-decimals:]])
    if unknown.any():
        pad = np.zeros((max(3 - len(characters), 0), len(values)), np.uint8)
        characters = np.concatenate([characters, pad])
        characters[:, unknown] = 0
        characters[:3, unknown] = np.frombuffer(b"NaN", np.uint8)[:, None]
    return characters


@dataclass(frozen=True)
class Header:
    """The lines before the numbers of a table."""

    #: Column names without quotes; empty when the file is no table.
    names: tuple[str, ...]
    #: Lines before the names that begin with ``#``, without it.
    comments: tuple[str, ...]
    #: Lines before the first row.
    n_lines: int
    #: Between the cells; None for white space.
    delimiter: str | None
    #: Of the text.
    encoding: str
    #: Whether numbers are written with a comma.
    is_decimal_comma: bool


def read_header(path: Path) -> Header:
    """Read the lines before the numbers of a table that some program or spreadsheet wrote.

    Raises `UserError` if the file is missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: check the name") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    encoding = _encoding(start)
    lines = start.decode(encoding, errors="replace").split("\n")
    lines = [line.rstrip("\r") for line in lines]
    n_lines = 0
    separator = re.fullmatch(r"sep=(.)", lines[0].strip())  # Excel's hint
    if separator:
        n_lines = 1
    comments = []
    while n_lines < len(lines) and lines[n_lines].startswith("#"):
        comments.append(lines[n_lines].lstrip("# ").strip())
        n_lines += 1
    line = lines[n_lines] if n_lines < len(lines) else ""
    if comments and not _holds_words(line):
        line = comments[-1]  # the names themselves are a comment
    else:
        n_lines += 1
    delimiter = separator[1] if separator else next((mark for mark in ("\t", ";", ",") if mark in line), None)
    with read_by_library(f"{path} is no localization table"):
        cells = next(csv.reader([line], delimiter=delimiter or " ", skipinitialspace=True), [])
    names = [cell.strip().strip('"').strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    first = next((row for row in lines[n_lines:-1] if row.strip()), "")
    decimal_comma = delimiter in (";", "\t", None) and bool(re.search(r"\d,\d", first)) and "." not in first
    return Header(tuple(names), tuple(comments), n_lines, delimiter, encoding, decimal_comma)


def _encoding(start: bytes) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return name
    try:
        start[: start.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _holds_words(line: str) -> bool:
    """Whether a line names columns, and is no row of numbers."""
    cells = [cell.strip().strip('"') for cell in re.split(r"[\t;, ]", line) if cell.strip()]
    return any(
        re.search(r"[a-zA-Z]{1}", cell) and cell.lower() not in _UNKNOWN
        for cell in cells
        if not _NUMBER.fullmatch(cell)
    )


def read_columns(
    path: Path, header: Header, wanted: Collection[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Read the columns of a table.

    Returns (N,) by name; an empty cell is NaN. Raises `UserError` if a row has more or fewer cells than there
    are names, or a wanted cell is no number.

    Parameters
    ----------
    path
        The file.
    header
        From `read_header`.
    wanted
        Names of the columns that must hold numbers, others are left out where they do not; None for all.
    """
    try:
        values = _read_clean(path, header)
    except Exception:  # noqa: BLE001 whatever is irregular is looked at row by row
        with read_by_library(f"{path} is not a whole table of numbers"):
            return _read_patient(path, header, set(header.names if wanted is None else wanted))
    return {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(header.names)}


def _rows(path: Path, header: Header) -> Iterator[str]:
    with path.open(encoding=header.encoding, errors="replace") as file:
        for _ in range(header.n_lines):
            file.readline()
        yield from file


def _read_clean(path: Path, header: Header) -> NDArray[np.float64]:
    """Read a table without any irregularity: fast."""
    rows = _rows(path, header)
    if header.is_decimal_comma:
        rows = (row.replace(",", ".") for row in rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input contained no data.*")
        values = np.loadtxt(rows, delimiter=header.delimiter, ndmin=2, quotechar='"', comments=None)
    if not values.size:
        return np.zeros((0, len(header.names)))
    if values.shape[1] != len(header.names):
        raise ValueError("columns")
    return values


def _read_patient(path: Path, header: Header, wanted: set[str]) -> dict[str, NDArray[np.float64]]:
    """Read a table with empty cells, quotes or texts row by row."""
    names = header.names
    columns: list[list[float]] = [[] for _ in names]
    is_text = [False] * len(names)
    rows = list(
        csv.reader(
            _rows(path, header), delimiter=header.delimiter or " ", skipinitialspace=not header.delimiter
        )
    )
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    for number, row in enumerate(rows):
        while len(row) > len(names) and not row[-1].strip():
            row.pop()
        if len(row) != len(names):
            if number == len(rows) - 1 and number and len(row) < len(names) and not _ends_with_newline(path):
                _log.warning("%s: its last row is cut off and left out, %d rows are read", path, number)
                break
            raise UserError(
                f"{path} is not a whole table: row {number + 1} has {len(row)} cells for {len(names)} columns"
            )
        for i, cell in enumerate(row):
            value = _number(cell)
            if value is None and names[i] in wanted:
                raise UserError(f"{path}: row {number + 1}, column {names[i]}: {cell[:40]!r} is no number")
            is_text[i] |= value is None
            columns[i].append(np.nan if value is None else value)
    found = zip(names, columns, is_text, strict=True)
    return {name: np.array(column, np.float64) for name, column, text in found if not text}


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in b"\r\n"


def _number(cell: str) -> float | None:
    """Read a number as spreadsheets write it; NaN for nothing, None for a text."""
    text = cell.strip().strip('"').strip()
    if text.lower() in _UNKNOWN:
        return float("nan")
    if "," in text:
        # A comma in a cell is a decimal one; a point before it then groups thousands.
        text = text.replace(".", "").replace(",", ".") if text.count(",") == 1 else text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return None
