"""A simulated blinking movie with its truth on disk."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from autods.core import Camera, OpticalSystem, UserError
from autods.io.drift import write_drift
from autods.io.images import MovieWriter
from autods.io.tables import TruthWriter
from autods.optics import PSFModel
from autods.runs.record import Progress, RunRecord, no_progress
from autods.simulation import (
    STRUCTURES,
    STRUCTURES_3D,
    FrameRenderer,
    GaussianRenderer,
    PsfRenderer,
    Sample,
    Simulator,
    blink,
    simulate_movie,
)
from autods.simulation.drifting import DRIFTS, drift_curve
from autods.simulation.photophysics import with_beads

MOVIE_FILE = "movie.tif"
TRUTH_FILE = "truth.csv"
DRIFT_FILE = "truth_drift.csv"
_CHUNK_FRAMES = 50


@dataclass(frozen=True)
class SimulationSettings:
    """What is simulated.

    What each setting is, ``autods simulate --settings`` says. ``bead_seed`` decides the places of beads;
    ``distortion`` is ``(xx, xy, yx, yy)`` about the centre of the field, then ``(x, y)`` in nm, how the image
    of the sample is stretched and shifted; ``psf`` makes the PSF of a microscope for emitters in depth, None
    an in-focus Gaussian. Raises `UserError` if a setting is out of range.
    """

    optics: OpticalSystem
    camera: Camera
    n_frames: int = 200
    size_px: int = 64
    structure: str = "filaments"
    density_per_um2: float = 0.5
    photons: float = 2000.0
    background: float = 20.0
    on_frames: float = 2.0
    gradient: float = 0.3
    blobs: float = 0.3
    drift: str = "none"
    drift_nm: float = 200.0
    beads: int = 0
    bead_seed: int = 0
    distortion: tuple[float, ...] = ()
    seed: int = 0
    psf: Callable[[OpticalSystem], PSFModel] | None = None
    z_min_nm: float = -500.0
    z_max_nm: float = 500.0

    def __post_init__(self) -> None:
        known = [*STRUCTURES] if self.psf is None else [*STRUCTURES, *STRUCTURES_3D]
        if self.structure not in known:
            raise UserError(f"structure={self.structure} is not known: use one of {', '.join(known)}")
        if self.drift not in DRIFTS:
            raise UserError(f"drift={self.drift} is not known: use one of {', '.join(DRIFTS)}")
        if not self.z_max_nm > self.z_min_nm:
            raise UserError(f"psf.z_max_nm={self.z_max_nm:g} is not above psf.z_min_nm={self.z_min_nm:g}")
        for name in ("n_frames", "size_px", "photons", "on_frames"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name}={getattr(self, name)} is not possible: it must be greater than 0")
        for name in ("density_per_um2", "background", "gradient", "blobs", "drift_nm"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name}={getattr(self, name)} is not possible: it must be at least 0")
        if self.optics.airy_sigma_nm is None:
            raise UserError("the PSF needs optics.wavelength_nm and optics.na: give both")

    @property
    def side_nm(self) -> float:
        """Side of the field, nm."""
        return self.size_px * self.optics.pixel_size_nm


def simulate_to_folder(
    settings: SimulationSettings, folder: Path, *, command: str = "", progress: Progress = no_progress
) -> Path:
    """Simulate a movie into a folder: ``movie.tif``, ``truth.csv``, ``run.json`` and ``log.txt``.

    With drift, its curve goes to ``truth_drift.csv``. Frames are drawn and written piece by piece, so that
    the length of the movie needs no memory. Returns the movie. Raises `UserError` if the files cannot be
    written.

    Parameters
    ----------
    settings
        What to simulate.
    folder
        Made when absent.
    command
        The command line that repeats the run.
    progress
        Told of each piece.
    """
    with RunRecord(folder, "simulate", command=command, progress=progress) as record:
        n_pieces = math.ceil(settings.n_frames / _CHUNK_FRAMES)
        with record.stage("simulate", total=n_pieces) as stage:
            n_emitters = _write(settings, folder, stage.advance)
        plain = {name: value for name, value in vars(settings).items() if name != "psf"}
        record.add_results(n_emitters=n_emitters, n_frames=settings.n_frames, settings=plain)
    return folder / MOVIE_FILE


def _write(settings: SimulationSettings, folder: Path, advance: Callable[[], None]) -> int:
    optics, side_nm = settings.optics, settings.side_nm
    sigma_nm = optics.airy_sigma_nm
    assert sigma_nm is not None
    generator = torch.Generator().manual_seed(settings.seed)
    sample = _sample(settings, generator)
    per_frame = settings.density_per_um2 * (side_nm / 1000) ** 2
    blinks = blink(
        sample, settings.n_frames, per_frame, settings.photons, generator, on_frames=settings.on_frames
    )
    curve = None
    if settings.drift != "none":
        rng, n_axes = np.random.default_rng(settings.seed), 2 if settings.psf is None else 3
        curve = drift_curve(settings.drift, settings.n_frames, settings.drift_nm, rng, n_axes)
        write_drift(folder / DRIFT_FILE, curve)
    if settings.beads:
        places = torch.rand((settings.beads, 3), generator=torch.Generator().manual_seed(settings.bead_seed))
        xyz = (0.1 + 0.8 * places) * side_nm * torch.tensor([1.0, 1.0, 0.0])
        sample, blinks = with_beads(sample, blinks, xyz, 10 * settings.photons, settings.n_frames)
    if settings.distortion:
        sample = dataclasses.replace(sample, xyz_nm=_distorted(sample.xyz_nm, settings))
    simulator = Simulator([_renderer(settings)], [settings.camera], settings.gradient, settings.blobs)
    pieces = simulate_movie(
        sample,
        blinks,
        settings.n_frames,
        (settings.size_px, settings.size_px),
        simulator,
        generator,
        background=settings.background,
        psf_sigma_nm=sigma_nm,
        pixel_size_nm=optics.pixel_size_nm,
        chunk=_CHUNK_FRAMES,
        drift_nm=None if curve is None else torch.from_numpy(curve),
    )
    n_emitters, n_bytes = 0, 2 * settings.n_frames * settings.size_px**2
    with (
        MovieWriter(folder / MOVIE_FILE, optics.pixel_size_nm, n_bytes) as movie,
        TruthWriter(folder / TRUTH_FILE, is_3d=settings.psf is not None) as truth,
    ):
        for frames, emitters in pieces:
            movie.append(frames.numpy())
            truth.append(emitters)
            n_emitters += int(emitters.mask.sum())
            advance()
    return n_emitters


def _distorted(xyz_nm: torch.Tensor, settings: SimulationSettings) -> torch.Tensor:
    """Return positions (N, 3) as an imperfect second channel shows them."""
    matrix = torch.tensor(settings.distortion[:4]).view(2, 2)
    centre = settings.side_nm / 2
    xy = (xyz_nm[:, :2] - centre) @ matrix.T + centre + torch.tensor(settings.distortion[4:])
    return torch.cat([xy, xyz_nm[:, 2:]], 1)


def _sample(settings: SimulationSettings, generator: torch.Generator) -> Sample:
    """Draw the structure; flat ones are spread over the depths where there is a PSF for them."""
    side_nm, low, high = settings.side_nm, settings.z_min_nm, settings.z_max_nm
    if settings.structure in STRUCTURES_3D:
        return STRUCTURES_3D[settings.structure](side_nm, side_nm, low, high, generator)
    sample = STRUCTURES[settings.structure](side_nm, side_nm, generator)
    if settings.psf is None:
        return sample
    z = low + (high - low) * torch.rand(len(sample.xyz_nm), generator=generator)
    return dataclasses.replace(sample, xyz_nm=torch.cat([sample.xyz_nm[:, :2], z[:, None]], 1))


def _renderer(settings: SimulationSettings) -> FrameRenderer:
    if settings.psf is None:
        return GaussianRenderer(settings.optics.pixel_size_nm)
    return PsfRenderer.fast(settings.psf(settings.optics), settings.z_min_nm, settings.z_max_nm)
