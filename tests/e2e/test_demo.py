"""`autods demo`, with a small zoo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autods.cli.main import main


def test_the_demo_scores_itself(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["simulate.n_frames=20", "simulate.size_px=32", "simulate.structure=uniform"]
    assert main(["demo", f"zoo={zoo}", *small, "simulate.density_per_um2=0.2", "simulate.photons=5000"]) == 0
    out = capsys.readouterr().out
    assert "Jaccard" in out
    assert "autods_demo/report.html" in out
    scores = json.loads((tmp_path / "autods_demo" / "evaluation.json").read_text())
    assert 0.3 < scores["jaccard"] <= 1
    assert scores["rmse_lateral_nm"] < 80
    assert (tmp_path / "autods_demo" / "simulation" / "truth.csv").exists()
