"""Other programs, each run in a Python of its own on the movie that is compared.

An adapter writes the movie to a folder, starts a small program in the peer's interpreter, and reads the table
that this leaves. Nothing of a peer is imported here. What is not installed is left out, by its name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from autods.core import LocalizationTable, UserError
from autods.io.images import write_movie_tiff
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from benchmarks.fields import SimulatedField
from benchmarks.picasso import run_picasso
from benchmarks.trained_peers import MARKS

_SCRIPTS = Path(__file__).parent / "peer_scripts"


#: Localizes a movie, in a Python, with one value of the peer's threshold.
Runner = Callable[[SimulatedField, str, float], LocalizationTable]


@dataclass(frozen=True)
class Program:
    """A peer that can be run.

    Parameters
    ----------
    module
        What its Python must be able to import.
    run
        Localizes a movie.
    settings
        Values of its threshold to try: the best by the truth counts, which favours the peer.
    setting
        What the values are called.
    """

    module: str
    run: Runner
    settings: Sequence[float]
    setting: str


@dataclass(frozen=True)
class Peer:
    """A peer with the interpreter that has it."""

    name: str
    program: Program
    python: str

    def tuned(self, field: SimulatedField, radius_nm: float = 200.0) -> LocalizationTable:
        """Localize with each setting and return the table of the highest Jaccard index.

        Raises
        ------
        UserError
            If the program does not run.
        """
        tables = [self.program.run(field, self.python, setting) for setting in self.program.settings]
        return max(tables, key=lambda table: detection_metrics(field.truth, table, radius_nm).jaccard)


def _scripted(script: str) -> Runner:
    def run(field: SimulatedField, python: str, setting: float) -> LocalizationTable:
        return run_script(script, field, python, setting)

    return run


def run_script(script: str, field: SimulatedField, python: str, setting: float) -> LocalizationTable:
    """Run a program of ``peer_scripts`` in the peer's Python.

    It finds ``movie.tif`` and ``settings.json`` in the folder given to it and leaves ``table.csv`` there.

    Raises
    ------
    UserError
        If it ends with an error; its last line is told.
    """
    camera = field.camera
    with TemporaryDirectory(prefix="autods-peer-") as scratch:
        folder = Path(scratch)
        write_movie_tiff(field.frames, folder / "movie.tif", field.optics.pixel_size_nm)
        told = {
            "setting": setting,
            "pixel_size_nm": field.optics.pixel_size_nm,
            "psf_sigma_nm": field.optics.airy_sigma_nm,
            "offset_adu": float(camera.offset_adu),
            "e_per_adu": camera.e_per_adu,
            "em_gain": camera.em_gain,
            "qe": camera.qe,
            "read_noise_e": float(camera.read_noise_e),
        }
        (folder / "settings.json").write_text(json.dumps(told), encoding="utf-8")
        command = [python, str(_SCRIPTS / f"run_{script}.py"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        table = folder / "table.csv"
        if done.returncode or not table.exists():
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise UserError(f"{script} did not run in {python} ({last})")
        return read_table(table, field.optics.pixel_size_nm)


#: Peers that need a training for each microscope, and the name of their interpreter.
_TRAINED = (*MARKS, "python")
#: Said by suites that train none.
TRAINED_ELSEWHERE = "decode and liteloc are left out: suite=peers3d trains them."

#: Peers by the names of their settings ``peers.NAME=PYTHON``.
PROGRAMS: Mapping[str, Program] = {
    "picasso": Program("picasso", run_picasso, (500, 1000, 2000, 4000, 8000), "least net gradient"),
    "smappy": Program("smappy", _scripted("smappy"), (0.2, 0.3, 0.5, 0.8, 1.7), "cutoff"),
}


def installed_peers(pythons: Mapping[str, str | None]) -> tuple[list[Peer], list[str]]:
    """Return the peers that can be run, and a line for each of the others.

    Parameters
    ----------
    pythons
        Interpreters by the names of `PROGRAMS`; None where there is none.

    Raises
    ------
    UserError
        If a name is unknown.
    """
    unknown = sorted(set(pythons) - set(PROGRAMS) - set(_TRAINED))
    if unknown:
        raise UserError(f"peers.{unknown[0]} is no peer: use {', '.join(PROGRAMS)}")
    found, notes = [], [TRAINED_ELSEWHERE]
    for name, program in PROGRAMS.items():
        python = pythons.get(name)
        if python is None:
            notes.append(f"{name} is left out: give peers.{name}=PYTHON of an environment that has it.")
        elif not _has(python, program.module):
            notes.append(f"{name} is left out: {python} cannot import {program.module}.")
        else:
            found.append(Peer(name, program, python))
    return found, notes


def _has(python: str, module: str) -> bool:
    try:
        done = subprocess.run(
            [python, "-c", f"import {module}"], capture_output=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
