"""Throughput of the whole command: frames a second, processor time and memory over sizes and densities."""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from autods.core import Camera, LocalizationTable, OpticalSystem, UserError
from autods.inference import Localizer
from autods.io.images import write_movie_tiff
from autods.io.result_tables import Cell, Row, Table
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from benchmarks.contenders import zoo_cards
from benchmarks.fields import CAMERA, SimulatedField, UniformConditions, uniform_field
from benchmarks.picasso import run_picasso
from benchmarks.suite import SuiteResult

logger = logging.getLogger(__name__)

_OPTICS = OpticalSystem(100.0, wavelength_nm=660.0, na=1.3)
#: Frames of the run that is taken off: what a command costs before and after its frames.
_FEW = 8
#: Least net gradient of Picasso: its accuracy is measured in other suites.
_GRADIENT = 400.0
#: Emitters per um^2, over the whole field, where hot spots are.
_CROWD_PER_UM2 = 0.47
_MB = 2**20


@dataclass(frozen=True)
class Throughput:
    """The suite ``throughput``.

    Parameters
    ----------
    sizes_px, densities_per_um2
        Sides of the fields and emitters per um^2 and frame: each pair is a movie.
    megapixels
        Pixels of each movie: so many frames that these are reached, from 8 to ``max_frames``.
    max_frames
        Frames of a movie at most.
    structure
        Where the emitters are.
    cores
        Numbers of cores that each movie is run on; those that the machine lacks are left out.
    device
        Where the networks run: `cpu`, `cuda`, `auto`.
    hot_spots
        Discs with 5 emitters per um^2 in a field of 160 x 160 px, which is compared with one of as many
        emitters anywhere; 0 leaves this out.
    picasso_python
        A Python that has ``picassosr``; None leaves Picasso out.
    zoo
        Folder of the models; None for those shipped.
    seed
        Of the simulation.
    """

    sizes_px: Sequence[int] = (128, 512)
    densities_per_um2: Sequence[float] = (0.03, 1.0)
    megapixels: float = 8.0
    max_frames: int = 300
    structure: str = "filaments"
    cores: Sequence[int] = (1, 2)
    device: str = "auto"
    hot_spots: int = 6
    picasso_python: str | None = None
    zoo: Path | str | None = None
    seed: int = 0
    name: str = "throughput"

    def run(self) -> SuiteResult:
        """Simulate, run the commands, fit how the cost grows.

        Raises
        ------
        UserError
            If a command fails.
        """
        usable = sorted(cores for cores in self.cores if cores <= len(os.sched_getaffinity(0)))
        rows: list[Row] = []
        notes = [
            "Whole command: start, read, measure, localize, finish, write, report. `stage` is the stage that"
            " localizes. `cpu_s` is the processor time of all threads; memory is the highest resident.",
        ]
        left_out = sorted(set(self.cores) - set(usable))
        if left_out:
            notes.append(f"Left out, for the machine has fewer: {', '.join(map(str, left_out))} cores.")
        if self.picasso_python is None:
            notes.append("Picasso is left out: give picasso_python, a Python that has picassosr.")
        for size_px, density in itertools.product(self.sizes_px, self.densities_per_um2):
            with TemporaryDirectory(prefix="autods-throughput-") as folder:
                rows += self._movie(Path(folder), size_px, density, usable)
        tables = [
            Table("results", "Whole command", rows),
            Table("exponents", "Growth of the cost", exponents(rows)),
        ]
        if self.hot_spots:
            tables.append(
                Table("crowds", "Hot spots beside as many emitters anywhere", self._crowds(usable[0]))
            )
        limits = Table("limits", "Limits, on one core", [self._limits()])
        return SuiteResult("Throughput", [*tables, limits], {}, notes)

    def _crowds(self, cores: int) -> list[Row]:
        """Compare the cost of a field with hot spots with that of one without, of as many emitters."""
        rows: list[Row] = []
        for hot_spots in (0, self.hot_spots):
            conditions = UniformConditions(
                _CROWD_PER_UM2, size_px=160, photons=2000.0, hot_spots=hot_spots, psf_sigma_nm=110.0
            )
            field = uniform_field(conditions, torch.Generator().manual_seed(self.seed))
            with TemporaryDirectory(prefix="autods-throughput-") as folder:
                movie = Path(folder) / "movie.tif"
                write_movie_tiff(field.frames, movie, conditions.pixel_size_nm)
                cost = self._localize(movie, Path(folder) / "run", cores, field.camera)
                found = read_table(Path(folder) / "run" / "localizations.csv")
            score = detection_metrics(field.truth, found).jaccard
            rows.append(
                {
                    "hot_spots": hot_spots,
                    "emitters": len(field.truth),
                    "found": len(found),
                    "jaccard": score,
                    "stage_fps": cost["stage_fps"],
                    "cost_ratio": float(rows[0]["stage_fps"]) / cost["stage_fps"] if rows else 1.0,  # type: ignore[arg-type]
                }
            )
        return rows

    def _movie(self, folder: Path, size_px: int, density: float, usable: Sequence[int]) -> list[Row]:
        n_frames = int(np.clip(self.megapixels * 1e6 // size_px**2, _FEW, self.max_frames))
        settings = SimulationSettings(
            _OPTICS,
            CAMERA,
            n_frames=n_frames,
            size_px=size_px,
            structure=self.structure,
            density_per_um2=density,
            seed=self.seed,
        )
        movie = simulate_to_folder(settings, folder / "movie")
        truth = read_table(movie.with_name("truth.csv"))
        same = {"size_px": size_px, "density_per_um2": density, "frames": n_frames}
        rows: list[Row] = []
        for cores in usable:
            cost = self._localize(movie, folder / f"run_{cores}", cores)
            found = read_table(folder / f"run_{cores}" / "localizations.csv")
            score: dict[str, Cell] = {"jaccard": detection_metrics(truth, found).jaccard, "found": len(found)}
            rows.append({"program": "autods", **same, "cores": cores, **cost, **score})
            logger.info(
                "%d px, %g /um^2, %d cores: %.1f frames/s", size_px, density, cores, cost["stage_fps"]
            )
        if self.picasso_python is not None:
            rows.append({"program": "Picasso", **same, "cores": max(usable), **self._picasso(movie, truth)})
        return rows

    def _localize(self, movie: Path, out: Path, cores: int, camera: Camera = CAMERA) -> dict[str, float]:
        """Run the command on some cores; return its costs."""
        words = ["localize", str(movie), "--out", str(out), f"device={self.device}", *_known(camera)]
        if self.zoo is not None:
            words.append(f"zoo={self.zoo}")
        chosen = sorted(os.sched_getaffinity(0))[:cores]
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "autods.cli.main", *words],
            env={**os.environ, "OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(process.pid, chosen)
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise UserError(f"autods {' '.join(words)} failed: {said.strip().splitlines()[-1:]}")
        record = json.loads((out / "run.json").read_text())
        stages = {stage["name"]: stage["seconds"] for stage in record["stages"]}
        n_frames = record["results"]["frames"]
        other = seconds - stages["localize"] - stages["measure the movie"]
        return {
            "stage_fps": n_frames / max(stages["localize"], 1e-3),
            "command_fps": n_frames / seconds,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "cpu_s_per_frame": (usage.ru_utime + usage.ru_stime) / n_frames,
            "peak_mb": usage.ru_maxrss * 1024 / _MB,
            "measure_share": stages["measure the movie"] / seconds,
            "localize_share": stages["localize"] / seconds,
            "other_share": other / seconds,
        }

    def _picasso(self, movie: Path, truth: LocalizationTable) -> dict[str, Cell]:
        from autods.io.movie import open_movie

        assert self.picasso_python is not None
        with open_movie(movie) as opened:
            frames = opened.read(0, opened.shape[0])
        field = SimulatedField(frames.astype(np.uint16), truth, _OPTICS, CAMERA)
        start = time.perf_counter()
        found = run_picasso(field, self.picasso_python, _GRADIENT)
        seconds = time.perf_counter() - start
        score = detection_metrics(truth, found).jaccard
        return {"command_fps": len(frames) / seconds, "jaccard": score, "found": len(found)}

    def _limits(self) -> Row:
        """Measure what nothing can be faster than: reading the bytes, and the network on the whole field."""
        side, n_frames = 512, 8
        with TemporaryDirectory(prefix="autods-throughput-") as folder:
            path = Path(folder) / "movie.tif"
            write_movie_tiff(np.zeros((64, side, side), np.uint16), path, 100.0)
            start = time.perf_counter()
            n_bytes = len(path.read_bytes())
            read_s = time.perf_counter() - start
        cards = zoo_cards(None if self.zoo is None else Path(self.zoo))
        card = max(cards, key=lambda card: (card.family == "mixture", card.generalist))
        localizer = Localizer.from_card(card, device="cpu" if self.device == "auto" else self.device)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            frames = torch.randn(n_frames, 128, 128)
            localizer.localize(frames, psf_sigma_px=1.1)
            start = time.perf_counter()
            localizer.localize(frames, psf_sigma_px=1.1)
            network_s = (time.perf_counter() - start) / frames.numel() * side**2
        finally:
            torch.set_num_threads(before)
        parameters = sum(p.numel() for p in localizer.network.parameters())
        return {
            "read_mb_per_s": n_bytes / _MB / read_s,
            "network": card.name,
            "gflop_per_frame_512": 2e-9 * parameters * side**2,
            "network_s_per_frame_512": network_s,
            "gflop_per_s": 2e-9 * parameters * side**2 / network_s,
        }


def _known(camera: Camera) -> list[str]:
    """Return what a user knows of optics and camera, as words of the command."""
    return [
        f"optics.pixel_size_nm={_OPTICS.pixel_size_nm}",
        f"optics.wavelength_nm={_OPTICS.wavelength_nm}",
        f"optics.na={_OPTICS.na}",
        f"camera.offset_adu={camera.offset_adu}",
        f"camera.e_per_adu={camera.e_per_adu}",
        f"camera.qe={camera.qe}",
        f"camera.read_noise_e={camera.read_noise_e}",
    ]


def exponents(rows: Sequence[Row]) -> list[Row]:
    """Fit ``cost = a * x^b`` to the processor time of the stage per frame over pixels and density.

    Parameters
    ----------
    rows
        Of the table ``results``; those of one core count.

    Returns
    -------
    list of dict
        For each series with two points at least, the exponent b: 1 is linear, less is better.
    """
    ours = [row for row in rows if row["program"] == "autods"]
    fewest = min((row["cores"] for row in ours), default=1, key=float)  # type: ignore[arg-type]
    ours = [row for row in ours if row["cores"] == fewest]
    out: list[Row] = []
    for against, fixed in (("density_per_um2", "size_px"), ("size_px", "density_per_um2")):
        for value in sorted({float(row[fixed]) for row in ours}):  # type: ignore[arg-type]
            series = [row for row in ours if float(row[fixed]) == value]  # type: ignore[arg-type]
            if len(series) < 2:
                continue
            power = 2 if against == "size_px" else 1
            x = [power * math.log(float(row[against])) for row in series]  # type: ignore[arg-type]
            y = [-math.log(float(row["stage_fps"])) for row in series]  # type: ignore[arg-type]
            what = "pixels" if against == "size_px" else "density"
            out.append({"cost against": what, fixed: value, "exponent": float(np.polyfit(x, y, 1)[0])})
    return out
