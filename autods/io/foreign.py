"""Files of other programs, which may be damaged or no such file at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autods.core.errors import UserError

#: Bytes that a byte of a compressed file can stand for: deflate reaches 1032.
MAX_RATIO = 2000
_SMALL = 2**20


@contextmanager
def read_by_library(complaint: str) -> Iterator[None]:
    """Turn whatever a library raises over a file's bytes into one line for the user.

    Only the library's own call belongs inside: cut off or broken bytes make parsers raise anything, from
    EOFError and IndexError to struct.error, and a list of them is never complete. Raises `UserError` in place
    of every other exception.

    Parameters
    ----------
    complaint
        Which file is wrong and what was expected; the library's own words follow.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{complaint}: {short(error)}") from error


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Keep a library's own log lines from the screen: what matters becomes our error."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def require_room(claimed: int, path: Path, what: str, ratio: int = MAX_RATIO) -> None:
    """Refuse what claims far more bytes in memory than the file can hold, before they are asked for.

    Raises `UserError` if the claim cannot be true.

    Parameters
    ----------
    claimed
        Bytes in memory.
    path
        The file.
    what
        Of what so many are claimed.
    ratio
        Bytes in memory that a stored byte can stand for, compressed.
    """
    if claimed > _SMALL and claimed > ratio * path.stat().st_size:
        raise UserError(f"{path} is damaged: it claims {claimed:,} bytes of {what}; copy or save it again")


def short(error: Exception) -> str:
    """Return the words of an error in one short line, or its name when it has none."""
    return " ".join(str(error).split())[:100] or type(error).__name__
