"""Simulated movies with their truth, for other programs to train on what ours are trained for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autods.core import Camera
from autods.io.atomic import atomic_path
from autods.optics import PSFModel
from benchmarks.trust_movies import Crowd, draw_movie, in_counts

BANK_FILE, SETTINGS_FILE = "bank.npz", "settings.json"
#: Densities of the movies, over that of the crowd: like the range that our own trainings draw from.
_CROWDING = (0.2, 4.0)
#: Photons up to which a peer that wants a limit is told, in deviations of the logarithm.
_BRIGHTEST = 2.5


@dataclass(frozen=True)
class BankSize:
    """How much is simulated: so many movies, of frames with blinking molecules and so many pixels a side."""

    n_movies: int = 24
    n_frames: int = 400
    size_px: int = 40


def write_bank(
    folder: Path,
    psf: PSFModel,
    z_range_nm: tuple[float, float],
    region_px: int,
    crowd: Crowd,
    camera: Camera,
    size: BankSize,
    *,
    context: int = 3,
    seed: int = 1,
) -> None:
    """Write ``bank.npz``, and as ``settings.json`` what a peer is told beside it.

    The first holds ``frames`` (M, T, Y, X) of uint16 ADU, ``background`` (M, Y, X) of photons per pixel and
    ``truth`` (N, 6): movie, frame, x_nm, y_nm, z_nm, photons, of the emitters within the frames.

    Parameters
    ----------
    folder
        Made when absent.
    psf, z_range_nm, region_px, crowd, camera
        See `draw_movie`; each movie has a density of its own around the crowd's. Depths from 0 to 0 make a
        bank for two dimensions.
    size
        How much.
    context
        Consecutive frames that a network sees at once.
    seed
        Of all draws.
    """
    rng = np.random.default_rng(seed)
    frames, background, truth = [], [], []
    for number in range(size.n_movies):
        density = crowd.density_per_um2 * rng.uniform(*_CROWDING)
        drawn, emitters = draw_movie(
            psf,
            z_range_nm,
            region_px,
            replace(crowd, density_per_um2=density),
            camera,
            size.n_frames,
            size.size_px,
            int(rng.integers(2**31)),
        )
        frames.append(in_counts(drawn))
        background.append(drawn.background[0].numpy())
        frame, xyz, photons = (column.numpy() for column in emitters.flat())
        truth.append(np.column_stack([np.full(len(frame), number), frame, xyz, photons]))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / BANK_FILE,
        frames=np.stack(frames),
        background=np.stack(background),
        truth=np.concatenate(truth).astype(np.float64),
    )
    told = {
        **_told_of(camera, psf.pixel_size_nm),
        **_photons_of(crowd),
        "context": context,
        "is_3d": z_range_nm[1] > z_range_nm[0],
        "z_range_nm": list(z_range_nm),
        "background": float(np.mean(background)),
        "background_most": float(np.max(background)),
        "seed": seed,
        "bank": str((folder / BANK_FILE).resolve()),
    }
    with atomic_path(folder / SETTINGS_FILE) as part:
        part.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _photons_of(crowd: Crowd) -> dict[str, float]:
    """Return mean and deviation of the photons, and what few emitters exceed."""
    mean = crowd.photons * math.exp(0.5 * crowd.log_width**2)
    return {
        "photons_mean": mean,
        "photons_std": mean * math.sqrt(math.expm1(crowd.log_width**2)),
        "photons_most": crowd.photons * math.exp(_BRIGHTEST * crowd.log_width),
    }


def _told_of(camera: Camera, pixel_size_nm: float) -> dict[str, object]:
    """Return what a peer needs to know of camera and pixel."""
    return {
        "pixel_size_nm": pixel_size_nm,
        "offset_adu": float(np.mean(camera.offset_adu)),
        "e_per_adu": float(np.mean(camera.e_per_adu)),
        "em_gain": camera.em_gain,
        "qe": camera.qe,
    }
