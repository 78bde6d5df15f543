"""The suite `drift` says what is left of a known drift, and what failed of other programs."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from autods.cli.main import main
from benchmarks.drift import left_nm


def test_what_is_left_does_not_count_what_is_constant() -> None:
    truth = np.cumsum(np.ones((50, 3)), axis=0)
    assert left_nm(truth + 7, truth) == pytest.approx({"lateral_nm": 0.0, "axial_nm": 0.0})
    assert left_nm(truth[:, :2], truth)["axial_nm"] == pytest.approx(np.arange(50).std())
    away = truth.copy()
    away[::2, 0] += 6
    assert left_nm(away[:, :2], truth[:, :2]) == {"lateral_nm": pytest.approx(3.0), "axial_nm": None}


def test_the_suite_compares_programs(tmp_path: Path) -> None:
    words = ["suite=fast/drift", f"suite.peers_python={sys.executable}"]
    assert main(["benchmark", *words, "--out", str(tmp_path)]) == 0
    (found,) = tmp_path.rglob("results.csv")
    rows = list(csv.DictReader(found.open()))
    left = {(row["drift"], row["program"]): float(row["lateral_nm"] or "nan") for row in rows}
    assert left["smooth", "autods"] < left["smooth", "none"] / 3
    assert left["none", "autods"] < 2
    # This Python has none of the other programs.
    assert all("No module" in row["note"] for row in rows if row["program"].startswith("Picasso"))
