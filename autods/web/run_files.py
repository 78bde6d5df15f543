"""Reading files of a run folder, which anyone may have put there: regular files inside of it, and no more."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from autods.core import UserError

#: Longest JSON or text file that is read.
MAX_TEXT_BYTES = 32 << 20
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


def open_file(folder: Path, name: str) -> BinaryIO:
    """Open a file of a run folder for reading.

    Links within the folder are followed; what they or ``..`` lead outside to, hidden files, pipes and devices
    are refused. Whether they exist is not told. Raises `UserError` if there is no such file.

    Parameters
    ----------
    folder
        The run folder.
    name
        Path below it, with ``/`` between.
    """
    missing = UserError("there is no such file in this run")
    if "\0" in name or any(part.startswith(".") for part in Path(name).parts):
        raise missing
    try:
        real = (folder / name).resolve(strict=True)
        if not real.is_relative_to(folder.resolve(strict=True)):
            raise missing
        # What was resolved is no link any more; if somebody made it one since, it is refused.
        handle = os.open(real, _FLAGS)
    except (OSError, RuntimeError, ValueError) as error:
        raise missing from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise missing
    return os.fdopen(handle, "rb")


def file_stat(folder: Path, name: str) -> os.stat_result | None:
    """Return size and times of a file that `open_file` opens; None where it opens none."""
    try:
        with open_file(folder, name) as file:
            return os.fstat(file.fileno())
    except UserError:
        return None


def modified(folder: Path, name: str) -> float:
    """Return when a file was changed, seconds since 1970; 0 where there is none."""
    found = file_stat(folder, name)
    return 0.0 if found is None else found.st_mtime


def read_text(folder: Path, name: str) -> str:
    """Read a text file; '' where there is none, or where it is too long to be one of ours."""
    try:
        with open_file(folder, name) as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except (UserError, OSError):
        return ""
    return "" if len(data) > MAX_TEXT_BYTES else data.decode("utf-8", "replace")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none."""
    try:
        content = json.loads(read_text(folder, name))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def tail(folder: Path, name: str, n_bytes: int = 65536) -> str:
    """Return the end of a text file, from a whole line on; '' where it cannot be read."""
    try:
        with open_file(folder, name) as file:
            size = file.seek(0, 2)
            file.seek(max(size - n_bytes, 0))
            data = file.read(n_bytes)
    except (UserError, OSError):
        return ""
    if size > n_bytes:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", errors="replace")


def create_file(path: Path) -> BinaryIO:
    """Make a file anew for writing; a link in its place is an error and not followed.

    Raises `OSError` if it cannot be written.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb")
