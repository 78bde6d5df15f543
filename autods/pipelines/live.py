"""What a run has found so far, while it goes on."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.pipelines.sorted_table import SortedTable, sort_columns
from autods.runs.chunks import PARTIAL_FOLDER

#: What is read of a block; the last ones where it has them.
_COLUMNS = ("x_nm", "y_nm", "uncertainty_xy_nm", "photons", "z_nm")
#: Localizations that are kept: of more, every second one, and so on.
_MOST = 2_000_000
_MOST_BYTES = 256 << 20
#: The field is as large as what is found, in such steps: it seldom grows after the first blocks.
_STEP_NM = 5000.0

Columns = dict[str, NDArray[np.float32]]


class LiveTable:
    """Localizations of the finished blocks of a run that goes on; each block is read once."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._read: set[Path] = set()
        self._folder: Path | None = None
        self._blocks: list[Columns] = []
        self._lock = threading.Lock()
        self._every = 1
        self.count = 0

    def update(self) -> bool:
        """Read the blocks that are new, and tell whether there were any."""
        with self._lock:
            folder = self._latest()
            if folder != self._folder:
                # A movie that was followed is localized once more as a whole.
                self._folder, self._blocks, self._every, self.count = folder, [], 1, 0
            paths = [] if folder is None else sorted(folder.glob("block_*.npz"))
            new = [path for path in paths if path not in self._read]
            for path in new:
                self._read.add(path)
                block = _read(path)
                self.count += len(block["x_nm"])
                self._blocks.append({name: values[:: self._every] for name, values in block.items()})
            while sum(len(block["x_nm"]) for block in self._blocks) > _MOST:
                self._every *= 2
                joined = self._joined()
                self._blocks = [{name: values[::2] for name, values in joined.items()}]
            return bool(new)

    def table(self) -> SortedTable:
        """Return what is found so far, sorted by place; of very many localizations a part."""
        with self._lock:
            columns = self._joined()
        extent = [float(columns[name].max(initial=1.0)) for name in ("y_nm", "x_nm")]
        height, width = (_STEP_NM * np.ceil(length / _STEP_NM) for length in extent)
        return sort_columns(columns, (float(height), float(width)))

    def _joined(self) -> Columns:
        """Return the columns that all blocks have, as one."""
        none = {name: np.zeros(0, np.float32) for name in _COLUMNS[:2]}
        blocks = [block for block in self._blocks if len(block["x_nm"])] or [none]
        names = [name for name in _COLUMNS if all(name in block for block in blocks)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in names}

    def _latest(self) -> Path | None:
        """Return the folder of the blocks of the settings at hand: the one that was written last."""
        top = self._run / PARTIAL_FOLDER
        if top.is_symlink() or not top.is_dir():
            return None
        folders = [path for path in top.iterdir() if path.is_dir() and not path.is_symlink()]
        return max(folders, key=lambda path: path.stat().st_mtime, default=None)


def _read(path: Path) -> Columns:
    """Read the columns of a block, lengths in nm; none of what is no block."""
    nothing: Columns = {name: np.zeros(0, np.float32) for name in _COLUMNS[:2]}
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return nothing
        with np.load(path, allow_pickle=False) as block:
            found = {name: block[name].astype(np.float32) for name in _COLUMNS if name in block.files}
        x, y = found["x_nm"], found["y_nm"]
        inside = np.isfinite(x) & np.isfinite(y) & (np.minimum(x, y) >= 0) & (np.maximum(x, y) < 1e8)
        return {name: values[inside] for name, values in found.items()}
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return nothing
