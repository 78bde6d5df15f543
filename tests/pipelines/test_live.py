"""The picture of a run that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autods.pipelines.live import LivePicture
from autods.runs.chunks import ChunkStore


def test_the_picture_grows_with_the_blocks(tmp_path: Path) -> None:
    live = LivePicture(tmp_path)
    assert not live.update()
    assert live.draw().max() < 255 or live.count == 0
    store = ChunkStore(tmp_path, "key")
    store.save("block_000000000", {"x_nm": np.array([100.0, 900.0]), "y_nm": np.array([100.0, 1900.0])})
    assert live.update()
    assert not live.update(), "each block is read once"
    picture = live.draw()
    assert picture.shape[0] == 640
    assert picture[20:50, 20:50].max() > 100
    (tmp_path / ".partial" / "key" / "block_000000050.npz").write_bytes(b"no block")
    store.save("block_000000100", {"x_nm": np.array([np.nan, 500.0]), "y_nm": np.array([1.0, 500.0])})
    assert live.update()
    assert live.count == 3
