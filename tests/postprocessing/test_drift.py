"""Drift of known size is found without settings, in 2D and 3D, and none is found where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autods.core import LocalizationTable
from autods.postprocessing.drift import Drift, estimate_drift
from autods.postprocessing.fiducials import fiducial_drift, find_fiducials, mark_rows
from autods.postprocessing.filtering import filter_rows
from autods.postprocessing.linking import link
from autods.simulation import STRUCTURES, STRUCTURES_3D
from autods.simulation.drifting import drift_curve, drifting_table


def simulate(
    structure: str,
    kind: str,
    n_frames: int,
    amplitude_nm: float,
    density: float,
    *,
    axes: int = 2,
    seed: int = 0,
) -> tuple[LocalizationTable, np.ndarray]:
    side = 6400.0
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    sample = (
        STRUCTURES_3D[structure](side, side, -400, 400, generator)
        if structure in STRUCTURES_3D
        else STRUCTURES[structure](side, side, generator)
    )
    drift = drift_curve(kind, n_frames, amplitude_nm, rng, axes)
    return drifting_table(sample, drift, density * side**2 * 1e-6, 1000, rng), drift


def residual(found: Drift, truth: np.ndarray) -> tuple[float, float]:
    """Lateral and axial RMS of what is left, nm."""
    left = found.curve_nm - truth
    left = left - left.mean(0)
    return float(np.sqrt((left[:, :2] ** 2).sum(1).mean())), float(np.sqrt((left[:, 2:] ** 2).sum(1).mean()))


@pytest.mark.parametrize(
    ("structure", "kind", "n_frames", "amplitude_nm", "density", "limit_nm"),
    [
        ("rings", "smooth", 2000, 300, 0.2, 4.0),
        ("filaments", "steps", 2000, 100, 0.15, 6.0),
        pytest.param("clusters", "smooth", 6000, 50, 0.1, 3.0, marks=pytest.mark.slow),
        pytest.param("mitochondria", "smooth", 4000, 500, 0.3, 5.0, marks=pytest.mark.slow),
        pytest.param("uniform", "smooth", 2000, 200, 0.3, 5.0, marks=pytest.mark.slow),
    ],
)
def test_drift_is_found(
    structure: str, kind: str, n_frames: int, amplitude_nm: float, density: float, limit_nm: float
) -> None:
    table, truth = simulate(structure, kind, n_frames, amplitude_nm, density)
    found = estimate_drift(link(table), range(n_frames))
    assert found.method == "auto", found.note
    assert residual(found, truth)[0] < limit_nm


@pytest.mark.slow
def test_drift_in_depth() -> None:
    table, truth = simulate("nuclear_pores", "smooth", 3000, 300, 0.2, axes=3)
    lateral, axial = residual(estimate_drift(link(table), range(3000)), truth)
    assert lateral < 3
    assert axial < 6


@pytest.mark.parametrize("structure", ["filaments", "uniform"])
def test_without_drift_hardly_anything_is_subtracted(structure: str) -> None:
    table, truth = simulate(structure, "none", 1500, 0, 0.15)
    assert residual(estimate_drift(link(table), range(1500)), truth)[0] < 2


def test_too_little_to_tell() -> None:
    table, _ = simulate("rings", "smooth", 40, 50, 0.1)
    found = estimate_drift(link(table), range(40))
    assert not found.is_on
    assert "too few" in found.note


def test_subtracting_and_adding_are_inverse_and_respect_the_first_frame() -> None:
    curve = np.cumsum(np.ones((10, 2)), axis=0)
    drift = Drift(curve, 100, "file", "", np.full(2, np.nan))
    table = LocalizationTable.build(np.array([100, 109]), np.array([50.0, 60.0]), np.array([5.0, 6.0]))
    moved = drift.subtract(table)
    assert moved.x_nm.tolist() == [49.0, 50.0]
    assert drift.add(moved).y_nm.tolist() == table.y_nm.tolist()


def beads(n_beads: int, jumping: int, n_frames: int = 800) -> tuple[LocalizationTable, np.ndarray]:
    """A drifting movie with beads, some of which jump by 120 nm in the middle."""
    table, drift = simulate("rings", "smooth", n_frames, 150, 0.1, seed=3)
    rng = np.random.default_rng(5)
    parts = [table]
    for bead in range(n_beads):
        seen = np.flatnonzero(rng.random(n_frames) < 0.95)
        xy = rng.uniform(500, 5900, 2) + drift[seen] + 3 * rng.normal(size=(len(seen), 2))
        if bead < jumping:
            xy[seen > n_frames // 2] += 120 * np.array([np.cos(bead), np.sin(bead)])
        error = np.full(len(seen), 3.0)
        columns = {"photons": np.full(len(seen), 2e4), "uncertainty_xy_nm": error}
        parts.append(LocalizationTable.build(seen, xy[:, 0], xy[:, 1], **columns))
    names = ("photons", "uncertainty_xy_nm")
    joined = [
        LocalizationTable.build(p.frame, p.x_nm, p.y_nm, **{name: p.columns()[name] for name in names})
        for p in parts
    ]
    return LocalizationTable.concatenate(joined).sorted(), drift


@pytest.mark.parametrize("jumping", [0, 1])
def test_fiducials_give_the_drift_and_those_that_jump_are_left_out(jumping: int) -> None:
    table, truth = beads(4, jumping)
    fiducials = find_fiducials(table, range(800))
    assert len(fiducials) == 4
    found = fiducial_drift(fiducials, range(800))
    assert found is not None
    assert residual(found, truth)[0] < 2
    assert ("left out" in found.note) == bool(jumping)


def test_a_bead_found_as_several_localizations_is_one() -> None:
    rng = np.random.default_rng(7)
    drift = drift_curve("smooth", 600, 150, rng)
    parts = []
    for place in rng.uniform(1000, 5000, (3, 2)):
        for angle in (0.3, 2.4, 4.5):
            # Splits of a wide spot, each with its own errors and missed now and then.
            seen = np.flatnonzero(rng.random(600) < 0.8)
            away = 90 * np.array([np.cos(angle), np.sin(angle)])
            xy = place + away + drift[seen] + 12 * rng.normal(size=(len(seen), 2))
            columns = {"photons": np.full(len(seen), 5e3), "uncertainty_xy_nm": np.full(len(seen), 5.0)}
            parts.append(LocalizationTable.build(seen, xy[:, 0], xy[:, 1], **columns))
    fiducials = find_fiducials(LocalizationTable.concatenate(parts).sorted(), range(600))
    assert len(fiducials) == 3
    found = fiducial_drift(fiducials, range(600))
    assert found is not None
    assert residual(found, drift)[0] < 8


def test_beads_are_marked_and_a_pattern_of_the_background_is_no_bead() -> None:
    """A hot pixel stays where it is while all else drifts."""
    table, _ = beads(2, 0)
    rng = np.random.default_rng(8)
    seen = np.flatnonzero(rng.random(800) < 0.8)
    photons = np.full(len(seen), 0.5 * np.nanmedian(table.photons))
    xy = np.array([3000.0, 2000.0]) + 15 * rng.normal(size=(len(seen), 2))
    hot = LocalizationTable.build(
        seen, xy[:, 0], xy[:, 1], photons=photons, uncertainty_xy_nm=np.full(len(seen), 15.0)
    )
    whole = LocalizationTable.concatenate([table, hot]).sorted()
    found = find_fiducials(whole, range(800))
    assert [one.is_bead for one in found].count(True) == 2
    assert [one.is_bead for one in found].count(False) == 1
    mark = mark_rows([one for one in found if one.is_bead], len(whole))
    assert set(mark) == {0, 1, 2}
    is_bead = whole.photons > 1e4
    assert (mark > 0).tolist() == is_bead.tolist()
    assert filter_rows(whole, "fiducial == 0", {"fiducial": mark}).tolist() == (~is_bead).tolist()


@pytest.mark.parametrize("structure", ["filaments", "rings", "clusters"])
@pytest.mark.parametrize(("n_frames", "density"), [(40, 1.5), (200, 1.5), (800, 0.1)])
def test_blinking_molecules_are_no_fiducials(structure: str, n_frames: int, density: float) -> None:
    table, _ = simulate(structure, "smooth", n_frames, 20, density, seed=n_frames)
    assert find_fiducials(table, range(n_frames)) == []
