"""Copies of the source as git would hand it to somebody else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.docs.pages import ROOT

#: Who commits there.
_SETTINGS = {
    "user.name": "Test",
    "user.email": "test@localhost",
    "commit.gpgsign": "false",
    "tag.gpgsign": "false",
}


def copy_of_the_source(target: Path) -> Path:
    """Make a repository of the source as it stands now, uncommitted changes too, and return its folder."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    settings = [["config", *setting] for setting in _SETTINGS.items()]
    for words in (["init", "-q", "-b", "main"], *settings, ["add", "-A"], ["commit", "-qm", "A copy"]):
        subprocess.run(["git", *words], check=True, cwd=target)
    return target
