"""What a run has found so far, while it goes on."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.rendering import blur, render_histogram, shaded, white_level, with_scale
from autods.runs.chunks import PARTIAL_FOLDER

#: Longer side of the picture, pixels, and width of a spot there.
_SIDE_PX, _SPOT_PX = 640, 0.7
#: Localizations that are kept for the picture: of more, every second one, and so on.
_MOST = 2_000_000
_MOST_BYTES = 256 << 20


class LivePicture:
    """Localizations of the finished blocks of a run that goes on; each block is read once.

    Parameters
    ----------
    run
        The run folder.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._read: set[Path] = set()
        self._places: list[NDArray[np.float32]] = []
        self._lock = threading.Lock()
        self._every = 1
        self.count = 0

    def update(self) -> bool:
        """Read the blocks that are new, and tell whether there were any."""
        with self._lock:
            new = [path for path in self._blocks() if path not in self._read]
            for path in new:
                self._read.add(path)
                places = _places(path)
                self.count += len(places)
                self._places.append(places[:: self._every])
            while sum(map(len, self._places)) > _MOST:
                self._every *= 2
                self._places = [np.concatenate(self._places)[::2]]
            return bool(new)

    def draw(self) -> NDArray[np.uint8]:
        """Draw what is found so far, with a scale bar: (Y, X, 3) uint8."""
        with self._lock:
            places = np.concatenate([np.zeros((0, 2), np.float32), *self._places])
        extent = places.max(0, initial=1000.0)
        pixel_nm = float(extent.max()) / _SIDE_PX
        counts = render_histogram(places[:, 0], places[:, 1], (float(extent[1]), float(extent[0])), pixel_nm)
        light = blur(counts, (_SPOT_PX, _SPOT_PX))
        return with_scale(shaded(light, white_level(light)), pixel_nm)

    def _blocks(self) -> list[Path]:
        """Return the files of the blocks of the settings at hand: the folder that was written last."""
        top = self._run / PARTIAL_FOLDER
        if top.is_symlink() or not top.is_dir():
            return []
        folders = [path for path in top.iterdir() if path.is_dir() and not path.is_symlink()]
        latest = max(folders, key=lambda path: path.stat().st_mtime, default=None)
        return [] if latest is None else sorted(latest.glob("block_*.npz"))


def _places(path: Path) -> NDArray[np.float32]:
    """Read (N, 2) x and y of a block, nm; none of what is no block."""
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return np.zeros((0, 2), np.float32)
        with np.load(path, allow_pickle=False) as block:
            places = np.stack([block["x_nm"], block["y_nm"]], 1).astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return np.zeros((0, 2), np.float32)
    return places[np.isfinite(places).all(1) & (places >= 0).all(1) & (places < 1e8).all(1)]
