"""Tables of numbers as text: fast, and the same bytes on every machine."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError

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


def read_header(path: Path) -> list[str]:
    """Read the column names of a CSV file, without quotes; empty when its first line is no text.

    Raises
    ------
    UserError
        If the file is missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(100_000)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: check the name") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    try:
        text = first.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = first.decode("latin-1")
    return [name.strip().strip('"').strip() for name in re.split(r"[,;\t]", text.lstrip("# ").strip())]


def read_columns(path: Path, names: list[str]) -> dict[str, NDArray[np.float64]]:
    """Read all columns of a CSV file with one header line.

    Parameters
    ----------
    path
        The file.
    names
        Its column names, from `read_header`.

    Raises
    ------
    UserError
        If a line does not hold as many numbers as the header has names.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline()
        delimiter = next((mark for mark in (",", ";", "\t") if mark in header), ",")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*input contained no data.*")
                values = np.loadtxt(file, delimiter=delimiter, ndmin=2)
        except ValueError as error:
            raise UserError(f"{path} is not a whole table of numbers: {_first_line(error)}") from error
    if not values.size:
        return {name: np.zeros(0) for name in names}
    if values.shape[1] != len(names):
        raise UserError(f"{path} has {len(names)} names for {values.shape[1]} columns: export it again")
    return {name: np.ascontiguousarray(values[:, i]) for i, name in enumerate(names)}


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0].split("; use")[0]
