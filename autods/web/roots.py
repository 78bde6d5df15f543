"""The folders that the page may read and write: those named at start, and nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autods.core import UserError

#: Entries of a folder that are listed at most.
MAX_ENTRIES = 2000
_UNSAFE = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Entry:
    """A file or folder of a listing."""

    path: Path
    is_folder: bool
    n_bytes: int
    modified: float

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.name


class Roots:
    """Folders named at start.

    Raises `UserError` if one of them is no folder that can be read.

    Parameters
    ----------
    folders
        The folders; new files go to the first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(dict.fromkeys(folder.resolve() for folder in folders))
        for folder in self.folders:
            if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
                raise UserError(f"--data {folder} is no folder that can be read: correct the path")

    def resolve(self, text: str | Path) -> Path:
        """Return an existing path, links and ``..`` resolved.

        Whether a path outside exists is not told. Raises `UserError` if it lies outside of the folders, or
        does not exist.
        """
        path = self.inside(text)
        if not path.exists():
            raise UserError(f"{path} does not exist: check the name")
        return path

    def inside(self, text: str | Path) -> Path:
        """Return a path inside the folders, which need not exist, links and ``..`` resolved.

        Raises `UserError` if it lies outside.
        """
        if "\0" in str(text):
            raise UserError("a path cannot hold a null character: correct it")
        path = self.folders[0] / text
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:
            raise UserError(f"{text} is no path that can be followed: correct it") from error
        if not any(real.is_relative_to(folder) for folder in self.folders):
            names = ", ".join(map(str, self.folders))
            raise UserError(f"{text} is outside of the folders that this page may use ({names})")
        return real

    def movie(self, text: str | Path) -> Path:
        """Return an existing movie; a folder (Zarr, numbered images) must not link to the outside.

        Raises `UserError` as `resolve`, and for such a link.
        """
        path = self.resolve(text)
        if path.is_dir():
            for parent, folders, files in os.walk(path):
                for name in (*folders, *files):
                    if (Path(parent) / name).is_symlink():
                        self.inside(Path(parent) / name)
        return path

    def listing(self, folder: str | Path) -> list[Entry]:
        """List a folder: folders first, by name; hidden entries and links to the outside are left out.

        Raises `UserError` if it lies outside, or cannot be read.
        """
        real = self.resolve(folder)
        try:
            with os.scandir(real) as items:
                entries = [entry for item in items if (entry := self._entry(item)) is not None]
        except OSError as error:
            raise UserError(f"cannot read {real}: {error.strerror}") from error
        return sorted(entries, key=lambda entry: (not entry.is_folder, entry.name.lower()))[:MAX_ENTRIES]

    def _entry(self, item: os.DirEntry[str]) -> Entry | None:
        if item.name.startswith("."):
            return None
        try:
            path = self.inside(item.path)
            stat = path.stat()
        except (UserError, OSError):
            return None
        # The name of a link, not of what it points to.
        return Entry(Path(item.path), path.is_dir(), stat.st_size, stat.st_mtime)


def safe_name(name: str, longest: int = 80) -> str:
    """Make a file name of any text: letters, digits, ``._+-``, no leading dot, never empty."""
    plain = _UNSAFE.sub("_", Path(name).name).lstrip("._") or "file"
    return plain[-longest:].lstrip("._") or "file"
