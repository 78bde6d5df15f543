import csv
from dataclasses import asdict

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from autods.core import LocalizationTable
from autods.metrics.detection import detection_metrics, efficiency, error_sums, metrics_from_sums, rmsmd
from tests.data import shared
from tests.metrics import scorer
from tests.metrics.reference import random_tables


def table(frame, xyz):
    z = xyz[:, 2] if xyz.shape[1] == 3 else None
    return LocalizationTable.build(frame, xyz[:, 0], xyz[:, 1], z_nm=z)


def read_truth(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["x_nm", "y_nm", *(["z_nm"] if "z_nm" in rows[0] else [])]
    xyz = np.array([[float(row[name]) for name in names] for row in rows])
    return np.array([int(float(row["frame"])) for row in rows]), xyz


def degrade(frame, xyz, seed, jitter_nm=30.0, shift=(0.0, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    kept = rng.random(len(frame)) > 0.25
    false = rng.integers(0, len(frame), len(frame) // 5)
    moved = xyz[kept] + rng.normal(0, jitter_nm, (kept.sum(), xyz.shape[1])) + np.array(shift[: xyz.shape[1]])
    elsewhere = rng.uniform(0, xyz.max(0), (len(false), xyz.shape[1]))
    return np.concatenate([frame[kept], frame[false]]), np.concatenate([moved, elsewhere])


def assert_agrees_with_scorer(tf, t, ff, f, radius):
    ours, theirs = detection_metrics(table(tf, t), table(ff, f), radius), scorer.detection
    reference = theirs(np.c_[tf, t[:, :2]], np.c_[ff, f[:, :2]], radius)
    assert ours.jaccard == pytest.approx(reference["jaccard"], abs=6e-5)
    assert ours.precision == pytest.approx(reference["precision"], abs=6e-5)
    assert ours.recall == pytest.approx(reference["recall"], abs=6e-5)
    assert ours.rmse_lateral_nm == pytest.approx(reference["rmse_nm"], abs=6e-3)
    assert ours.efficiency_lateral == pytest.approx(reference["efficiency"], abs=6e-5)
    # The scorer subtracts found from true.
    assert [-ours.bias_x_nm, -ours.bias_y_nm] == pytest.approx(reference["bias_nm"], abs=6e-3)
    assert (ours.n_truth, ours.n_found) == (reference["n_gt"], reference["n_pred"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [50.0, 200.0])
def test_agrees_with_the_scorer_on_random_tables(seed, radius):
    assert_agrees_with_scorer(*random_tables(seed, shift=10.0), radius)


@pytest.mark.data
@pytest.mark.parametrize("name", ["2dgauss_ld", "2dairy_hd"])
def test_agrees_with_the_scorer_on_a_jittered_truth(name):
    frame, xyz = read_truth(shared(f"nairr/{name}.csv"))
    frame, xyz = frame[frame < 60], xyz[frame < 60]
    assert_agrees_with_scorer(frame, xyz, *degrade(frame, xyz, 1), 200.0)


@pytest.mark.data
def test_agrees_with_the_scorer_in_3d(tmp_path):
    frame, xyz = read_truth(shared("nairr/3das_ld.csv"))
    frame_f, found = degrade(frame, xyz, 2, jitter_nm=25.0, shift=(0, 0, 120.0))
    paths = []
    for name, (f, p) in {"truth": (frame, xyz), "found": (frame_f, found)}.items():
        paths.append(tmp_path / f"{name}.csv")
        np.savetxt(paths[-1], np.c_[f, p], delimiter=",", header="frame,x_nm,y_nm,z_nm", comments="")
    reference = scorer.report3d(*map(str, paths))
    ours = detection_metrics(table(frame, xyz), table(frame_f, found), 250.0, 500.0, remove_axial_offset=True)
    assert ours.axial_offset_nm == pytest.approx(reference["z_offset_nm"], abs=0.06)
    # The scorer pairs laterally and then drops pairs far apart in z; ours pairs in the cylinder, which can
    # only find more.
    assert reference["jaccard"] - 1e-4 <= ours.jaccard <= reference["jaccard"] + 0.02
    assert ours.rmse_lateral_nm == pytest.approx(reference["rmse_nm"], rel=0.05)
    assert ours.rmse_axial_nm == pytest.approx(reference["rmse_z_nm"], rel=0.1)


def test_by_hand():
    """Two pairs of errors (3, 4, 12) and (3, -4, -12), one missed, one false."""
    truth = table(np.array([0, 0, 1]), np.array([[100.0, 100, 0], [900, 900, 0], [500, 500, 0]]))
    found = table(np.array([0, 0, 0]), np.array([[103.0, 104, 12], [903, 896, -12], [2000, 2000, 0]]))
    metrics = detection_metrics(truth, found, 200.0, 100.0)
    assert (metrics.n_matched, metrics.jaccard) == (2, 0.5)
    assert metrics.precision == pytest.approx(2 / 3)
    assert metrics.recall == pytest.approx(2 / 3)
    assert metrics.rmse_lateral_nm == pytest.approx(5.0)
    assert metrics.rmse_axial_nm == pytest.approx(12.0)
    assert metrics.rmse_volume_nm == pytest.approx(13.0)
    assert (metrics.bias_x_nm, metrics.bias_y_nm, metrics.bias_z_nm) == (3.0, 0.0, 0.0)
    assert metrics.efficiency_lateral == pytest.approx(1 - np.hypot(0.5, 0.05))
    assert metrics.efficiency_axial == pytest.approx(1 - np.hypot(0.5, 0.06))
    assert metrics.efficiency == pytest.approx((metrics.efficiency_lateral + metrics.efficiency_axial) / 2)


def test_axial_offset_and_slope_are_found():
    rng = np.random.default_rng(0)
    frame, xyz = np.arange(200), rng.uniform(0, 1000, (200, 3))
    moved = xyz + np.array([0, 0, 300.0]) + rng.normal(0, 1, (200, 3))
    kept = detection_metrics(table(frame, xyz), table(frame, moved), 200.0, 100.0)
    assert kept.n_matched == 0
    removed = detection_metrics(
        table(frame, xyz), table(frame, moved), 200.0, 100.0, remove_axial_offset=True
    )
    assert removed.n_matched == 200
    assert removed.axial_offset_nm == pytest.approx(300, abs=0.5)
    assert removed.axial_slope == pytest.approx(1, abs=0.01)
    assert abs(removed.bias_z_nm) < 0.5
    stretched = xyz * np.array([1, 1, 1.2])
    assert detection_metrics(table(frame, xyz), table(frame, stretched)).axial_slope == pytest.approx(1.2)


def test_rmsmd_equals_brute_force():
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0, 100, (40, 3)), rng.uniform(0, 100, (55, 3))
    distance = cdist(a, b) ** 2
    expected = np.sqrt((distance.min(1).sum() + distance.min(0).sum()) / 95)
    assert rmsmd(a, b) == pytest.approx(expected)
    assert rmsmd(a, a) == 0
    assert np.isnan(rmsmd(a, b[:0]))


def test_nothing_found_or_nothing_there():
    truth, empty = table(np.zeros(2), np.ones((2, 2))), LocalizationTable.empty()
    nothing = detection_metrics(truth, empty)
    assert (nothing.jaccard, nothing.precision, nothing.recall, nothing.efficiency) == (0, 0, 0, 0)
    assert np.isnan(nothing.rmse_lateral_nm)
    assert detection_metrics(empty, truth).n_matched == 0
    assert detection_metrics(empty, empty).jaccard == 0


def test_one_flat_table_scores_laterally():
    flat, deep = table(np.zeros(1), np.zeros((1, 2))), table(np.zeros(1), np.array([[3.0, 4.0, 900.0]]))
    metrics = detection_metrics(flat, deep, 200.0, 100.0)
    assert metrics.rmse_lateral_nm == pytest.approx(5)
    assert np.isnan(metrics.rmse_axial_nm)
    assert metrics.efficiency == metrics.efficiency_lateral


def test_sums_of_parts_are_the_sums_of_all():
    rng = np.random.default_rng(0)
    truth, found = rng.uniform(0, 100, (20, 3)), rng.uniform(0, 100, (20, 3))
    whole = error_sums(truth, found, (np.arange(20), np.arange(20)))
    assert whole.squared_nm2 == pytest.approx(((found - truth) ** 2).sum(0))
    assert asdict(metrics_from_sums(whole))["rmse_volume_nm"] == pytest.approx(
        np.sqrt(((found - truth) ** 2).sum(1).mean())
    )


def test_efficiency_of_the_challenge():
    assert efficiency(1.0, 0.0, 0.01) == 1.0
    assert efficiency(1.0, 50.0, 0.01) == pytest.approx(0.5)
    assert efficiency(1.0, 100.0, 0.005) == pytest.approx(0.5)
    assert efficiency(0.0, float("nan"), 0.01) == 0.0


def test_a_constant_lateral_offset_can_be_removed():
    rng = np.random.default_rng(8)
    frame, xyz = np.arange(200), rng.uniform(0, 5000, (200, 3))
    moved = xyz + np.array([60.0, -35.0, 0.0]) + rng.normal(0, 5.0, xyz.shape)
    plain, removed = (
        detection_metrics(table(frame, xyz), table(frame, moved), 200.0, remove_lateral_offset=remove)
        for remove in (False, True)
    )
    assert plain.bias_x_nm == pytest.approx(60, abs=2)
    assert abs(removed.bias_x_nm) < 1.5
    assert abs(removed.bias_y_nm) < 1.5
    assert removed.rmse_lateral_nm == pytest.approx(5 * np.sqrt(2), rel=0.15)
