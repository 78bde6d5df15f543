"""Suites over conditions, sizes, programs and networks, and what their tables are made of."""

import math
import shutil

import numpy as np
import pytest

from autods.cli.main import main
from autods.core import LocalizationTable, UserError
from autods.io.tables import write_thunderstorm
from benchmarks.contenders import zoo_cards
from benchmarks.density_snr import best_rows, everyone
from benchmarks.known_resolution import band_limited, frc_of_molecules
from benchmarks.one_plane import OnePlaneBeside
from tests.benchmarks.test_suites import rows_of, run
from tests.pipelines.models import write_zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return write_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.mark.usefixtures("undrawn")
def test_thresholds_are_chosen_in_the_pipeline_and_written_on_demand(zoo, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(zoo, own)
    before = {card.name: card.threshold for card in zoo_cards(own)}
    rows, _ = run(own, tmp_path / "out", "fast/thresholds", "suite.factors=[0.001,1]", "suite.write=true")
    assert {row["model"] for row in rows} == set(before)
    after = {card.name: card.threshold for card in zoo_cards(own)}
    for name, threshold in after.items():
        own_rows = [row for row in rows if row["model"] == name]
        scores = {float(row["threshold"]): float(row["jaccard"]) / float(row["nrmse"]) for row in own_rows}
        assert len(scores) == 2
        assert scores[threshold] == max(scores.values())
    assert {card.name: card.threshold for card in zoo_cards(zoo)} == before


@pytest.mark.usefixtures("undrawn")
def test_selection(zoo, tmp_path):
    words = ["suite.n_cells=1", "suite.image_pixel_nm=100", "suite.resolution_pixel_nm=50"]
    rows, _ = run(zoo, tmp_path, "fast/selection", *words)
    rules = {f"heatmap, {rule}" for rule in ("average", "density", "snr", "nearest", "oracle")}
    assert {row["choice"] for row in rows} == rules | {f"level_{level}" for level in range(1, 5)}
    sharp = {row["choice"]: row for row in rows_of(tmp_path / "resolution.csv")}
    assert set(sharp) == {"truth", *(row["choice"] for row in rows)}
    assert float(sharp["heatmap, average"]["decorrelation_nm"] or 100) >= 100


def test_one_plane_finds_emitters_in_pixels_of_any_size():
    lines = ["width: 233 nm, sigma 2.5 px", "density: 0.5 per um2"]
    rows = OnePlaneBeside(lines, n_frames=8, device="cpu").run().tables[0].rows
    assert len(rows) == 8
    for row in rows:
        assert row["precision"] > 0.9
        assert row["recall"] > 0.9
    assert {row["rescaled"] != "" for row in rows if row["line"] == lines[0]} == {True, False}
    with pytest.raises(UserError, match="no line of the suite conditions"):
        OnePlaneBeside(["width: 7 nm"]).run()


def test_density_and_snr(zoo, tmp_path):
    rows, _ = run(zoo, tmp_path, "fast/density_snr")
    assert len(rows) == 2 * 2 * 2
    score = {(row["density_per_um2"], row["snr"], row["program"]): float(row["jaccard"]) for row in rows}
    for program in ("heatmap/fixed:level_1", "heatmap/average"):
        assert score["0.5", "8", program] > score["1.5", "4", program]
    assert len(rows_of(tmp_path / "best.csv")) == 4
    assert (tmp_path / "jaccard.png").stat().st_size > 1000
    names = everyone(zoo)
    assert names == [*(f"heatmap/fixed:level_{level}" for level in range(1, 5)), "heatmap/average"]


def test_the_best_program_and_its_lead():
    means = [
        {"density_per_um2": 1.0, "snr": 4.0, "program": name, "jaccard": score}
        for name, score in (("a", 0.5), ("b", 0.75), ("c", 0.25))
    ]
    assert best_rows(means) == [
        {"density_per_um2": 1.0, "snr": 4.0, "program": "b", "jaccard": 0.75, "lead": 0.25}
    ]


def test_patch_size(zoo, tmp_path):
    rows, _ = run(zoo, tmp_path, "fast/patch_size")
    assert [float(row["patch_um"]) for row in rows] == [5, 10]
    assert all(0 < float(row["jaccard"]) < 1 and float(row["seconds"]) > 0 for row in rows)


def test_tables_of_other_programs(tmp_path, capsys):
    rng = np.random.default_rng(0)
    n = 300
    truth = LocalizationTable.build(rng.integers(0, 50, n), *rng.uniform(0, 6000, (2, n)))
    write_thunderstorm(truth, tmp_path / "truth.csv")
    for name, error in (("good", 5.0), ("bad", 30.0)):
        found = LocalizationTable.build(truth.frame, truth.x_nm + error, truth.y_nm)
        write_thunderstorm(found, tmp_path / f"{name}.csv")
    tables = f"suite.tables={{Good: {tmp_path}/good.csv, Bad: {tmp_path}/bad.csv}}"
    words = ["suite=fast/external", f"suite.truth={tmp_path}/truth.csv", tables]
    assert main(["benchmark", *words, "--out", str(tmp_path / "out")]) == 0
    rows = {row["program"]: row for row in rows_of(tmp_path / "out" / "results.csv")}
    assert float(rows["Good"]["rmse_lateral_nm"]) == pytest.approx(5, abs=0.1)
    assert float(rows["Bad"]["rmse_lateral_nm"]) == pytest.approx(30, abs=0.1)
    assert float(rows["Bad"]["jaccard"]) == 1
    assert main(["benchmark", "suite=fast/external", f"suite.truth={tmp_path}/truth.csv"]) == 2
    assert "nothing to compare" in capsys.readouterr().err


def test_measured_resolutions_agree_with_known_ones(tmp_path):
    assert main(["benchmark", "suite=fast/resolution", "--out", str(tmp_path)]) == 0
    rows = rows_of(tmp_path / "results.csv")
    assert {row["method"] for row in rows} == {"FRC, 1/7", "decorrelation"}
    for row in rows:
        tolerance = 0.2 if "pupil" in row["image"] else 0.15
        assert float(row["measured_nm"]) == pytest.approx(float(row["known_nm"]), rel=tolerance), row["image"]


def test_what_is_known_of_the_images():
    q = 1 / frc_of_molecules(20.0, 10.0)
    signal = 5 * math.exp(-4 * math.pi**2 * 20.0**2 * q**2)
    assert signal / (1 + signal) == pytest.approx(1 / 7)
    image = band_limited(100.0, "end of a pupil", np.random.default_rng(0))
    spectrum = np.abs(np.fft.fft2(image))
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side, 20.0) for side in image.shape), indexing="ij"))
    beyond, within = spectrum[radius > 1 / 98].mean(), spectrum[(radius > 0) & (radius < 1 / 200)].mean()
    assert beyond < 0.02 * within


def test_widths(zoo, tmp_path):
    rows, _ = run(zoo, tmp_path, "fast/widths")
    assert [(row["network"], row["width"]) for row in rows] == [
        (name, width) for name in ("pixel", "subpixel") for width in ("16", "18")
    ]
    assert all(float(row["megapixels_per_s"]) > 0 for row in rows)
    assert rows[3]["model"].startswith("level_")
    assert not rows[0]["model"]
