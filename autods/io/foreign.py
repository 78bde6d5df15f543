"""Files of other programs, which may be damaged or no such file at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autods.core.errors import UserError


@contextmanager
def read_by_library(complaint: str) -> Iterator[None]:
    """Turn whatever a library raises over a file's bytes into one line for the user.

    Only the library's own call belongs inside: cut off or broken bytes make parsers raise anything, from
    EOFError and IndexError to struct.error, and a list of them is never complete.

    Parameters
    ----------
    complaint
        Which file is wrong and what was expected; the library's own words follow.

    Raises
    ------
    UserError
        In place of every other exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{complaint}: {short(error)}") from error


def short(error: Exception) -> str:
    """Return the words of an error in one short line, or its name when it has none."""
    return " ".join(str(error).split())[:100] or type(error).__name__
