"""Files of other programs, which may be damaged or no such file at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autods.core import UserError


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
        In place of every exception.
    """
    try:
        yield
    except Exception as error:
        raise UserError(f"{complaint}: {str(error) or type(error).__name__}") from error
