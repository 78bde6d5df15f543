"""Filtering a table by an expression over its columns, which is parsed and never evaluated as a program."""

from __future__ import annotations

import ast
import io
import operator
import tokenize
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError

#: Short names and those of ThunderSTORM beside the names of the columns.
_ALIASES = {
    "x": "x_nm",
    "y": "y_nm",
    "z": "z_nm",
    "sigma": "sigma_nm",
    "intensity": "photons",
    "offset": "background",
    "bkgstd": "background_std",
    "uncertainty": "uncertainty_xy_nm",
    "uncertainty_xy": "uncertainty_xy_nm",
    "uncertainty_z": "uncertainty_z_nm",
}
_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_WORDS = {"&": "and", "|": "or", "!": "not", "~": "not"}
_LONGEST = 1000
_EXAMPLE = 'for instance filter="photons > 500 & uncertainty_xy < 20"'

Values = NDArray[Any]


def check_filter(text: str) -> None:
    """Refuse an expression that cannot be one, before any work is done.

    Raises `UserError` naming what is wrong.

    Examples
    --------
    >>> check_filter("photons > 500 & uncertainty_xy < 20")
    >>> check_filter("photons >")
    Traceback (most recent call last):
    autods.core.errors.UserError: filter='photons >' cannot be read: write comparisons, ...
    """
    none = LocalizationTable.empty(is_3d=True)
    _mask(_parse(text), text, none.columns() | {"fiducial": none.frame})


def filter_rows(
    table: LocalizationTable, text: str, more: Mapping[str, Values] | None = None
) -> NDArray[np.bool_]:
    """Tell which localizations fulfil an expression.

    Comparisons of columns, numbers and sums, products and powers of both, joined by ``&``, ``|``, ``!`` (or
    ``and``, ``or``, ``not``) and brackets. A comparison with an unknown value (NaN) is not fulfilled. Returns
    (N,) bool. Raises `UserError` if the expression cannot be read or names a column that the table lacks.

    Parameters
    ----------
    table
        The localizations.
    text
        The expression, in the columns of `LocalizationTable` with or without their unit, or ThunderSTORM's
        names; frames count from 0, lengths are in nm.
    more
        Further columns (N,) by name, such as ``fiducial``.
    """
    return filter_columns(table.columns() | dict(more or {}), text)


def filter_columns(columns: Mapping[str, Values], text: str) -> NDArray[np.bool_]:
    """Tell which rows of a table given by its columns fulfil an expression, as `filter_rows` does.

    Returns (N,) bool. Raises `UserError` as `filter_rows`.

    Parameters
    ----------
    columns
        (N,) values by the names of `LocalizationTable`.
    text
        The expression.

    Examples
    --------
    >>> import numpy as np
    >>> filter_columns({"photons": np.array([300.0, 900.0])}, "photons > 500").tolist()
    [False, True]
    """
    length = len(next(iter(columns.values())))
    mask: NDArray[np.bool_] = np.broadcast_to(_mask(_parse(text), text, columns), length)
    return mask


def _parse(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise UserError(f"filter is {len(text)} characters long: give at most {_LONGEST}")
    try:
        words = [
            (tokenize.NAME, _WORDS[token.string]) if token.string in _WORDS else (token.type, token.string)
            for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline)
        ]
        # "&&" comes as two signs.
        joined = [
            word
            for i, word in enumerate(words)
            if i == 0 or word != words[i - 1] or word[1] not in ("and", "or")
        ]
        return ast.parse(tokenize.untokenize(joined).strip(), mode="eval").body
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"filter={text!r} cannot be read: write comparisons, {_EXAMPLE}") from error


def _mask(node: ast.expr, text: str, columns: Mapping[str, Values]) -> Values:
    """Return the truth of a condition, row by row."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return np.asarray(np.logical_and.reduce([_mask(part, text, columns) for part in parts]))
        case ast.BoolOp(op=ast.Or(), values=parts):
            return np.asarray(np.logical_or.reduce([_mask(part, text, columns) for part in parts]))
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return np.logical_not(_mask(inner, text, columns))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            values = [_value(part, text, columns) for part in (left, *rights)]
            truths = []
            for first, op, second in zip(values[:-1], ops, values[1:], strict=True):
                if type(op) not in _COMPARISONS:
                    raise _unreadable(text, "use <, <=, >, >=, == or !=")
                truth = _COMPARISONS[type(op)](first, second)
                # The other comparisons are false with NaN by themselves.
                is_unequal = isinstance(op, ast.NotEq)
                truths.append(truth & ~np.isnan(first) & ~np.isnan(second) if is_unequal else truth)
            return np.asarray(np.logical_and.reduce(truths))
    raise _unreadable(text, "it must be comparisons joined by &, | and !")


def _value(node: ast.expr, text: str, columns: Mapping[str, Values]) -> Values:
    """Return the value of a sum, product, column or number."""
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return np.asarray(float(number))
        case ast.Name(id=name):
            return np.asarray(_column(name, columns), np.float64)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, text, columns)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            with np.errstate(all="ignore"):
                first, second = _value(left, text, columns), _value(right, text, columns)
                return np.asarray(_ARITHMETIC[type(op)](first, second))
    raise _unreadable(text, "compare columns and numbers only")


def _column(name: str, columns: Mapping[str, Values]) -> Values:
    known = _ALIASES.get(name.lower(), name.lower())
    for candidate in (known, f"{known}_nm"):
        if candidate in columns:
            return columns[candidate]
    listed = ", ".join(column.removesuffix("_nm") for column in columns)
    raise UserError(f"filter names {name!r}, which is no column of this table: it has {listed}")


def _unreadable(text: str, advice: str) -> UserError:
    return UserError(f"filter={text!r} cannot be read: {advice}, {_EXAMPLE}")
