"""`autods evaluate` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autods.cli.main import main


def write_table(path: Path, frame: list[int], x_nm: list[float], y_nm: list[float]) -> Path:
    rows = [f"{f},{x},{y},1000" for f, x, y in zip(frame, x_nm, y_nm, strict=True)]
    path.write_text("frame,x_nm,y_nm,photons\n" + "\n".join(rows) + "\n")
    return path


def test_scores_are_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_table(tmp_path / "truth.csv", [0, 0, 1, 2], [500, 1500, 900, 300], [400, 800, 1200, 900])
    found = write_table(tmp_path / "found.csv", [0, 1, 1], [530, 900, 2000], [440, 1200, 300])
    assert main(["evaluate", str(found), "--truth", str(truth), "--out", str(tmp_path / "o")]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["jaccard"] == pytest.approx(2 / 5)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(2 / 4)
    assert scores["rmse_lateral_nm"] == pytest.approx(np.sqrt((30**2 + 40**2) / 2))
    assert json.loads((tmp_path / "o" / "evaluation.json").read_text()) == scores


def test_only_some_frames_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_table(tmp_path / "truth.csv", [0, 1], [500, 1500], [400, 800])
    found = write_table(tmp_path / "found.csv", [0], [500], [400])
    assert main(["evaluate", str(found), "--truth", str(truth), "frames=:1"]) == 0
    assert json.loads(capsys.readouterr().out)["recall"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --truth FILE"),
        (["--truth", "absent.csv"], "absent.csv does not exist"),
        (["--truth", "t.csv", "radius_nm=-1"], "radius_nm is -1.0"),
        (["--truth", "t.csv", "field_nm=3"], "HEIGHT:WIDTH"),
        (["--truth", "t.csv", "frames=a:b"], "START:STOP"),
        (["--truth", "t.csv", "radius=3"], "nearest setting is radius_nm"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv", [0], [500], [400])
    assert main(["evaluate", "t.csv", *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
