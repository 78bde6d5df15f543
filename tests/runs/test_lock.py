"""One process at a time works in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autods.core import UserError
from autods.runs.lock import own_folder
from autods.runs.record import RunRecord, read_run

OWNER = """
import sys, time
from pathlib import Path
from autods.runs.record import RunRecord
with RunRecord(Path(sys.argv[1]), "localize"):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_a_folder_with_a_living_owner_is_refused_and_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"mine\n"
        before = (tmp_path / "run.json").read_text()
        with pytest.raises(UserError, match="another command is at work"), RunRecord(tmp_path, "localize"):
            pass
        assert (tmp_path / "run.json").read_text() == before
        owner.kill()
    # However it ended, the folder is free.
    with RunRecord(tmp_path, "localize"):
        pass
    run = read_run(tmp_path)
    assert run is not None
    assert run["status"] == "done"


def test_a_folder_is_free_again_after_a_failure(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="no"), RunRecord(tmp_path, "localize"):
            raise ValueError("no")


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"), own_folder(tmp_path / "file" / "run"):
        pass
