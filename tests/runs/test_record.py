"""The run record: status, stages, log, provenance and the pieces that resume a run."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from autods.core import UserError
from autods.runs import provenance
from autods.runs.chunks import ChunkStore
from autods.runs.provenance import digest_file, fingerprint, to_json
from autods.runs.record import PROGRESS_FILE, RunRecord, is_finished, read_run


def load(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "run.json").read_text())
    assert isinstance(content, dict)
    return content


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    movie = tmp_path / "movie.bin"
    movie.write_bytes(b"abc")
    with RunRecord(
        tmp_path / "run",
        "localize",
        command="autods localize m",
        key="f",
        progress=lambda *step: seen.append(step),
    ) as record:
        assert load(tmp_path / "run")["status"] == "running"
        record.add_input(movie)
        record.add_weights("diff_1", "00ff")
        with record.stage("measure", total=2) as stage:
            stage.advance()
            stage.details["n_tiles"] = 4
        record.add_results(n_localizations=np.int64(7), median_nm=float("nan"))
        record.warn("dim")
        record.warn("dim")
    run = load(tmp_path / "run")
    assert run["status"] == "done"
    assert run["warnings"] == ["dim"]
    assert run["results"] == {"n_localizations": 7, "median_nm": None}
    assert run["weights"] == {"diff_1": "00ff"}
    inputs = run["inputs"]
    assert isinstance(inputs, list)
    assert inputs[0]["sha256"].startswith("ba7816bf")  # SHA-256 of "abc", FIPS 180-2
    stages = run["stages"]
    assert isinstance(stages, list)
    assert stages[0]["status"] == "done"
    assert stages[0]["n_tiles"] == 4
    assert seen[:2] == [("measure", 0, 2), ("measure", 1, 2)]
    assert is_finished(tmp_path / "run", "f")
    assert not is_finished(tmp_path / "run", "other")
    assert not is_finished(tmp_path / "run", "f", files=("absent.csv",))


def test_progress_can_be_read_from_outside_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("autods.runs.record.time.perf_counter", lambda: clock[0])
    with RunRecord(tmp_path, "localize") as record:
        assert not (tmp_path / PROGRESS_FILE).exists()
        with record.stage("localize", total=10) as stage:
            clock[0] += 8.0
            stage.advance(4)
            clock[0] += 0.1
            stage.advance()
            shown = json.loads((tmp_path / PROGRESS_FILE).read_text())
            # The last step came too soon after the one before to be written.
            assert (shown["stage"], shown["done"], shown["total"]) == ("localize", 4, 10)
            assert shown["seconds_left"] == 12.0
            assert shown["process"] == os.getpid()
    assert not (tmp_path / PROGRESS_FILE).exists()


def test_the_time_limit_of_a_stage_counts_for_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("autods.runs.record.time.perf_counter", lambda: clock[0])
    seen: list[tuple[str, int, int]] = []
    record = RunRecord(tmp_path, "localize3d", progress=lambda *step: seen.append(step))
    with record, record.stage("train", total=1000, limit_s=60.0) as stage:
        clock[0] += 10.0
        stage.advance(500)  # those of an earlier run
        clock[0] += 10.0
        stage.advance(20)  # two a second: in the 40 s that are left, 80 more
        shown = json.loads((tmp_path / PROGRESS_FILE).read_text())
        assert (shown["done"], shown["total"]) == (520, 600)
        clock[0] += 1.0
        stage.advance(400)  # fast enough to do them all
        clock[0] += 100.0
        stage.advance(1)  # beyond the time
    assert [step[1:] for step in seen[:-1]] == [(0, 1000), (500, 1000), (520, 600), (920, 1000), (921, 921)]


def test_parts_of_a_block_are_told(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    record = RunRecord(tmp_path, "localize", progress=lambda *step: seen.append(step))
    with record, record.stage("localize", total=20) as stage:
        for start in (0, 15):
            tell = stage.part(start, min(start + 15, 20))
            for share in (0.1, 0.1, 0.5, 1.0, 1.0):
                tell(share)
    assert [done for _, done, _ in seen] == [0, 1, 7, 15, 17, 20, 20]


@pytest.mark.parametrize(
    ("error", "status", "traceback"),
    [
        (UserError("the movie is empty: give another"), "failed", False),
        (KeyError("x"), "failed", True),
        (KeyboardInterrupt(), "interrupted", False),
    ],
)
def test_a_failure_is_recorded_and_goes_on(
    tmp_path: Path, error: BaseException, status: str, traceback: bool
) -> None:
    with pytest.raises(type(error)), RunRecord(tmp_path, "localize") as record, record.stage("load"):
        raise error
    run = load(tmp_path)
    assert run["status"] == status
    stages = run["stages"]
    assert isinstance(stages, list)
    assert stages[0]["status"] == status
    assert ("Traceback" in (tmp_path / "log.txt").read_text()) == traceback


def test_the_log_belongs_to_its_run(tmp_path: Path) -> None:
    log = logging.getLogger("autods.something")
    for name in ("a", "b"):
        with RunRecord(tmp_path / name, "localize"):
            log.info("inside %s", name)
    log.info("outside")
    assert "inside a" in (tmp_path / "a" / "log.txt").read_text()
    text = (tmp_path / "b" / "log.txt").read_text()
    assert "inside b" in text
    assert "inside a" not in text
    assert "outside" not in text


def test_an_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="file"), RunRecord(tmp_path / "file" / "run", "localize"):
        pass


def test_read_run_of_rubbish_is_none(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    (tmp_path / "run.json").write_text("{half")
    assert read_run(tmp_path) is None


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    with RunRecord(tmp_path, "localize") as record, record.stage("load"):
        running = load(tmp_path)
    for change, status in (
        ({}, "running"),  # this process
        ({"process_started": 1.0}, "interrupted"),  # an earlier one of this number
        ({"process": 2**22 + 1}, "interrupted"),
        ({"process": 2**22 + 1, "host": "elsewhere"}, "running"),  # who knows
    ):
        (tmp_path / "run.json").write_text(json.dumps({**running, **change}))
        run = read_run(tmp_path)
        assert run is not None
        assert (run["status"], run["stages"][0]["status"]) == (status, status)
        assert ("ended from outside" in run.get("error", "")) == (status == "interrupted")


def test_pieces_of_other_keys_stay(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, "a")
    store.save("000000", {"x": np.arange(3.0)})
    loaded = store.load("000000")
    assert loaded is not None
    np.testing.assert_array_equal(loaded["x"], [0, 1, 2])
    assert store.load("000001") is None
    other = ChunkStore(tmp_path, "b")
    assert other.names() == []
    other.save("000000", {"x": np.arange(2.0)})
    other.clear()
    # Who goes back to the earlier settings finds their pieces.
    assert ChunkStore(tmp_path, "a").names() == ["000000"]
    store.clear()
    assert not (tmp_path / ".partial").exists()


def test_a_damaged_piece_is_computed_again(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, "a")
    store.save("0", {"x": np.arange(1000.0)})
    path = tmp_path / ".partial" / "a" / "0.npz"
    path.write_bytes(path.read_bytes()[:500])
    assert store.load("0") is None
    assert store.names() == []


def test_the_fingerprint_changes_with_any_part() -> None:
    @dataclass(frozen=True)
    class Settings:
        pixel_size_nm: float
        roi: tuple[int, ...] | None = None

    base = fingerprint(Settings(100.0), {"a": 1})
    assert base == fingerprint(Settings(100.0), {"a": 1})
    assert (
        len({base, fingerprint(Settings(100.1), {"a": 1}), fingerprint(Settings(100.0, (0, 1)), {"a": 1})})
        == 3
    )


def test_a_large_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "WHOLE_FILE_BYTES", 2**21)
    path = tmp_path / "movie.tif"
    content = np.random.default_rng(0).bytes(3 * 2**20)
    path.write_bytes(content)
    first = digest_file(path)
    assert first.sampled
    assert first.n_bytes == 3 * 2**20
    path.write_bytes(content[:-1] + b"\0")
    assert digest_file(path).sha256 != first.sha256


def test_a_folder_is_identified_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "m.zarr").mkdir()
    (tmp_path / "m.zarr" / "0").write_bytes(b"12")
    first = digest_file(tmp_path / "m.zarr")
    (tmp_path / "m.zarr" / "1").write_bytes(b"3")
    second = digest_file(tmp_path / "m.zarr")
    assert (first.n_bytes, second.n_bytes) == (2, 3)
    assert first.sha256 != second.sha256


def test_json_has_no_nan() -> None:
    assert to_json({"a": np.array([1.0, np.nan]), "b": slice(1, 2), "c": {3, 1}}) == {
        "a": [1.0, None],
        "b": [1, 2, None],
        "c": [1, 3],
    }
    with pytest.raises(TypeError):
        to_json(object())
