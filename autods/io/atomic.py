"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autods.core.errors import UserError

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "the file system takes no file of this size: choose another disk",
    errno.EACCES: "no permission to write there: choose another folder",
    errno.EPERM: "no permission to write there: choose another folder",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another folder",
    errno.EISDIR: "a folder of that name is in the way: choose another name",
    errno.EEXIST: "a file is in the way of a folder: choose another folder",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` on success, delete it on failure.

    Parent folders are made when absent. An existing file is replaced in one step, so that a reader never
    meets half a file. Raises `UserError` if the disk is full, read-only or not writable by this user.

    Yields
    ------
    Path
        Where to write instead; it keeps the suffix of ``path``.
    """
    target = Path(path)
    part = target.with_name(f".{target.stem[:100]}.{uuid.uuid4().hex[:8]}.part{target.suffix}")
    try:
        with explained_writing(target, part):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield part
            _flush(part)
            part.replace(target)
    finally:
        if os.path.lexists(part):
            part.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, replaced in one step; see `atomic_path`.

    Names of files that are no text keep their bytes spelled out.
    """
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write content as JSON that people can read; see `write_text`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def explained_writing(target: Path, *further: Path) -> Iterator[None]:
    """Turn what the system says of a file that cannot be written into a line for the user.

    Raises `UserError` if the disk is full, read-only or not writable by this user.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = _reason(error, {target, *target.parents, *further})
        if reason is None:
            raise
        raise UserError(f"cannot write {target}: {reason}") from error


def _flush(part: Path) -> None:
    """Wait until the data are on the disk: network disks report that they are full only then."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def _reason(error: OSError | RuntimeError, ours: set[Path]) -> str | None:
    """Explain a failure of writing; None when the error is about something else."""
    code = getattr(error, "errno", None)
    if code is None:
        # HDF5 states the number in its message only; numpy's tofile states none at all.
        stated = re.search(r"errno = (\d+)", str(error))
        short = re.search(r"\d+ requested and \d+ written", str(error))
        code = int(stated[1]) if stated else errno.ENOSPC if short else None
    filename = getattr(error, "filename", None)
    if filename is not None and Path(filename) not in ours:
        return None
    return None if code is None else _REASONS.get(code)
