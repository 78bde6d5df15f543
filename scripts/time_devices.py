"""Time 2D and 3D localization on a device beside the CPU and compare the tables: four minutes on a GPU."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from autods.cli.main import main as autods
from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics import PSF_MODELS
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder

OPTICS = OpticalSystem(100.0, wavelength_nm=660.0, na=1.3)
CAMERA = Camera(offset_adu=100.0)
KNOWN = [
    "optics.pixel_size_nm=100",
    "optics.wavelength_nm=660",
    "optics.na=1.3",
    "camera.offset_adu=100",
    "camera.e_per_adu=1",
]
#: A PSF that is tabulated, as calibrated ones are.
DEPTH = ["psf=astigmatism", "psf.z_min_nm=-400", "psf.z_max_nm=400", "preset=instant"]
#: Frames that the CPU does as well, for the comparison.
FEW = 6


def main() -> None:
    """Read the arguments; simulate, time and compare each case while there is time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, mps, cpu")
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--frames", type=int, default=200, help="of the sparse movie; others are shorter")
    parser.add_argument("--limit-s", type=float, default=220.0, help="no case is begun after so long")
    arguments = parser.parse_args()
    torch.zeros(1, device=arguments.device)  # fails here rather than after the simulation
    start = time.perf_counter()
    n_frames, part = max(arguments.frames, FEW), max(arguments.frames // 2, FEW)
    base = SimulationSettings(OPTICS, CAMERA, n_frames=n_frames, size_px=arguments.size_px)
    cases = {
        "2D dense": dataclasses.replace(base, structure="uniform", density_per_um2=1.0, n_frames=part),
        "2D sparse": dataclasses.replace(base, density_per_um2=0.03),
        "3D": dataclasses.replace(
            base,
            structure="uniform",
            density_per_um2=0.1,
            photons=4000.0,
            n_frames=max(part // 4, FEW),
            psf=PSF_MODELS["astigmatism"],
            z_min_nm=-400.0,
            z_max_nm=400.0,
        ),
    }
    print(
        f"{'case':<10} {'frames':>6} {'stage/s':>8} {'jaccard':>8} {'of the CPU':>10} {'same':>6}", flush=True
    )
    failed = []
    for name, settings in cases.items():
        if time.perf_counter() - start > arguments.limit_s:
            print(f"{name:<10} no time left", flush=True)
            failed.append(name)
        elif not show(name, settings, arguments.device):
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


class CaseError(Exception):
    """A command of a case failed."""


def show(name: str, settings: SimulationSettings, device: str) -> bool:
    """Measure a case and print its line, or which command failed; tell whether it was measured."""
    try:
        with tempfile.TemporaryDirectory(prefix="autods-time-") as folder:
            print(f"{name:<10} {measure(settings, Path(folder), device)}", flush=True)
    except CaseError as error:
        print(f"{name:<10} {error}", flush=True)
        return False
    return True


def measure(settings: SimulationSettings, folder: Path, device: str) -> str:
    """Run a case on the device, its first frames on both; return a line of the table."""
    movie = simulate_to_folder(settings, folder / "movie")
    truth = read_table(movie.with_name("truth.csv"))
    is_3d = settings.psf is not None
    few = f"frames=0:{FEW}"
    run(movie, folder / "warm", device, is_3d, few)
    run(movie, folder / "cpu", "cpu", is_3d, few)
    found = run(movie, folder / "run", device, is_3d)
    on_cpu, on_device = (read_table(folder / name / "localizations.csv") for name in ("cpu", "warm"))
    stages = json.loads((folder / "run" / "run.json").read_text())["stages"]
    seconds = next(stage["seconds"] for stage in stages if stage["name"].startswith("localize"))
    scores = [detection_metrics(truth, found).jaccard, detection_metrics(first(truth), on_cpu).jaccard]
    same = detection_metrics(on_cpu, on_device, radius_nm=5.0).jaccard
    fps = settings.n_frames / seconds
    return f"{settings.n_frames:>6} {fps:>8.1f} {scores[0]:>8.4f} {scores[1]:>10.4f} {same:>6.4f}"


def first(truth: LocalizationTable) -> LocalizationTable:
    """Return the emitters of the frames that the CPU does."""
    return truth.select(truth.frame < FEW)


def run(movie: Path, out: Path, device: str, is_3d: bool, *more: str) -> LocalizationTable:
    """Run the command and return its table; raises `CaseError` where it fails."""
    command = ["localize3d" if is_3d else "localize", str(movie), "--out", str(out), f"device={device}"]
    if autods([*command, *KNOWN, *(DEPTH if is_3d else []), *more]):
        raise CaseError(f"failed: {' '.join(command)}")
    return read_table(out / "localizations.csv")


if __name__ == "__main__":
    main()
