"""From a movie to a finished picture by the commands: drift, filter, following, finishing, combining."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from autods.cli.main import main
from autods.io.tables import read_table


def run(*words: object) -> int:
    return main([str(word) for word in words])


def write_slowly(movie: Path, folder: Path, pause_s: float) -> threading.Thread:
    """Write the frames of a movie into a folder, one file each, from another thread."""
    frames = tifffile.imread(movie)

    def write() -> None:
        for index, frame in enumerate(frames):
            tifffile.imwrite(folder / f"frame_{index:04d}.tif", frame)
            time.sleep(pause_s)

    folder.mkdir()
    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.usefixtures("undrawn")
def test_following_gives_the_table_of_the_finished_file(
    movie: Path, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "growing"
    thread = write_slowly(movie, folder, 0.15)
    # The scene is measured before most frames are there.
    monkeypatch.setattr("autods.pipelines.follow.FIRST_FRAMES", 4)
    monkeypatch.setattr("autods.pipelines.follow._BLOCK_FRAMES", 4)
    known = (f"zoo={zoo}", "optics.pixel_size_nm=100")
    followed, afterwards = tmp_path / "followed", tmp_path / "afterwards"
    assert run("localize", folder, "--follow", "--out", followed, "follow.idle_s=3", *known) == 0
    thread.join()
    assert run("localize", folder, "--out", afterwards, *known) == 0
    table = (followed / "localizations.csv").read_bytes()
    assert table == (afterwards / "localizations.csv").read_bytes()
    assert "followed" in (followed / "log.txt").read_text()
    assert not (followed / ".partial").exists()


def test_nothing_to_follow_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("localize", tmp_path / "a.tif", "--follow", "--out", tmp_path / "run", "follow.idle_s=0.5") == 2
    )
    assert "no frame came" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_a_filter_drops_and_counts(movie: Path, zoo: Path, tmp_path: Path) -> None:
    kept, all_of_them = tmp_path / "kept", tmp_path / "all"
    assert run("localize", movie, "--out", all_of_them, f"zoo={zoo}") == 0
    assert run("localize", movie, "--out", kept, f"zoo={zoo}", "filter=x < 1500 & photons > 0") == 0
    table, whole = read_table(kept), read_table(all_of_them)
    assert table.x_nm.max() < 1500
    results = json.loads((kept / "run.json").read_text())["results"]
    assert results["dropped_by_filter"] == len(whole) - len(table)


@pytest.mark.usefixtures("undrawn")
def test_the_drift_of_a_file_is_subtracted_and_put_back(movie: Path, zoo: Path, tmp_path: Path) -> None:
    plain, corrected, again = (tmp_path / name for name in ("plain", "corrected", "again"))
    n_frames = tifffile.imread(movie).shape[0]
    drift = tmp_path / "known_drift.txt"
    np.savetxt(drift, np.column_stack([np.linspace(0, 0.5, n_frames), np.zeros(n_frames)]))
    assert run("localize", movie, "--out", plain, f"zoo={zoo}", "drift=none") == 0
    assert run("localize", movie, "--out", corrected, f"zoo={zoo}", f"drift={drift}") == 0
    before, after = read_table(plain), read_table(corrected)
    curve = np.loadtxt(corrected / "drift.csv", delimiter=",", skiprows=1)
    assert curve[-1, 1] == pytest.approx(50.0)
    expected = np.sort(before.x_nm - curve[before.frame, 1])
    np.testing.assert_allclose(np.sort(after.x_nm), expected, atol=0.02)
    assert run("finish", corrected, "--out", again, "drift=none") == 0
    np.testing.assert_allclose(np.sort(read_table(again).x_nm), np.sort(before.x_nm), atol=0.03)
    assert (again / "localizations_sml.mat").is_file()


def test_tables_are_combined(movie: Path, zoo: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("localize", movie, "--out", first, f"zoo={zoo}") == 0
    shutil.copytree(first, second)
    out = tmp_path / "out"
    assert run("combine", first, second, "--out", out, "registration=none") == 0
    assert (out / "first.csv").read_bytes() == (out / "second.csv").read_bytes()
    saved = json.loads((out / "registration.json").read_text())
    saved["shift_nm"] = [100.0, -50.0]
    (tmp_path / "shifted.json").write_text(json.dumps(saved))
    assert run("combine", first, second, "--out", out, f"registration={tmp_path / 'shifted.json'}") == 0
    moved, still = read_table(out / "second.csv"), read_table(out / "first.csv")
    np.testing.assert_allclose(np.sort(moved.x_nm), np.sort(still.x_nm) + 100, atol=0.02)
    assert tifffile.imread(out / "two_targets.tif").shape[0] == 2
    assert run("combine", first, second, "--out", out, "registration=nothing.json") == 2
