"""How fast a movie may grow for `autods localize --follow` to keep up with it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from autods.core import OpticalSystem
from autods.io.movie import open_movie
from autods.io.result_tables import Row, Table
from autods.pipelines.follow import follow
from autods.pipelines.settings import CameraSettings, FinishSettings, LocalizeSettings, OpticsSettings
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from benchmarks.fields import CAMERA
from benchmarks.style import lines, panels
from benchmarks.suite import SuiteResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OPTICS = OpticalSystem(100.0, wavelength_nm=660.0, na=1.3)
#: Seconds without a frame that end the following.
_IDLE_S = 2.0


@dataclass(frozen=True)
class Follow:
    """The suite ``follow``.

    Parameters
    ----------
    sizes_px
        Sides of the frames.
    densities
        Emitters per um^2 and frame, by name.
    frames_per_s
        Rate at which a thread writes the movie, a TIFF of single pages.
    n_frames
        Frames of each movie.
    zoo
        Folder of the models; None for those shipped.
    device
        Where the networks run.
    seed
        Of the simulation.
    """

    sizes_px: Sequence[int] = (32, 64, 128, 256)
    densities: Sequence[float] = (0.1, 1.0)
    frames_per_s: float = 100.0
    n_frames: int = 500
    zoo: Path | str | None = None
    device: str = "auto"
    seed: int = 0
    name: str = "follow"

    def run(self) -> SuiteResult:
        """Write movies and follow them."""
        with TemporaryDirectory(prefix="autods-follow-") as folder:
            rows = [
                self._one(Path(folder) / f"{density:g}_{size}", size, density)
                for density in self.densities
                for size in self.sizes_px
            ]
        notes = [
            f"{self.n_frames} frames at {self.frames_per_s:g} a second. Capacity: frames a second of what is"
            " localized, drawn and written down while frames wait. Delay: from the writing of a block's last"
            " frame to its place in the picture; that of the first block holds the choice of the models, that"
            " of the last one tells whether the following kept up.",
        ]
        return SuiteResult(
            "Localizing while the movie grows",
            [Table("results", "Capacity and delay", rows)],
            {"capacity": _figure(rows)},
            notes,
        )

    def _one(self, folder: Path, size_px: int, density: float) -> Row:
        simulation = SimulationSettings(
            _OPTICS,
            CAMERA,
            n_frames=self.n_frames,
            size_px=size_px,
            structure="uniform",
            density_per_um2=density,
            seed=self.seed,
        )
        with open_movie(simulate_to_folder(simulation, folder / "whole")) as movie:
            frames = np.asarray(movie.read(0, self.n_frames))
        path = folder / "movie.tif"
        written: list[float] = []
        writer = threading.Thread(target=self._write, args=(path, frames, written), daemon=True)
        blocks: list[tuple[int, float]] = []

        def note(stage: str, done: int, total: int) -> None:  # noqa: ARG001
            if stage == "follow" and done and (not blocks or done > blocks[-1][0]):
                blocks.append((done, time.perf_counter()))

        writer.start()
        follow(path, self._settings(), folder / "run", idle_s=_IDLE_S, progress=note)
        writer.join()
        delays = np.array([at - written[done - 1] for done, at in blocks])
        return {
            "size_px": size_px,
            "density_per_um2": density,
            "capacity_frames_per_s": _capacity(blocks, written),
            "first_delay_s": float(delays[0]),
            "last_delay_s": float(delays[-1]),
            "longest_delay_s": float(delays.max()),
        }

    def _write(self, path: Path, frames: NDArray[Any], written: list[float]) -> None:
        """Append a page at a time, as a camera's program does."""
        start = time.perf_counter()
        with tifffile.TiffWriter(path, bigtiff=True) as file:
            for index, frame in enumerate(frames):
                time.sleep(max(start + index / self.frames_per_s - time.perf_counter(), 0))
                file.write(frame, contiguous=False, metadata=None, photometric="minisblack")
                written.append(time.perf_counter())

    def _settings(self) -> LocalizeSettings:
        return LocalizeSettings(
            optics=OpticsSettings(pixel_size_nm=_OPTICS.pixel_size_nm, wavelength_nm=660.0, na=1.3),
            camera=CameraSettings(
                offset_adu=CAMERA.offset_adu,
                e_per_adu=CAMERA.e_per_adu,
                qe=CAMERA.qe,
                read_noise_e=CAMERA.read_noise_e,
            ),
            finish=FinishSettings(drift="none"),
            zoo=None if self.zoo is None else Path(self.zoo),
            device=self.device,
        )


def _capacity(blocks: Sequence[tuple[int, float]], written: Sequence[float]) -> float:
    """Return the frames a second of the blocks whose frames all waited when the one before was done."""
    n_frames, seconds = 0, 0.0
    for (before, begun), (done, at) in itertools.pairwise(blocks):
        if written[done - 1] <= begun:
            n_frames, seconds = n_frames + done - before, seconds + at - begun
    return n_frames / seconds if seconds else float("nan")


def _figure(rows: Sequence[Row]) -> Figure:
    figure, (axis,) = panels(1)
    sizes = list(dict.fromkeys(float(row["size_px"] or 0) for row in rows))
    names = list(dict.fromkeys(row["density_per_um2"] for row in rows))
    series = {
        f"{name} per um^2": [
            float(row["capacity_frames_per_s"] or 0) for row in rows if row["density_per_um2"] == name
        ]
        for name in names
    }
    lines(axis, sizes, series, ("side of the frames, px", "frames a second"))
    axis.set_ylim(bottom=0)
    return figure
