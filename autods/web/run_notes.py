"""A run's title and notes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autods.core import UserError
from autods.io.atomic import write_json
from autods.web.run_files import read_json

NOTES_FILE = "notes.json"
_LONGEST = {"title": 120, "text": 4000}


@dataclass(frozen=True)
class Notes:
    """What people wrote about a run."""

    #: Shown instead of the movie's name; '' for that.
    title: str = ""
    #: Anything.
    text: str = ""


def read_notes(folder: Path) -> Notes:
    """Read the notes of a run; empty where there are none."""
    content = read_json(folder, NOTES_FILE)
    found = {name: str(content.get(name, ""))[:most] for name, most in _LONGEST.items()}
    return Notes(**found)


def write_notes(folder: Path, notes: Notes) -> None:
    """Write the notes of a run.

    Raises `UserError` if they are too long, or the folder cannot be written.
    """
    for name, most in _LONGEST.items():
        if len(getattr(notes, name)) > most:
            raise UserError(f"this is longer than {most} characters: shorten it")
    write_json(folder / NOTES_FILE, vars(notes))
