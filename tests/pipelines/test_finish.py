"""Beads are marked, told and can be dropped; a doubtful table is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from autods.core import LocalizationTable
from autods.pipelines.finish import Finished, finish, write_finished
from autods.pipelines.settings import FinishSettings
from autods.postprocessing.quality import share_near_limit
from autods.runs.record import RunRecord

FRAMES = range(200)


def table() -> LocalizationTable:
    """Two beads, a hot pixel and molecules."""
    rng = np.random.default_rng(0)
    parts = []
    for x, photons in ((1000.0, 2e4), (4000.0, 2e4), (2500.0, 150.0)):
        seen = np.flatnonzero(rng.random(len(FRAMES)) < 0.95)
        parts.append((seen, x + 4 * rng.normal(size=len(seen)), np.full(len(seen), photons)))
    n = 600
    parts.append((rng.integers(0, len(FRAMES), n), rng.uniform(0, 5000, n), rng.exponential(800.0, n) + 160))
    frame, x, photons = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    y = np.where(np.isin(x, parts[-1][1]), rng.uniform(0, 5000, len(x)), 2000 + 4 * rng.normal(size=len(x)))
    return LocalizationTable.build(
        frame, x, y, photons=photons, uncertainty_xy_nm=np.full(len(x), 4.0)
    ).sorted()


def finished(folder: Path, **settings: object) -> tuple[Finished, dict]:
    with RunRecord(folder, "finish", command="") as record:
        result = finish(record, table(), FRAMES, 100.0, FinishSettings(**settings))
        write_finished(result, folder, 100.0, (len(FRAMES), 50, 50), Path("movie.tif"))
    return result, json.loads((folder / "run.json").read_text())


def test_beads_are_marked_and_told(tmp_path: Path) -> None:
    result, record = finished(tmp_path)
    assert [round(bead["x_nm"], -2) for bead in record["results"]["fiducials"]] in (
        [1000, 4000],
        [4000, 1000],
    )
    beads, others = record["warnings"]
    assert "as beads do: 2," in beads
    assert "no brighter than molecules: 1," in others
    assert "2.50, 2.00" in others
    column = np.array(pq.read_table(tmp_path / "localizations.parquet")["fiducial"].to_pylist())
    assert (column > 0).tolist() == (result.table.photons > 1e4).tolist()


def test_beads_can_be_left_out_and_still_give_the_drift(tmp_path: Path) -> None:
    result, _ = finished(tmp_path, filter="fiducial == 0 & photons > 155")
    assert result.table.photons.max() < 1e4
    assert result.drift.method == "fiducials"


def test_a_table_of_little_more_than_noise_is_told() -> None:
    n = 500
    noise = np.full(n, 4.0)
    sigma = np.full(n, 130.0)
    photons = 4.0 * np.sqrt(4 * np.pi) * 1.3
    for times, near in ((5.0, 1.0), (12.0, 0.0)):
        light = np.full(n, times * photons)
        dim = LocalizationTable.build(
            np.arange(n), sigma, sigma, photons=light, background_std=noise, sigma_nm=sigma
        )
        assert share_near_limit(dim, 100.0) == near
