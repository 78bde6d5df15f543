import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from autods.core import UserError
from autods.io.atomic import atomic_path


def _write_then_raise(target: Path, error: Exception) -> None:
    with atomic_path(target) as part:
        part.write_text("half")
        raise error


def test_success_replaces_the_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "table.csv"
    for text in ("first", "second"):
        with atomic_path(target) as part:
            assert part.parent == target.parent
            assert part.suffix == ".csv"
            part.write_text(text)
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(KeyError):
        _write_then_raise(target, KeyError("ours"))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")],
)
def test_system_errors_become_one_line(tmp_path, code, words):
    target = tmp_path / "table.csv"
    with pytest.raises(UserError, match=words) as caught:
        _write_then_raise(target, OSError(code, os.strerror(code)))
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_failing_rename_is_reported(tmp_path, monkeypatch):
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UserError, match="no permission"), atomic_path(tmp_path / "a") as part:
        part.write_text("x")
    assert not list(tmp_path.iterdir())


def test_trouble_with_another_file_is_not_ours(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "movie.tif"))


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match="cannot write"), atomic_path(tmp_path / "results" / "table.csv"):
        pass


def test_a_folder_in_the_way_of_the_file(tmp_path):
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(UserError, match="folder of that name"), atomic_path(tmp_path / "table.csv") as part:
        part.write_text("x")


def _write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(1_000_000)


@pytest.mark.parametrize(
    "write",
    [lambda path: path.write_bytes(bytes(1_000_000)), lambda path: np.ones(10**6).tofile(path), _write_hdf5],
    ids=["python", "tofile", "hdf5"],
)
def test_a_disk_that_fills_up(full_disk, write):
    with pytest.raises(UserError, match="disk is full"), atomic_path(full_disk / "big.bin") as part:
        write(part)
    assert not list(full_disk.iterdir())
