import json

import numpy as np
import pytest

from autods.core import LocalizationTable, UserError
from autods.metrics.evaluation import evaluate, json_ready
from tests.metrics import scorer
from tests.metrics.reference import random_tables


def tables(seed=0, dims=2, **options):
    tf, t, ff, f = random_tables(seed, dims=dims, n_frames=20, **options)
    z = (t[:, 2], f[:, 2]) if dims == 3 else (None, None)
    return (
        LocalizationTable.build(tf, t[:, 0], t[:, 1], z_nm=z[0]),
        LocalizationTable.build(ff, f[:, 0], f[:, 1], z_nm=z[1]),
    )


def test_agrees_with_the_scorer_end_to_end(tmp_path):
    truth, found = tables(side_nm=3200.0)
    paths = []
    for name, table in {"truth": truth, "found": found}.items():
        paths.append(str(tmp_path / f"{name}.csv"))
        rows = np.c_[table.frame, table.x_nm, table.y_nm]
        np.savetxt(paths[-1], rows, delimiter=",", header="frame,x_nm,y_nm", comments="")
    reference = scorer.report(*paths, 100, 32)
    ours = evaluate(truth, found, shape_nm=(3200.0, 3200.0))
    assert ours["detection"]["jaccard"] == pytest.approx(reference["jaccard"], abs=6e-5)
    assert ours["detection"]["rmse_lateral_nm"] == pytest.approx(reference["rmse_nm"], abs=6e-3)
    assert ours["detection"]["efficiency"] == pytest.approx(reference["efficiency"], abs=6e-5)
    assert ours["image"]["psnr"] == pytest.approx(reference["psnr"], abs=6e-3)
    assert ours["image"]["nrmse"] == pytest.approx(reference["nrmse"], abs=6e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_is_strict_json_and_complete(dims):
    truth, found = tables(dims=dims)
    report = evaluate(truth, found)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert set(report) == {"settings", "detection", "image", "resolution", "warnings"}
    assert (report["detection"]["rmse_axial_nm"] is None) == (dims == 2)
    assert report["settings"]["axial_radius_nm"] == (500.0 if dims == 3 else None)
    assert report["resolution"]["truth"]["frc_nm"] is None
    assert report["resolution"]["truth"]["frc_reason"]


def test_nothing_found():
    truth, _ = tables()
    report = evaluate(truth, LocalizationTable.empty())
    json.dumps(report, allow_nan=False)
    assert report["detection"]["jaccard"] == 0
    assert report["detection"]["rmse_lateral_nm"] is None
    assert report["warnings"] == ["the table of localizations is empty"]
    assert evaluate(LocalizationTable.empty(), LocalizationTable.empty())["detection"]["n_truth"] == 0


def test_field_holds_both_tables_in_whole_pixels():
    truth = LocalizationTable.build(np.zeros(2), np.array([10.0, 1001.0]), np.array([10.0, 400.0]))
    assert evaluate(truth, truth)["settings"]["field_nm"] == [400.0, 1012.5]


def test_equal_tables_are_perfect():
    truth, _ = tables(side_nm=3200.0)
    report = evaluate(truth, truth)
    assert report["detection"]["efficiency"] == 1
    assert report["image"]["psnr"] is None
    assert report["image"]["ms_ssim"] == pytest.approx(1)
    assert report["warnings"] == []


def test_disagreeing_conventions_are_told():
    truth, found = tables(jitter_nm=10.0, side_nm=6000.0)
    late = LocalizationTable.build(found.frame + 1, found.x_nm, found.y_nm)
    assert any("frames -1" in warning for warning in evaluate(truth, late)["warnings"])
    half_pixel = LocalizationTable.build(found.frame, found.x_nm + 50, found.y_nm + 50)
    assert any("outer corner" in warning for warning in evaluate(truth, half_pixel)["warnings"])
    assert evaluate(truth, found)["warnings"] == []


def test_axial_offset_is_told_or_removed():
    truth, found = tables(dims=3, jitter_nm=10.0, side_nm=4000.0)
    lifted = LocalizationTable.build(found.frame, found.x_nm, found.y_nm, z_nm=found.z_nm + 300)
    kept = evaluate(truth, lifted)
    assert any("found z" in warning for warning in kept["warnings"])
    assert kept["detection"]["axial_offset_nm"] == pytest.approx(300, abs=5)
    removed = evaluate(truth, lifted, remove_axial_offset=True)
    assert removed["warnings"] == []
    assert removed["detection"]["rmse_axial_nm"] < 30


def test_json_ready():
    value = {"a": (np.float64("nan"), np.int64(3)), 1: [float("inf"), np.bool_(True), "text", None]}
    assert json_ready(value) == {"a": [None, 3], "1": [None, True, "text", None]}
    assert json_ready(np.array([1.5, np.nan])) == [1.5, None]


def test_a_stray_position_does_not_stretch_the_images():
    rng = np.random.default_rng(0)
    frame, x, y = np.arange(60) % 10, rng.uniform(0, 6400, 60), rng.uniform(0, 6400, 60)
    truth = LocalizationTable.build(frame, x, y)
    found = LocalizationTable.build(np.append(frame, 2), np.append(x, 1.5e7), np.append(y, 1.5e7))
    report = evaluate(truth, found)
    assert max(report["settings"]["field_nm"]) < 8500
    assert report["detection"]["jaccard"] == pytest.approx(60 / 61)


def test_a_field_of_too_many_pixels_is_refused():
    table = LocalizationTable.build(np.zeros(2), np.array([0.0, 1e7]), np.array([0.0, 1e7]))
    with pytest.raises(UserError, match="give field_nm"):
        evaluate(table, table)
