"""Runs that were removed: kept beside the others until a person deletes them for good."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autods.core import UserError
from autods.io.atomic import explained_writing
from autods.web.jobs import Job, view

#: Beside the runs; a name that no list shows.
TRASH = ".trash"
_NAME = re.compile(r"(?P<when>\d{8}-\d{6})_(?P<run>[^/\\.][^/\\]*)")
_STAMP = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Removed:
    """A run in the trash."""

    #: Of its folder there.
    name: str
    #: Its name as a run.
    run: str
    #: When it was removed, for people.
    when: str
    #: Of its files.
    n_bytes: int


def remove(job: Job) -> None:
    """Put a run into the trash beside the runs, from where a person can take it back.

    Raises `UserError` if it goes on, or the folder cannot be written.
    """
    if view(job).is_unfinished:
        raise UserError("this run goes on: stop it first")
    target = job.folder.parent / TRASH / f"{time.strftime(_STAMP)}_{job.id}"
    with explained_writing(target, job.folder):
        target.parent.mkdir(exist_ok=True)
        job.folder.rename(target)


def removed_runs(runs: Path) -> list[Removed]:
    """Return what lies in the trash of a folder of runs, the latest first."""
    trash = runs / TRASH
    if trash.is_symlink() or not trash.is_dir():
        return []
    found = []
    for path in trash.iterdir():
        named = _NAME.fullmatch(path.name)
        if named is not None and path.is_dir() and not path.is_symlink():
            with suppress(ValueError):
                when = time.strftime("%Y-%m-%d %H:%M", time.strptime(named["when"], _STAMP))
                found.append(Removed(path.name, named["run"], when, disk_bytes(path)))
    return sorted(found, key=lambda run: run.name, reverse=True)


def restore(runs: Path, name: str) -> str:
    """Put a run back among the others, and return its name.

    Raises `UserError` if it is not in the trash, there is another one of its name, or the folder cannot be
    written.
    """
    path, run = _in_trash(runs, name)
    if (runs / run).exists():
        raise UserError(f"there is a run {run} already: remove or rename its folder first")
    with explained_writing(runs / run, path):
        path.rename(runs / run)
    return run


def delete(runs: Path, name: str) -> None:
    """Delete a run of the trash for good.

    Raises `UserError` if it is not in the trash, or its files cannot be deleted.
    """
    path, _ = _in_trash(runs, name)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise UserError(f"{path} could not be deleted ({error.strerror}): delete it by hand") from error


def disk_bytes(folder: Path) -> int:
    """Return the bytes of a run's files; links are not followed."""
    with suppress(OSError):
        return sum(path.lstat().st_size for path in folder.rglob("*"))
    return 0


def _in_trash(runs: Path, name: str) -> tuple[Path, str]:
    path, named = runs / TRASH / name, _NAME.fullmatch(name)
    if named is None or (runs / TRASH).is_symlink() or path.is_symlink() or not path.is_dir():
        raise UserError(f"{name} is not in the trash: it may be back among the runs")
    return path, named["run"]
