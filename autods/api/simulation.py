"""`simulate`: a blinking movie whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from autods.api.documented import documented
from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.io.movie import open_movie
from autods.io.tables import read_table
from autods.optics.registry import psf_by_name
from autods.pipelines.simulate import TRUTH_FILE, SimulationSettings, simulate_to_folder

#: The camera of `autods simulate`.
_CAMERA = Camera(offset_adu=100.0, e_per_adu=0.5, qe=0.9, read_noise_e=1.5)


@dataclass(frozen=True)
class Simulated:
    """A simulated movie.

    Parameters
    ----------
    frames
        (T, Y, X) uint16, camera values (ADU).
    truth
        Emitters of every frame: positions in nm, photons.
    settings
        All that it was made with, microscope and camera included.
    """

    frames: NDArray[np.uint16]
    truth: LocalizationTable
    settings: SimulationSettings


@documented("simulate")
def simulate(
    out: str | Path | None = None,
    *,
    n_frames: int = 200,
    size_px: int = 64,
    structure: str = "filaments",
    density_per_um2: float = 0.5,
    photons: float = 2000.0,
    background: float = 20.0,
    on_frames: float = 2.0,
    gradient: float = 0.3,
    blobs: float = 0.3,
    drift: str = "none",
    drift_nm: float = 200.0,
    beads: int = 0,
    psf: str | None = None,
    z_min_nm: float = -500.0,
    z_max_nm: float = 500.0,
    optics: OpticalSystem | None = None,
    camera: Camera | None = None,
    seed: int = 0,
) -> Simulated:
    """Simulate a movie of blinking molecules, with its truth.

    Parameters
    ----------
    out
        Folder for ``movie.tif`` and ``truth.csv``; None keeps them in memory only.
    psf
        Name of a PSF (`autods.optics.PSF_MODELS`) for emitters in depth; None: an in-focus Gaussian.
    optics, camera
        Microscope and camera; None: 100 nm pixels, 660 nm, NA 1.4, an sCMOS camera.
    {settings}

    Returns
    -------
    Simulated
        ``frames`` (T, Y, X) in ADU, ``truth`` in nm, ``settings``.

    Raises
    ------
    UserError
        If a setting is out of range, or a file cannot be written.

    Examples
    --------
    >>> import autods
    >>> simulated = autods.simulate(n_frames=10, size_px=32, structure="uniform", seed=3)
    >>> simulated.frames.shape, simulated.frames.dtype.name
    ((10, 32, 32), 'uint16')
    >>> bool(simulated.truth.frame.max() < 10), simulated.truth.is_3d
    (True, False)
    >>> again = autods.simulate(n_frames=10, size_px=32, structure="uniform", seed=3)
    >>> bool((again.frames == simulated.frames).all())
    True
    >>> autods.simulate(structure="spaghetti")
    Traceback (most recent call last):
    autods.core.errors.UserError: structure=spaghetti is not known: use one of uniform, ...
    """
    settings = SimulationSettings(
        optics=optics or OpticalSystem(100.0, wavelength_nm=660.0, na=1.4),
        camera=camera or _CAMERA,
        n_frames=n_frames,
        size_px=size_px,
        structure=structure,
        density_per_um2=density_per_um2,
        photons=photons,
        background=background,
        on_frames=on_frames,
        gradient=gradient,
        blobs=blobs,
        drift=drift,
        drift_nm=drift_nm,
        beads=beads,
        psf=None if psf is None else psf_by_name(psf),
        z_min_nm=z_min_nm,
        z_max_nm=z_max_nm,
        seed=seed,
    )
    with TemporaryDirectory(prefix="autods-") as scratch:
        path = simulate_to_folder(settings, Path(scratch if out is None else out))
        with open_movie(path) as movie:
            frames: NDArray[np.uint16] = movie.read(0, movie.shape[0])
        return Simulated(frames, read_table(path.parent / TRUTH_FILE), settings)
