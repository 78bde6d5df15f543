"""Time 3D without training, from a bead stack and 1,000 frames to the table: a minute or two on two cores."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from autods.cli.main import main as autods
from autods.core import Camera, EmitterBatch, OpticalSystem
from autods.io.tables import read_table
from autods.metrics.detection import detection_metrics
from autods.optics.registry import astigmatism_psf
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from autods.simulation import PsfRenderer, Scenes

OPTICS = OpticalSystem(100.0, wavelength_nm=660.0, na=1.4)
CAMERA = Camera(offset_adu=100.0, read_noise_e=1.5)
KNOWN = [
    "optics.pixel_size_nm=100",
    "optics.wavelength_nm=660",
    "optics.na=1.4",
    "calibration.z_step_nm=50",
    "camera.offset_adu=100",
    "camera.e_per_adu=1",
]
#: So strong that the image of a molecule covers 200 px on average.
PSF = functools.partial(astigmatism_psf, rms_waves=0.35)
#: Depths of the beads' slices and of the molecules, molecules and background in a frame.
BEADS_NM, REACH_NM, PER_FRAME, PHOTONS, BACKGROUND = range(-800, 801, 50), 650.0, 6.0, 1500.0, 20.0
#: Side of the bead stack, its beads (x, y) and the region in which each is drawn, px; their photons.
SIDE_PX, PLACES_PX, REGION_PX = 96, ((24.3, 24.1), (71.2, 25.4), (25.6, 70.3), (70.1, 71.8)), 45
BEAD_PHOTONS = 60_000.0


def main() -> None:
    """Read the arguments, simulate, run the command, and print stages and scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("settings", nargs="*", help="further settings of localize3d, key=value")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autods-time-") as temporary:
        folder = Path(temporary)
        side_um = arguments.size_px * OPTICS.pixel_size_nm * 1e-3
        movie = simulate_to_folder(
            SimulationSettings(
                OPTICS,
                CAMERA,
                n_frames=arguments.frames,
                size_px=arguments.size_px,
                structure="uniform",
                density_per_um2=PER_FRAME / side_um**2,
                photons=PHOTONS,
                background=BACKGROUND,
                psf=PSF,
                z_min_nm=-REACH_NM,
                z_max_nm=REACH_NM,
            ),
            folder / "movie",
        )
        beads, out = write_beads(folder / "beads.tif"), folder / "run"
        begin = time.perf_counter()
        command = ["localize3d", str(movie), "--beads", str(beads), "--out", str(out), "preset=instant"]
        if autods([*command, *KNOWN, f"device={arguments.device}", *arguments.settings]):
            sys.exit(f"failed: {' '.join(command)}")
        seconds = time.perf_counter() - begin
        for stage in json.loads((out / "run.json").read_text())["stages"]:
            if stage["seconds"] >= 1:
                print(f"{stage['name']:<14} {stage['seconds']:6.1f} s")
        found = read_table(out / "localizations.csv")
        scores = detection_metrics(read_table(movie.with_name("truth.csv")), found)
        print(f"{'in all':<14} {seconds:6.1f} s, {len(found)} localizations")
        print(
            f"Jaccard index {scores.jaccard:.3f}, precision {scores.precision:.3f},"
            f" errors {scores.rmse_lateral_nm:.0f} nm laterally, {scores.rmse_axial_nm:.0f} nm axially"
        )


def write_beads(file: Path) -> Path:
    """Write a stack of the beads, and return its file."""
    x, y = 100.0 * torch.tensor(PLACES_PX).T
    z = torch.tensor(BEADS_NM, dtype=torch.float32)
    n, count = len(z), len(PLACES_PX)
    xyz = torch.stack([x.expand(n, -1), y.expand(n, -1), z[:, None].expand(-1, count)], -1)
    emitters = EmitterBatch(xyz, torch.full((n, count), BEAD_PHOTONS), torch.ones(n, count, dtype=torch.bool))
    scenes = Scenes(emitters, torch.zeros(n), torch.zeros(n))
    generator = torch.Generator().manual_seed(1)
    light = PsfRenderer(PSF(OPTICS), REGION_PX)(scenes, (SIDE_PX, SIDE_PX), generator).clamp_min(0)
    counts = torch.poisson(light + BACKGROUND, generator=generator) + CAMERA.offset_adu
    tifffile.imwrite(file, counts.numpy().astype(np.uint16))
    return file


if __name__ == "__main__":
    main()
