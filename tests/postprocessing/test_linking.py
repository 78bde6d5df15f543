"""Linking gives back the blinks of a simulation, keeps light and errors right, and takes linear time."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from autods.core import LocalizationTable
from autods.postprocessing.linking import link
from autods.postprocessing.precision import nena_precision
from autods.simulation import STRUCTURES
from autods.simulation.drifting import drift_curve, drifting_table


def blinks(n_events: int, seed: int, side_nm: float = 20_000.0) -> tuple[LocalizationTable, np.ndarray]:
    """Events of known membership, far enough apart to be told."""
    rng = np.random.default_rng(seed)
    length = rng.geometric(0.4, n_events)
    event = np.repeat(np.arange(n_events), length)
    within = np.arange(len(event)) - np.repeat(np.cumsum(length) - length, length)
    frame = rng.integers(0, 500, n_events)[event] + within
    error = rng.uniform(4, 12, len(event))
    xy = rng.uniform(0, side_nm, (n_events, 2))[event] + rng.normal(size=(len(event), 2)) * error[:, None]
    light = rng.gamma(3, 300, len(event))
    table = LocalizationTable.build(frame, xy[:, 0], xy[:, 1], photons=light, uncertainty_xy_nm=error)
    order = table.order()
    return table.select(order), event[order]


def test_the_blinks_come_back() -> None:
    table, event = blinks(3000, 0)
    linked = link(table)
    pairs = {(a, b) for a, b in zip(event, linked.event, strict=True)}
    # One to one, but for what lies beyond three standard errors or by chance beside another.
    assert len(linked) == pytest.approx(3000, rel=0.03)
    assert len(pairs) == pytest.approx(3000, rel=0.04)


def test_light_and_counts_are_kept_and_positions_weighted() -> None:
    table, _ = blinks(500, 1)
    linked = link(table)
    assert linked.table.photons.sum() == pytest.approx(table.photons.sum())
    assert linked.n_localizations.sum() == len(table)
    rows = linked.event == int(np.argmax(linked.n_localizations))
    weight = table.uncertainty_xy_nm[rows] ** -2
    best = int(np.argmax(linked.n_localizations))
    assert linked.table.x_nm[best] == pytest.approx((weight * table.x_nm[rows]).sum() / weight.sum())
    assert linked.table.uncertainty_xy_nm[best] == pytest.approx(weight.sum() ** -0.5)
    assert linked.table.frame[best] == table.frame[rows].min()
    assert linked.last_frame[best] == table.frame[rows].max()


def test_a_gap_is_bridged_only_when_allowed() -> None:
    table = LocalizationTable.build(
        np.array([3, 5, 8]), np.full(3, 50.0), np.full(3, 60.0), uncertainty_xy_nm=np.full(3, 5.0)
    )
    assert [len(link(table, max_gap=gap)) for gap in (0, 1, 2)] == [3, 2, 1]


def test_depth_keeps_molecules_apart() -> None:
    one = np.ones(2)
    table = LocalizationTable.build(
        np.array([0, 1]), 50 * one, 60 * one, uncertainty_xy_nm=5 * one,
        z_nm=np.array([0.0, 200.0]), uncertainty_z_nm=10 * one,
    )  # fmt: skip
    assert len(link(table)) == 2


@pytest.mark.parametrize("n", [0, 1])
def test_tables_of_hardly_any_row(n: int) -> None:
    table = LocalizationTable.build(np.zeros(n), np.zeros(n), np.zeros(n))
    assert len(link(table)) == n


def test_unknown_uncertainties_are_measured() -> None:
    table, _ = blinks(3000, 2)
    unknown = LocalizationTable.build(table.frame, table.x_nm, table.y_nm)
    assert len(link(unknown)) == pytest.approx(3000, rel=0.05)


@pytest.mark.parametrize("photons", [400.0, 4000.0])
def test_nena_measures_the_precision(photons: float) -> None:
    sample = STRUCTURES["filaments"](12_800, 12_800, torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    table = drifting_table(sample, drift_curve("none", 500, 0, rng), 30, photons, rng)
    expected = np.median(table.uncertainty_xy_nm)
    assert nena_precision(table) == pytest.approx(expected, rel=0.25)


@pytest.mark.slow
def test_time_grows_linearly() -> None:
    sample = STRUCTURES["filaments"](25_600, 25_600, torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    seconds = []
    for n_frames in (4000, 16_000):
        table = drifting_table(sample, drift_curve("none", n_frames, 0, rng), 60, 1500, rng)
        start = time.process_time()
        link(table)
        seconds.append((time.process_time() - start) / len(table))
    assert seconds[1] < 2 * seconds[0]
    assert seconds[1] < 4e-6  # 1 million in under 4 s, on a machine that does other things too
