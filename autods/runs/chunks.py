"""Finished pieces of a long computation on disk, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import logging
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.io.atomic import atomic_path

logger = logging.getLogger(__name__)

#: Folder of the pieces inside a run folder.
PARTIAL_FOLDER = ".partial"


class ChunkStore:
    """Named groups of arrays, each written once and whole.

    Pieces belong to a key, and those of other keys stay: who goes back to earlier settings finds them again.
    """

    def __init__(self, run_folder: Path, key: str) -> None:
        self._root = run_folder / PARTIAL_FOLDER
        self._folder = self._root / key

    def save(self, name: str, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Write a piece: arrays of any shape by name; the file appears whole or not at all.

        Raises `UserError` if the disk is full or not writable.
        """
        with atomic_path(self._path(name)) as part:
            np.savez(part, **arrays)  # type: ignore[arg-type]

    def load(self, name: str) -> dict[str, NDArray[np.generic]] | None:
        """Read a piece; None when it is not there (or damaged, which is logged)."""
        path = self._path(name)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            logger.warning("%s is damaged: that piece is computed again", path)
            path.unlink()
            return None

    def names(self) -> list[str]:
        """Names of the pieces on disk, sorted."""
        return sorted(path.stem for path in self._folder.glob("*.npz") if not path.name.startswith("."))

    def clear(self) -> None:
        """Remove the pieces of this key, once the result that needed them is written."""
        if self._folder.is_dir():
            shutil.rmtree(self._folder)
        with suppress(OSError):  # pieces of other keys
            self._root.rmdir()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"
