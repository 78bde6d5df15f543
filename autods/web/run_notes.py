"""A run's title and notes, and where removed runs go."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autods.core import UserError
from autods.io.atomic import atomic_path, explained_writing
from autods.web.jobs import Job, view
from autods.web.run_files import read_json

NOTES_FILE = "notes.json"
#: Beside the runs; a name that no list shows.
TRASH = ".trash"
_LONGEST = {"title": 120, "text": 4000}


@dataclass(frozen=True)
class Notes:
    """What people wrote about a run.

    Parameters
    ----------
    title
        Shown instead of the movie's name; '' for that.
    text
        Anything.
    """

    title: str = ""
    text: str = ""


def read_notes(folder: Path) -> Notes:
    """Read the notes of a run; empty where there are none."""
    content = read_json(folder, NOTES_FILE)
    found = {name: str(content.get(name, ""))[:most] for name, most in _LONGEST.items()}
    return Notes(**found)


def write_notes(folder: Path, notes: Notes) -> None:
    """Write the notes of a run.

    Raises
    ------
    UserError
        If they are too long, or the folder cannot be written.
    """
    for name, most in _LONGEST.items():
        if len(getattr(notes, name)) > most:
            raise UserError(f"this is longer than {most} characters: shorten it")
    with atomic_path(folder / NOTES_FILE) as part:
        part.write_text(json.dumps(vars(notes), indent=2) + "\n", encoding="utf-8")


def remove(job: Job) -> None:
    """Put a run into the trash beside the runs, from where a person can take it back.

    Raises
    ------
    UserError
        If it goes on, or the folder cannot be written.
    """
    if view(job).is_unfinished:
        raise UserError("this run goes on: stop it first")
    target = job.folder.parent / TRASH / f"{time.strftime('%Y%m%d-%H%M%S')}_{job.id}"
    with explained_writing(target, job.folder):
        target.parent.mkdir(exist_ok=True)
        job.folder.rename(target)


def disk_bytes(folder: Path) -> int:
    """Return the bytes of a run's files; links are not followed."""
    with suppress(OSError):
        return sum(path.lstat().st_size for path in folder.rglob("*"))
    return 0
