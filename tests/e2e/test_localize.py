"""`autods localize` as a user types it: what a run folder holds, batches, resuming."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autods.cli.main import main
from autods.io.images import write_movie_tiff
from autods.io.tables import read_table
from autods.pipelines import autods as pipeline
from autods.pipelines.blocks import Block
from autods.pipelines.streaming import BlockLocalizer

FILES = {
    "localizations.csv",
    "localizations.hdf5",
    "localizations.yaml",
    "reconstruction.tif",
    "preview.png",
    "profile.json",
    "plan.yaml",
    "report.html",
    "drift.csv",
    "linked.csv",
    "linked.hdf5",
    "linked.yaml",
    "localizations.parquet",
    ".lock",
    "run.json",
    "log.txt",
}


def localize(*words: object) -> int:
    return main(["localize", *(str(word) for word in words)])


def test_the_run_folder_is_complete(
    movie: Path, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert localize(movie, "--out", tmp_path / "run", f"zoo={zoo}") == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    table = read_table(tmp_path / "run")
    assert f"{len(table):,} localizations" in capsys.readouterr().out
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["status"] == "done"
    assert run["inputs"][0]["path"] == str(movie)
    words = shlex.split(run["command"])
    assert words[:3] == ["autods", "localize", str(movie)]
    shutil.rmtree(tmp_path / "run")
    assert main(words[1:]) == 0
    again = read_table(tmp_path / "run")
    np.testing.assert_array_equal(table.x_nm, again.x_nm)


@pytest.mark.usefixtures("undrawn")
def test_without_out_the_folder_is_named_after_the_movie(
    movie: Path, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert localize(movie, f"zoo={zoo}", "frames=:4") == 0
    assert (tmp_path / "movie_autods" / "localizations.csv").exists()


@pytest.mark.usefixtures("undrawn")
def test_an_odd_name_is_harmless(movie: Path, zoo: Path, tmp_path: Path) -> None:
    odd = tmp_path / "laser=5 mW, 2% (a).tif"
    shutil.copy(movie, odd)
    assert localize(odd, "--out", tmp_path / "run=1", f"zoo={zoo}", "frames=:4") == 0
    assert (tmp_path / "run=1" / "localizations.csv").exists()


@pytest.mark.usefixtures("undrawn")
def test_region_and_frames_are_in_full_frame_coordinates(movie: Path, zoo: Path, tmp_path: Path) -> None:
    # The PSF's width, measured on different parts, would change the scale a little.
    same = (f"zoo={zoo}", "rescale=false")
    assert localize(movie, "--out", tmp_path / "all", *same) == 0
    assert localize(movie, "--out", tmp_path / "part", *same, "frames=4:9", "roi=4:8:24:32") == 0
    part, whole = read_table(tmp_path / "part"), read_table(tmp_path / "all")
    assert len(part)
    assert set(part.frame) <= set(range(4, 9))
    assert part.x_nm.min() >= 800
    assert part.y_nm.min() >= 400
    inner = (whole.x_nm > 1500) & (whole.y_nm > 1000) & (whole.frame >= 4) & (whole.frame < 9)
    for x, y, frame in zip(whole.x_nm[inner], whole.y_nm[inner], whole.frame[inner], strict=True):
        now = part.frame == frame
        assert np.hypot(part.x_nm[now] - x, part.y_nm[now] - y).min() < 20


@pytest.mark.usefixtures("undrawn")
def test_a_folder_is_a_batch_and_one_bad_file_does_not_stop_it(
    movie: Path, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(movie, folder / "a.tif")
    (folder / "b.tif").write_bytes(movie.read_bytes()[:300])
    shutil.copy(movie, folder / "c.tif")
    (folder / "notes.txt").write_text("not a movie")
    assert localize(folder, "--out", tmp_path / "out", f"zoo={zoo}", "frames=:4") == 2
    captured = capsys.readouterr()
    assert "2 of 3 done" in captured.out
    assert "b.tif" in captured.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "c"]


@pytest.mark.usefixtures("undrawn")
def test_settings_are_swept(movie: Path, zoo: Path, tmp_path: Path) -> None:
    swept = tmp_path / "sweep"
    assert localize(movie, "-m", f"zoo={zoo}", "frames=:4", "decode.threshold=0.3,0.9", "--out", swept) == 0
    with (swept / "results.csv").open() as file:
        assert [row["decode.threshold"] for row in csv.DictReader(file)] == ["0.3", "0.9"]
    assert (swept / "1" / "localizations.csv").is_file()


@pytest.mark.usefixtures("undrawn")
def test_movies_of_one_name_get_folders_of_their_own(movie: Path, zoo: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        shutil.copy(movie, tmp_path / name / "movie.tif")
    movies = [tmp_path / name / "movie.tif" for name in "xy"]
    assert localize(*movies, "--out", tmp_path / "out", f"zoo={zoo}", "frames=:4") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x_movie.tif", "y_movie.tif"]


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_run_goes_on(
    zoo: Path, frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = tmp_path / "movie.tif"
    write_movie_tiff(frames, movie, 100.0)
    monkeypatch.setattr(pipeline, "block_length", lambda _: 4)
    done: list[int] = []
    genuine = BlockLocalizer.__call__

    def stop_at_the_third(self: BlockLocalizer, block: np.ndarray, *others: Any) -> Block:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(len(block))
        return genuine(self, block, *others)

    monkeypatch.setattr(BlockLocalizer, "__call__", stop_at_the_third)
    assert localize(movie, "--out", tmp_path / "run", f"zoo={zoo}") == 130
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert not (tmp_path / "run" / "localizations.csv").exists()
    done[:] = []
    assert localize(movie, "--out", tmp_path / "run", f"zoo={zoo}") == 0
    assert done == [4]
    monkeypatch.setattr(BlockLocalizer, "__call__", genuine)
    assert localize(movie, "--out", tmp_path / "whole", f"zoo={zoo}") == 0
    assert (tmp_path / "run" / "localizations.csv").read_bytes() == (
        tmp_path / "whole" / "localizations.csv"
    ).read_bytes()
