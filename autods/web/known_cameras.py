"""What people confirmed of cameras that files name: the same camera in the same mode has the same numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from autods.core import UserError
from autods.io.atomic import write_json
from autods.web.fields import CAMERA
from autods.web.run_files import read_json

_LONGEST_NAME = 500


@dataclass(frozen=True)
class Confirmed:
    """Values of a camera by key, and the day on which a person confirmed them."""

    values: dict[str, str]
    day: str


class KnownCameras:
    """Confirmed values by camera, in one file, which is made with the first of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, camera: str) -> Confirmed:
        """Return what is confirmed of a camera; nothing where nobody has, or the file holds anything else."""
        found = self._read().get(camera, {})
        values = found.get("values", {}) if isinstance(found, dict) else {}
        known = {
            field.key: text
            for field in CAMERA
            if isinstance(values, dict) and isinstance(text := values.get(field.key), str)
            if text and field.problem(text) is None
        }
        return Confirmed(known, str(found.get("day", ""))[:10] if known else "")

    def confirm(self, camera: str, values: dict[str, str]) -> None:
        """Keep what a person says of a camera, in the place of what was said before.

        Raises `UserError` if the file does not name its camera, nothing is said, or the file cannot be
        written.
        """
        if not 0 < len(camera) <= _LONGEST_NAME:
            raise UserError("the movie does not name its camera: save the values under a name instead")
        if not values:
            raise UserError("nothing is entered: enter what is known of the camera first")
        content = self._read()
        content[camera] = {"values": values, "day": time.strftime("%Y-%m-%d")}
        write_json(self._path, content)

    def _read(self) -> dict[str, dict[str, object]]:
        return read_json(self._path.parent, self._path.name)
