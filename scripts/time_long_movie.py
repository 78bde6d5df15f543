"""Localize a long movie that is not stored: frames a second, and memory as the frames go by."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera, OpticalSystem
from autods.io.base import Movie, MovieMetadata
from autods.io.movie import open_movie
from autods.pipelines.autods import localize
from autods.pipelines.settings import CameraSettings, LocalizeSettings, OpticsSettings
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder

OPTICS = OpticalSystem(100.0, wavelength_nm=670.0, na=1.4)
CAMERA = Camera()
#: Frames that are simulated; all others are these, shifted.
SIMULATED = 200


class EndlessMovie(Movie):
    """Simulated frames over and over, shifted differently each time: as many as are wanted, none stored."""

    def __init__(self, frames: NDArray[np.uint16], n_frames: int) -> None:
        shape = (n_frames, *frames.shape[1:])
        super().__init__(Path("endless"), shape, frames.dtype, MovieMetadata())
        self._frames = frames

    def _read(self, start: int, stop: int) -> NDArray[np.uint16]:
        cycles, numbers = np.divmod(np.arange(start, stop), len(self._frames))
        _, height, width = self.shape
        shifted = [
            np.roll(self._frames[number], (37 * cycle % height, 101 * cycle % width), (0, 1))
            for cycle, number in zip(cycles.tolist(), numbers.tolist(), strict=True)
        ]
        return np.stack(shifted)


class Course:
    """Prints memory and time at each tenth of the stage that localizes."""

    def __init__(self) -> None:
        self.start, self.tenth = time.perf_counter(), -1

    def __call__(self, stage: str, done: int, total: int) -> None:
        """See `autods.runs.record.Progress`."""
        if stage != "localize" or not total or 10 * done // total == self.tenth:
            return
        self.tenth = 10 * done // total
        seconds = time.perf_counter() - self.start
        print(
            f"{done:>7} frames {seconds:>7.0f} s {resident_mb():>6.0f} MB (highest {peak_mb():.0f})",
            flush=True,
        )


def resident_mb() -> float:
    """Return the memory that the process holds now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Return the most memory that the process ever held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Read the arguments, simulate, localize, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30_000)
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--density", type=float, default=0.03, help="emitters per um^2 and frame")
    parser.add_argument("--cores", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.cores)
    simulation = SimulationSettings(
        OPTICS,
        CAMERA,
        n_frames=SIMULATED,
        size_px=arguments.size_px,
        density_per_um2=arguments.density,
        # What shifted with the emitters would be no background.
        gradient=0.0,
        blobs=0.0,
    )
    with tempfile.TemporaryDirectory(prefix="autods-long-") as folder:
        with open_movie(simulate_to_folder(simulation, Path(folder) / "movie")) as stored:
            frames = stored.read(0, SIMULATED)
        settings = LocalizeSettings(
            optics=OpticsSettings(
                pixel_size_nm=OPTICS.pixel_size_nm, wavelength_nm=OPTICS.wavelength_nm, na=OPTICS.na
            ),
            camera=CameraSettings(offset_adu=CAMERA.offset_adu, e_per_adu=CAMERA.e_per_adu),
        )
        start, processor = time.perf_counter(), time.process_time()
        movie = EndlessMovie(frames, arguments.frames)
        table = localize(movie, settings, Path(folder) / "run", progress=Course())
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        stages = json.loads((Path(folder) / "run" / "run.json").read_text())["stages"]
    print(", ".join(f"{stage['name']} {stage['seconds']:.1f} s" for stage in stages))
    print(
        f"{arguments.frames} frames, {len(table)} localizations: {seconds:.0f} s,"
        f" {arguments.frames / seconds:.1f} frames a second, {processor / arguments.frames * 1e3:.0f} ms of"
        f" processor a frame, highest memory {peak_mb():.0f} MB"
    )


if __name__ == "__main__":
    main()
