"""Microscopes and cameras that users saved."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from autods.core import UserError
from autods.io.atomic import write_json
from autods.web.run_files import read_json

PresetKind = Literal["optics", "camera"]
_LONGEST_NAME = 60


class Presets:
    """Named sets of form values in one file, which is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, kind: PresetKind) -> list[str]:
        """Return the names, in alphabetical order."""
        return sorted(self._read().get(kind, {}))

    def get(self, kind: PresetKind, name: str) -> dict[str, str]:
        """Return the values of a preset by key; nothing when there is no such preset."""
        return self._read().get(kind, {}).get(name, {})

    def save(self, kind: PresetKind, name: str, values: dict[str, str]) -> None:
        """Save values under a name, in the place of what had this name.

        Raises `UserError` if the name is empty or too long, or the file cannot be written.
        """
        name = name.strip()
        if not 0 < len(name) <= _LONGEST_NAME:
            raise UserError(f"a preset needs a name of 1 to {_LONGEST_NAME} characters: give one")
        content = self._read()
        content.setdefault(kind, {})[name] = values
        write_json(self._path, content)

    def _read(self) -> dict[str, dict[str, dict[str, str]]]:
        return read_json(self._path.parent, self._path.name)
