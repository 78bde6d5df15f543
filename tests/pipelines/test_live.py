"""What a run that goes on has found so far."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autods.pipelines.kept import Kept
from autods.pipelines.live import LiveTable
from autods.pipelines.shown_rows import Look, Rows
from autods.pipelines.tiles import Painter
from autods.runs.chunks import ChunkStore


def test_the_table_grows_with_the_blocks(tmp_path: Path) -> None:
    live = LiveTable(tmp_path)
    assert not live.update()
    assert len(live.table()) == 0
    store = ChunkStore(tmp_path, "key")
    store.save("block_000000000", {"x_nm": np.array([100.0, 900.0]), "y_nm": np.array([100.0, 1900.0])})
    assert live.update()
    assert not live.update(), "each block is read once"
    table = live.table()
    assert table.shape_nm == (5000.0, 5000.0)
    kept = Kept(1 << 24)
    light, white = Painter(Rows(table, None, kept, "live"), kept, "live").tile(Look(), 0, 0, 0)
    assert light.sum() > 1.9
    assert np.unravel_index(light.argmax(), light.shape) in [(5, 5), (97, 46)]
    assert white > 0
    (tmp_path / ".partial" / "key" / "block_000000050.npz").write_bytes(b"no block")
    store.save("block_000000100", {"x_nm": np.array([np.nan, 6500.0]), "y_nm": np.array([1.0, 500.0])})
    assert live.update()
    assert live.count == 3
    assert live.table().shape_nm == (5000.0, 10_000.0)


def test_depths_and_errors_are_shown_where_all_blocks_have_them(tmp_path: Path) -> None:
    places = {"x_nm": np.array([100.0]), "y_nm": np.array([100.0])}
    store, live = ChunkStore(tmp_path, "key"), LiveTable(tmp_path)
    store.save("block_000000000", {**places, "z_nm": np.array([50.0]), "uncertainty_xy_nm": np.array([7.0])})
    live.update()
    assert live.table().is_3d
    assert live.table().typical_nm == 7.0
    store.save("block_000000050", places)
    live.update()
    assert not live.table().is_3d


def test_the_second_pass_over_a_followed_movie_begins_anew(tmp_path: Path) -> None:
    live = LiveTable(tmp_path)
    block = {"x_nm": np.array([100.0, 200.0]), "y_nm": np.array([100.0, 200.0])}
    ChunkStore(tmp_path, "followed").save("block_000000000", block)
    live.update()
    ChunkStore(tmp_path, "whole").save(
        "block_000000000", {name: values[:1] for name, values in block.items()}
    )
    live.update()
    assert live.count == 1
