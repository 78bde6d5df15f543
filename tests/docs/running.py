"""How a command of a page is run by a test: what makes it short, and what cannot run where the tests do."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from autods.cli.commands import COMMANDS
from autods.cli.main import main
from tests.docs.pages import ROOT

#: Programs and settings that need what a machine for tests has not, and who looks at them instead.
CANNOT_RUN = {
    "docker": "needs a container engine; tests/docs/test_packaging.py checks the Dockerfile",
    "apptainer": "needs a container engine; tests/docs/test_packaging.py checks the definition",
    "conda": "needs conda; tests/docs/test_packaging.py checks the recipe",
    "sbatch": "needs a cluster; tests/e2e/test_clusters.py runs the scripts on a stand-in",
    "hydra/launcher=submitit_slurm": "needs a cluster; tests/e2e/test_clusters.py submits to a stand-in",
}
#: Programs of the install test, which runs the shell blocks of these pages as they stand.
INSTALL_PAGES = ("README.md", "CONTRIBUTING.md", "docs/install.md")
INSTALLERS = {".", "make", "pip", "pipx", "pre-commit", "python3", "uv"}
#: Targets of the Makefile that the running text names and nothing runs whole, with what does instead.
LONG_TARGETS = {
    "benchmark": "half an hour: its suites run small in tests/benchmarks",
    "coverage": "the quick tests, counted: run by hand before the floor is raised",
    "history": "a minute on a quiet core: tests/benchmarks/test_history.py runs it small",
    "test-all": "all tests, these too",
}
#: What the running text calls a command by, without the paths that it takes: names, not calls.
NAMES = {("autods", name) for name in COMMANDS} | {("autods", "zoo", "build")}
_TRAINING = [
    "data.size_px=16",
    "data.batch_size=2",
    "data.batches_per_epoch=2",
    "data.validation_batches=1",
    "trainer.max_steps=2",
    "trainer.max_minutes=1",
    "trainer.progress_bar=false",
]
#: What makes a command short.
SHORT = {
    "train": _TRAINING,
    "simulate": ["n_frames=20", "size_px=40"],
    "demo": ["simulate.n_frames=20"],
    "zoo": [
        "budget.general_steps=2",
        "budget.general_start=null",
        "budget.specialist_steps=2",
        "budget.size_px=16",
        "budget.batch_size=2",
        "budget.batches_per_epoch=2",
        "budget.validation_batches=1",
    ],
    "calibrate": ["calibration.steps=40", "insitu.rounds=1"],
    "localize3d": ["calibration.steps=40"],
}
#: The same for scripts, and what of their words is long.
SCRIPTS = {
    "scripts/time_devices.py": ["--device", "cpu", "--size-px", "64", "--frames", "4"],
    "scripts/time_instant.py": ["--device", "cpu", "--frames", "2", "calibration.steps=40"],
    "scripts/time_long_movie.py": ["--size-px", "64", "--frames", "300"],
    "scripts/train_universal.py": ["--smoke", "--minutes", "0.05"],
    "benchmarks.big_results": ["20000"],
}
_LONG = {"2000": "3", "NAME": "unrolled", "FILE": "weights.safetensors", "docs": "pages"}
#: Settings that start processes, which a test's own process cannot stand for.
_PROCESSES = ("trainer.devices=", "processes.", "hydra/launcher=")
_SERVER_S = 60.0


def reason_not_to_run(words: list[str]) -> str | None:
    """Return why a command cannot run here; None where it can."""
    return next((why for what, why in CANNOT_RUN.items() if what in words), None)


def shortened(words: list[str]) -> list[str]:
    """Return the words of a command of ours with settings that make it short; its form stays."""
    name = words[0]
    # The movie at hand is small.
    words = [re.sub("^frames=.*", "frames=0:5", re.sub("^roi=.*", "roi=0:0:32:32", word)) for word in words]
    if name == "benchmark":
        words = [re.sub("^suite=", "suite=fast/", word) for word in words if not word.startswith("suite.")]
    if "-m" in words:
        words = _short_sweep(words)
    if "--follow" in words and not any(word.startswith("follow.") for word in words):
        words = [*words, "follow.idle_s=1"]
    return words if "--help" in words else [*words, *SHORT.get(name, [])]


def _short_sweep(words: list[str]) -> list[str]:
    """Keep all values of the first setting that is swept, and the first of the others."""
    swept = [word for word in words if re.search(r"=[^\[{'(,]*,", word)]
    return [re.sub(",.*", "", word) if word in swept[1:] else word for word in words]


def run(program: str, words: list[str]) -> None:
    """Run a command in the current folder; fail unless it ends well, or a server shows its page."""
    if program == "tensorboard":
        serve([sys.executable, "-m", "tensorboard.main", *words, "--port", "0"], clean())
    elif program == "python":
        _script(words)
    elif words[0] == "web":
        data = words.index("--data")
        serve([*_autods(), *words[:data], "--data", ".", "--port", "0", "--host", "127.0.0.1"], clean())
    elif any(word.startswith(_PROCESSES) for word in words):
        done = subprocess.run([*_autods(), *words], capture_output=True, text=True, env=clean(), check=False)
        assert done.returncode == 0, f"autods {' '.join(words)}\n{done.stderr[-3000:]}"
    else:
        assert main(words) == 0, f"autods {' '.join(words)}"


def _script(words: list[str]) -> None:
    """Run a script or a module of the source in the current folder."""
    name = words[1] if words[0] == "-m" else words[0]
    given = [_LONG.get(word, word.replace("docs/", "")) for word in words]
    if words[0] != "-m":
        given[0] = str(ROOT / name)
    command = [sys.executable, *given, *SCRIPTS.get(name, [])]
    done = subprocess.run(command, capture_output=True, text=True, env=clean(), check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr[-3000:]}"


def clean() -> dict[str, str]:
    """Return an environment that says nothing of the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NICEGUI"))}
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path.cwd()}"}


def _autods() -> list[str]:
    return [sys.executable, "-m", "autods.cli.main"]


def serve(command: list[str], environment: dict[str, str], folder: Path | None = None) -> None:
    """Start a server, fetch the page at the address that it prints, stop it."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(_address(process), timeout=_SERVER_S) as answer:
            assert answer.status == 200
            assert b"<html" in answer.read().lower()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _address(process: subprocess.Popen[bytes]) -> str:
    said, end = b"", time.monotonic() + _SERVER_S
    assert process.stdout is not None
    while time.monotonic() < end and process.poll() is None:
        if select.select([process.stdout], [], [], 1.0)[0]:
            said += os.read(process.stdout.fileno(), 65536)
        if found := re.search(rb"http://[^\s/]+/\S*(?=\s)", said):
            return found[0].decode()
    raise AssertionError(f"no address within {_SERVER_S:g} s: {said.decode()}")
