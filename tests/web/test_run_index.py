"""Ten thousand runs: listed at once, watched for next to nothing, renamed, searched, removed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from autods.core import UserError
from autods.web.jobs import JobStore
from autods.web.roots import Roots
from autods.web.run_index import RunIndex, is_of, read_counts
from autods.web.run_notes import Notes, read_notes, write_notes
from autods.web.trash import TRASH, disk_bytes, remove


def finished(store: JobStore, name: str, number: int) -> Path:
    folder = store.folder / name
    folder.mkdir(parents=True)
    job = {"kind": "localize", "movie": f"/d/{name}.tif", "arguments": ["m"], "device": "cpu"}
    (folder / "job.json").write_text(json.dumps({**job, "queued_at": float(number)}))
    (folder / "run.json").write_text(json.dumps({"status": "done", "results": {"localizations": number}}))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    found = JobStore(Roots([tmp_path]))
    found.prepare()
    return found


def names(index: RunIndex) -> list[str]:
    index.forget()
    return [entry.view.job.id for entry in index.entries()]


def test_runs_come_change_and_go(store: JobStore) -> None:
    index = RunIndex(store)
    assert names(index) == []
    finished(store, "a", 1)
    second = finished(store, "b", 2)
    assert names(index) == ["b", "a"]
    write_notes(second, Notes("Mitochondria, well 3", "blinks well"))
    store.note_written("b")
    entry = index.entries()[0]
    assert entry.notes.title == "Mitochondria, well 3"
    assert is_of(entry, "WELL mito", "")
    assert is_of(entry, "b.tif", "done")
    assert not is_of(entry, "mito", "failed")
    assert read_counts(index.entries()) == {"done": 2}
    before = index.version
    assert names(index) == ["b", "a"]
    assert index.version == before, "nothing changed"
    remove(entry.view.job)
    assert names(index) == ["a"]
    (kept,) = (store.folder / TRASH).iterdir()
    assert read_notes(kept).text == "blinks well"
    assert disk_bytes(kept) > 100


def test_a_run_that_goes_on_is_not_removed(store: JobStore) -> None:
    job = store.create("localize", Path("movie.tif"), ["movie.tif"], "cpu", queue=True)
    with pytest.raises(UserError, match="stop it first"):
        remove(job)
    assert RunIndex(store).unfinished()[0].job.id == job.id


def test_notes_that_are_none_are_empty(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text(json.dumps({"title": ["x"] * 1000, "text": None}))
    assert len(read_notes(tmp_path).title) <= 120
    with pytest.raises(UserError, match="shorten"):
        write_notes(tmp_path, Notes("x" * 200))


@pytest.mark.slow
def test_ten_thousand_runs(store: JobStore) -> None:
    for number in range(10_000):
        finished(store, f"run{number:05d}", number)
    index = RunIndex(store)
    assert len(index.entries()) == 10_000
    start = time.process_time()
    for _ in range(20):
        index.forget()
        index.entries()
    assert (time.process_time() - start) / 20 < 0.01, "a second of watching costs less than 1 % of a core"
    finished(store, "new", 10_001)
    start = time.perf_counter()
    assert names(index)[0] == "new"
    assert time.perf_counter() - start < 0.5
