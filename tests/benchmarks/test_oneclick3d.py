import csv

import pytest

from autods.cli.main import main


@pytest.mark.slow
def test_the_one_click_is_scored_against_the_simulation(tmp_path):
    words = ["suite=fast/oneclick3d", f"suite.folder={tmp_path}/runs", "device=cpu"]
    assert main(["benchmark", *words, "--out", str(tmp_path / "out")]) == 0
    (row,) = csv.DictReader((tmp_path / "out" / "results.csv").open())
    assert row["psf"] == "astigmatism"
    assert 0 <= float(row["jaccard"]) <= 1
    assert (tmp_path / "runs" / "astigmatism_sparse" / "run" / "report.html").is_file()
