"""Drift from localizations: what is left of known drifts, beside other programs on the same tables."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.io.result_tables import Row, Table
from autods.io.tables import write_picasso
from autods.postprocessing.drift import estimate_drift
from autods.postprocessing.linking import LinkedTable, link
from autods.simulation import STRUCTURES, STRUCTURES_3D, Sample
from autods.simulation.drifting import drift_curve, drifting_table
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

_PIXEL_NM, _PHOTONS, _Z_NM = 100.0, 1000.0, 400.0
#: Segments that the other programs cut a movie into; their manuals advise a few dozen.
_SEGMENTS = 40

#: What the other programs are asked to do, in their own Python; each prints its seconds and writes curve.npy
#: (T, 2 or 3) in nm.
_PICASSO = """
import sys, time, numpy as np
from picasso import aim, io, postprocess
path, frames, what, pixel = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
locs, info = io.load_locs(path)
start = time.perf_counter()
if what == "aim":
    drift = aim.aim(locs, info, max(frames // {segments}, 10))[2]
else:
    drift = postprocess.undrift(locs, info, max(frames // {segments}, 10), display=False)[0]
seconds = time.perf_counter() - start
curve = np.column_stack([drift["x"] * pixel, drift["y"] * pixel])
if what == "aim" and "z" in drift:
    curve = np.column_stack([curve, drift["z"]])
np.save(sys.argv[5], curve)
print("seconds", seconds)
"""
_COMET = """
import sys, time, h5py, numpy as np, comet
path, frames, pixel = sys.argv[1], int(sys.argv[2]), float(sys.argv[4])
locs = h5py.File(path)["locs"][()]
z = locs["z"] if "z" in locs.dtype.names else np.zeros(len(locs))
data = np.column_stack([locs["x"] * pixel, locs["y"] * pixel, z, locs["frame"]]).astype(float)
start = time.perf_counter()
out = comet.comet_run_kd(data, 2, max(frames // {segments}, 10), min_max_frames=(0, frames - 1))
seconds = time.perf_counter() - start
np.save(sys.argv[5], np.asarray(out)[:, : 3 if "z" in locs.dtype.names else 2])
print("seconds", seconds)
"""


@dataclass(frozen=True)
class DriftSuite:
    """The suite ``drift``.

    Parameters
    ----------
    cases
        Structure, kind of drift, frames, range of the drift in nm, and emitters per um^2 and frame of each
        table; structures in depth make 3D tables.
    side_um
        Side of the field, um.
    peers_python
        A Python that has picassosr and comet-smlm; None: ours alone.
    limit_s
        Seconds after which another program is given up.
    seed
        Of the simulations.
    """

    cases: Sequence[Sequence[str | float]]
    side_um: float = 6.4
    peers_python: str | None = None
    limit_s: float = 300.0
    seed: int = 0
    name: str = "drift"

    def run(self) -> SuiteResult:
        """Simulate each table, estimate its drift with each program, and say what is left."""
        rows: list[Row] = []
        for structure, kind, n_frames, range_nm, density in self.cases:
            case = (str(structure), str(kind), int(n_frames), float(range_nm), float(density))
            table, truth = self._simulate(*case)
            begun = time.perf_counter()
            linked = link(table)
            linking_s = time.perf_counter() - begun
            about: Row = {
                "structure": structure,
                "drift": kind,
                "frames": n_frames,
                "nm": range_nm,
                "per_um2": density,
                "localizations": len(table),
            }
            before = left_nm(np.zeros_like(truth), truth)
            rows.append({**about, "program": "none", **before, "seconds": None, "note": ""})
            begun = time.perf_counter()
            found = estimate_drift(linked, range(case[2]))
            seconds = time.perf_counter() - begun + linking_s
            note = "" if found.is_on else "off"
            left = left_nm(found.curve_nm, truth)
            rows.append({**about, "program": "autods", **left, "seconds": seconds, "note": note})
            for program, estimate in self._peers().items():
                rows.append({**about, "program": program, **estimate(table, linked, truth)})
                logger.info("%s, %s: %s", case, program, rows[-1])
        title = f"What is left of the drift, root mean square over the frames, seed {self.seed}"
        notes = [
            f"Fields of {self.side_um:g} um, {_PHOTONS:g} photons, 2 % false localizations, on-time 2 frames."
            " The axial error of a localization is 2.5 times the lateral one.",
            f"Picasso's and COMET's segments: {_SEGMENTS} a movie; all else as by default. COMET gets linked"
            " tables, the others all localizations. Seconds on this machine, which other work shared.",
        ]
        return SuiteResult("Drift correction", [Table("results", title, rows)], {}, notes)

    def _simulate(
        self, structure: str, kind: str, n_frames: int, range_nm: float, density: float
    ) -> tuple[LocalizationTable, Floats]:
        side_nm = 1000 * self.side_um
        generator, rng = torch.Generator().manual_seed(self.seed), np.random.default_rng(self.seed)
        is_3d = structure in STRUCTURES_3D
        sample: Sample = (
            STRUCTURES_3D[structure](side_nm, side_nm, -_Z_NM, _Z_NM, generator)
            if is_3d
            else STRUCTURES[structure](side_nm, side_nm, generator)
        )
        truth = drift_curve(kind, n_frames, range_nm, rng, 3 if is_3d else 2)
        return drifting_table(sample, truth, density * self.side_um**2, _PHOTONS, rng), truth

    def _peers(self) -> dict[str, Callable[[LocalizationTable, LinkedTable, Floats], Row]]:
        if self.peers_python is None:
            return {}
        return {
            "Picasso RCC": lambda table, _, truth: self._peer(_PICASSO, "rcc", table, truth),
            "Picasso AIM": lambda table, _, truth: self._peer(_PICASSO, "aim", table, truth),
            "COMET": lambda _, linked, truth: self._peer(_COMET, "comet", linked.table, truth),
        }

    def _peer(self, script: str, what: str, table: LocalizationTable, truth: Floats) -> Row:
        """Run another program on a table; what fails is said in the note."""
        assert self.peers_python is not None
        side_px = int(self.side_um * 1000 / _PIXEL_NM)
        with TemporaryDirectory(prefix="autods-drift-") as name:
            folder = Path(name)
            path, out = folder / "table.hdf5", folder / "curve.npy"
            write_picasso(table, path, _PIXEL_NM, (len(truth), side_px, side_px))
            words = [str(path), str(len(truth)), what, f"{_PIXEL_NM}", str(out)]
            command = [self.peers_python, "-c", script.format(segments=_SEGMENTS), *words]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=self.limit_s, stdin=subprocess.DEVNULL
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                note = (
                    f"over {self.limit_s:g} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
                )
                return {"lateral_nm": None, "axial_nm": None, "seconds": None, "note": note}
            if done.returncode or not out.is_file():
                last = (done.stderr.strip() or "no message").splitlines()[-1]
                return {"lateral_nm": None, "axial_nm": None, "seconds": None, "note": last[:80]}
            curve = np.load(out)
        seconds = float(done.stdout.rsplit("seconds", 1)[-1])
        return {**left_nm(curve, truth), "seconds": seconds, "note": ""}


def left_nm(curve: Floats, truth: Floats) -> dict[str, float | None]:
    """Return the root mean square of what a curve leaves of the true drift, whatever is constant taken off.

    Parameters
    ----------
    curve, truth
        (T, 2 or 3), nm; a curve without depth leaves all of the axial drift.

    Returns
    -------
    dict
        ``lateral_nm`` over both axes together, and ``axial_nm``; None in 2D.
    """
    full = np.zeros_like(truth)
    n = min(curve.shape[1], truth.shape[1])
    last = np.minimum(np.arange(len(truth)), len(curve) - 1)
    full[:, :n] = curve[last, :n]
    left = full - truth
    left = left - left.mean(0)
    lateral = float(np.sqrt((left[:, :2] ** 2).sum(1).mean()))
    axial = float(np.sqrt((left[:, 2] ** 2).mean())) if truth.shape[1] == 3 else None
    return {"lateral_nm": lateral, "axial_nm": axial}
