"""Removed runs come back whole, or go for good; nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from autods.core import UserError
from autods.web.jobs import JobStore
from autods.web.roots import Roots
from autods.web.trash import TRASH, delete, remove, removed_runs, restore


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    store = JobStore(Roots([tmp_path]))
    store.prepare()
    return store


def removed(store: JobStore) -> tuple[str, str]:
    """Put a run into the trash, and return its name as a run and there."""
    job = store.create("localize", store.folder.parent / "movie.tif", ["movie.tif"], "cpu", queue=False)
    (job.folder / "localizations.csv").write_bytes(bytes(1000))
    remove(job)
    return job.id, removed_runs(store.folder)[0].name


def test_a_run_comes_back_whole(store: JobStore) -> None:
    run, name = removed(store)
    (found,) = removed_runs(store.folder)
    assert found.run == run
    assert found.n_bytes > 1000
    assert not (store.folder / run).exists()
    assert restore(store.folder, name) == run
    assert (store.folder / run / "localizations.csv").stat().st_size == 1000
    assert store.load(run).id == run
    assert removed_runs(store.folder) == []


def test_a_run_of_the_same_name_is_not_written_over(store: JobStore) -> None:
    run, name = removed(store)
    (store.folder / run).mkdir()
    with pytest.raises(UserError, match="already"):
        restore(store.folder, name)
    assert [item.name for item in removed_runs(store.folder)] == [name]


def test_a_run_goes_for_good(store: JobStore) -> None:
    _, name = removed(store)
    delete(store.folder, name)
    assert not (store.folder / TRASH / name).exists()
    with pytest.raises(UserError, match="not in the trash"):
        delete(store.folder, name)


def test_nothing_but_the_trash_is_deleted(store: JobStore, tmp_path: Path) -> None:
    run, _ = removed(store)
    precious = tmp_path / "precious"
    precious.mkdir()
    link = store.folder / TRASH / "20260101-000000_link"
    link.symlink_to(precious)
    for name in (link.name, "..", "../precious", "20260101-000000_../../precious", f"x_{run}", ""):
        for work in (delete, restore):
            with pytest.raises(UserError, match="not in the trash"):
                work(store.folder, name)
    assert precious.is_dir()
    assert link.name not in [item.name for item in removed_runs(store.folder)]
