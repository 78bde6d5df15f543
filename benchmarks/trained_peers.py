"""Peers that must be trained: each from its own repository, in a Python of its own, on a bank of our frames.

Nothing of a peer is imported here; ``peer_scripts/run_NAME.py`` brings the bank to the peer's own network and
loss.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from autods.core import LocalizationTable, UserError
from autods.io.tables import read_table
from benchmarks.training_bank import SETTINGS_FILE

DONE_FILE = "done.json"
SCRIPTS = Path(__file__).parent / "peer_scripts"
#: Thresholds of a probability that are tried: the best by the truth counts, which favours the peer.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: Memory that a step gives back is kept for the next: taken anew each time, it costs up to half of the time.
_KEEPING_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
}
#: Peers by the names of their settings ``peers.NAME=REPOSITORY``, and a file that each repository holds.
MARKS: Mapping[str, str] = {
    "decode": "decode/neuralfitter/loss.py",
    "liteloc": "network/liteloc.py",
}


@dataclass(frozen=True)
class Found:
    """What a trained peer found in a movie."""

    #: A table for each of `THRESHOLDS`.
    tables: Sequence[LocalizationTable]
    #: Of network and one reading of its output.
    seconds: float


@dataclass(frozen=True)
class TrainedPeer:
    """A peer with its repository and the interpreter that runs it."""

    name: str
    repository: Path
    python: str = sys.executable
    script: Path | None = None

    def train(self, bank: Path, minutes: float, folder: Path) -> None:
        """Train on a bank of `write_bank`; a folder that holds a finished training is left as it is.

        Leaves ``model.pt``, ``settings.json`` and ``done.json`` with the minutes and steps taken. Raises
        `UserError` if the peer does not run.
        """
        if (folder / DONE_FILE).exists():
            return
        told = json.loads((bank / SETTINGS_FILE).read_text(encoding="utf-8"))
        self._run("train", {**told, "minutes": minutes}, folder)

    def localize(self, movie: Path, trained: Path) -> Found:
        """Localize a movie with each threshold, by the model of a folder of `train`.

        Raises `UserError` if the peer does not run.
        """
        told = json.loads((trained / SETTINGS_FILE).read_text(encoding="utf-8"))
        wanted = {"movie": str(movie.resolve()), "model": str((trained / "model.pt").resolve())}
        with TemporaryDirectory(prefix="autods-peer-") as scratch:
            folder = Path(scratch)
            done = self._run("localize", {**told, **wanted, "thresholds": THRESHOLDS}, folder)
            names = [f"table_{number}.csv" for number in range(len(THRESHOLDS))]
            tables = [read_table(folder / name, told["pixel_size_nm"]) for name in names]
        return Found(tables, done["seconds"])

    def _run(self, action: str, told: dict[str, object], folder: Path) -> dict[str, float]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS_FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")
        script = self.script or SCRIPTS / f"run_{self.name}.py"
        command = [self.python, str(script), action, str(folder.resolve())]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, **_KEEPING_MEMORY, "PYTHONPATH": str(self.repository.resolve())},
        )
        if ended.returncode:
            last = (ended.stderr.strip() or ended.stdout.strip() or "no message").splitlines()[-1]
            raise UserError(f"{self.name} did not run in {self.python} ({last})")
        return trained_as(folder)


def trained_as(folder: Path) -> dict[str, float]:
    """Return what a peer's script noted at its end: ``minutes`` and ``steps``, or ``seconds``."""
    done: dict[str, float] = json.loads((folder / DONE_FILE).read_text(encoding="utf-8"))
    return done


def trainable_peers(
    repositories: Mapping[str, str | None], python: str | None = None
) -> tuple[list[TrainedPeer], list[str]]:
    """Return the peers whose repositories are there, and a line for each of the others.

    Parameters
    ----------
    repositories
        Folders by the names of `MARKS`; None where there is none.
    python
        Interpreter with torch; None for this one.
    """
    found, notes = [], []
    for name, mark in MARKS.items():
        folder = repositories.get(name)
        if folder is None:
            notes.append(f"{name} is left out: give peers.{name}=FOLDER of its repository.")
        elif not (Path(folder) / mark).is_file():
            notes.append(f"{name} is left out: {folder} is not its repository ({mark} is not there).")
        else:
            found.append(TrainedPeer(name, Path(folder), python or sys.executable))
    return found, notes
