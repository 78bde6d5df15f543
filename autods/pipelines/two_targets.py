"""A demonstration of two targets: two simulated channels, one of them distorted, in one picture."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from autods.pipelines.autods import localize
from autods.pipelines.combine import combine
from autods.pipelines.settings import LocalizeSettings
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from autods.runs.record import Progress, no_progress

#: What the two channels show, and the second one's rotation (degrees), stretch and shift (nm).
_STRUCTURES = ("filaments", "mitochondria")
_ROTATION_DEG, _STRETCH, _SHIFT_NM = 0.6, (1.006, 0.997), (180.0, -130.0)
_BEADS = 5


def demonstrate(
    simulated: SimulationSettings,
    wanted: LocalizeSettings,
    folder: Path,
    *,
    progress: Progress = no_progress,
    command: str = "",
) -> dict[str, Any]:
    """Simulate two structures with common beads in two channels, localize, register and draw them.

    Returns numbers of localizations and beads, and the registration's error against the truth, nm: root mean
    square over the field.

    Parameters
    ----------
    simulated
        Optics, camera and size; structure, beads and distortion are set here.
    wanted
        Settings of the localization.
    folder
        Gets ``simulation_1``, ``simulation_2``, ``first``, ``second`` and the combination.
    progress
        Told of each stage.
    command
        The command line that repeats it.
    """
    distortion = true_distortion()
    runs = []
    for index, structure in enumerate(_STRUCTURES):
        channel = dataclasses.replace(
            simulated,
            structure=structure,
            beads=_BEADS,
            bead_seed=simulated.seed,
            seed=simulated.seed + index,
            distortion=distortion if index else (),
        )
        source = folder / f"simulation_{index + 1}"
        movie = simulate_to_folder(channel, source, command=command, progress=progress)
        run = folder / ("first", "second")[index]
        localize(movie.absolute(), wanted, run, progress=progress, command=command)
        runs.append(run)
    combined = combine(runs[0], runs[1], folder, progress=progress, command=command)
    found = combined.registration
    side = simulated.side_nm
    points = np.stack(np.meshgrid(*[np.linspace(0, side, 21)] * 2), -1).reshape(-1, 2)
    matrix, shift = np.array(distortion[:4]).reshape(2, 2), np.array(distortion[4:])
    seen = (points - side / 2) @ matrix.T + side / 2 + shift
    error = np.sqrt(((found.points(seen) - points) ** 2).sum(1).mean())
    before = np.sqrt(((seen - points) ** 2).sum(1).mean())
    return {
        "localizations": [len(combined.first), len(combined.second)],
        "registration": found.to_dict(),
        "distortion_nm": float(before),
        "registration_error_nm": float(error),
    }


def true_distortion() -> tuple[float, ...]:
    """Return the distortion of the second channel, as `SimulationSettings` takes it."""
    angle = math.radians(_ROTATION_DEG)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = _STRETCH
    return (x * cos, -y * sin, x * sin, y * cos, *_SHIFT_NM)
