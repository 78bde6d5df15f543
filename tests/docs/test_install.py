"""The shell blocks of README, Install and CONTRIBUTING, typed as they stand into fresh copies of the source.

Nothing of the environment of the tests is known there but the caches and the index of packages. Each section
of a page begins with a copy of its own. What is left out, and why, stands in `CANNOT_RUN` and below.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.copies import copy_of_the_source
from tests.docs.pages import ROOT, SHELLS, Block, blocks, lines
from tests.docs.running import INSTALL_PAGES, reason_not_to_run, serve, shortened
from tests.docs.test_pages_run import inputs as inputs

#: Where the one line that leads elsewhere leads; the others take the usual index of packages.
TORCH_INDEX = "download.pytorch.org"
#: Make a target short: `make test` runs one small folder of tests.
SETTINGS = {
    "PYTEST_ADDOPTS": "tests/core --cov-fail-under=0 -p no:cacheprovider",
    "PIP_RETRIES": "0",
    "PIP_NO_COMPILE": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "OMP_NUM_THREADS": "1",
}
#: What of the environment is kept: where packages come from, and the language.
KEPT = re.compile("(PIP|UV|SSL|REQUESTS|HTTPS?|NO_PROXY|LANG|LC)_?.*", re.IGNORECASE)


@functools.cache
def reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True


def sections() -> list[object]:
    """Return page, heading and blocks of each section that a reader types in one go."""
    found: dict[tuple[str, str], list[Block]] = {}
    for page in INSTALL_PAGES:
        text = (ROOT / page).read_text(encoding="utf-8").splitlines()
        for block in blocks(ROOT / page):
            headings = [line[3:] for line in text[: block.line] if line.startswith("## ")]
            # README and CONTRIBUTING are read from the top, Install is a choice of ways.
            heading = headings[-1] if page == "docs/install.md" and headings else ""
            if block.language in SHELLS:
                found.setdefault((page, heading), []).append(block)
    return [pytest.param(of, id=" ".join(filter(None, key))) for key, of in found.items()]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    yield copy_of_the_source(tmp_path / "autods")
    # An environment with torch takes gigabytes, and pytest keeps the folders of its last runs.
    shutil.rmtree(tmp_path)


def environment(home: Path) -> dict[str, str]:
    """Return what a new terminal knows; torch is the build that the Makefile takes, to spare gigabytes."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    kept |= {"PIP_CACHE_DIR": str(cache / "pip"), "UV_CACHE_DIR": str(cache / "uv")}
    kept |= {f"{tool}_CONSTRAINT": str(ROOT / "constraints.txt") for tool in ("PIP", "UV")}
    if "PIP_FIND_LINKS" in kept:
        kept["UV_FIND_LINKS"] = kept["PIP_FIND_LINKS"]
    ours = Path(sys.prefix, "bin")
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != ours]
    return {**kept, **SETTINGS, "HOME": str(home), "PATH": os.pathsep.join(path)}


@pytest.mark.slow
@pytest.mark.skipif(not reachable("pypi.org"), reason="the index of packages cannot be reached")
@pytest.mark.parametrize("typed", sections())
def test_what_is_typed_works_in_a_fresh_copy(typed: list[Block], copy: Path, inputs: Path) -> None:
    known = environment(copy.parent / "home")
    Path(known["HOME"]).mkdir()
    # A module of a page is no part of the source that `make lint` looks at.
    shutil.copytree(inputs, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("my_*"))
    for block in typed:
        for line in lines(block):
            type_into(copy, line, known, block.id)


def type_into(folder: Path, line: str, known: dict[str, str], where: str) -> None:
    """Run a line as a shell does; what it makes known to the terminal stays known."""
    words = line.split()
    if reason_not_to_run(words) or (TORCH_INDEX in line and not reachable(TORCH_INDEX)):
        return
    if words[:2] == [".", ".venv/bin/activate"]:
        assert (folder / ".venv" / "bin" / "activate").exists(), f"{where}: there is nothing to activate"
        known["VIRTUAL_ENV"] = str(folder / ".venv")
        known["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{known['PATH']}"
        return
    if words[:2] == ["autods", "web"]:
        program = shutil.which("autods", path=known["PATH"])
        assert program is not None, f"{where}: there is no autods"
        serve([program, *words[1:], "--port", "0"], known, folder)
        return
    if words[0] == "autods":
        # The movie at hand is small; the rest of the line stays as it is typed, quotes and all.
        for long, short in zip(words[1:], shortened(words[1:]), strict=False):
            line = line.replace(long, short)
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{where}: {line}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
