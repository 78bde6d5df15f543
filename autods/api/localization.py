"""`localize` and `localize3d`: from a movie to a table of localizations, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from autods.api.documented import documented
from autods.core import LocalizationTable, UserError
from autods.estimation.scene import Method
from autods.optics.registry import psf_by_name
from autods.pipelines.autods import localize as run_2d
from autods.pipelines.inputs import MovieLike
from autods.pipelines.settings import (
    CameraSettings,
    FinishSettings,
    LocalizeSettings,
    OpticsSettings,
    Refine,
    Scope,
)

if TYPE_CHECKING:
    from autods.calibration.bead_calibration import BeadSettings
    from autods.pipelines.settings3d import PsfSettings, TrainingSettings


@documented("localize")
def localize(
    movie: MovieLike,
    out: str | Path | None = None,
    *,
    pixel_size_nm: float | None = None,
    wavelength_nm: float | None = None,
    na: float | None = None,
    offset_adu: float | NDArray[np.float32] | None = None,
    e_per_adu: float | None = None,
    em_gain: float | None = None,
    qe: float | None = None,
    read_noise_e: float | NDArray[np.float32] | None = None,
    selection: str = "auto",
    scope: Scope = "movie",
    family: Literal["mixture", "heatmap"] | None = None,
    patch_um: float = 10.0,
    background: Method = "auto",
    rescale: bool = True,
    channel: int | None = None,
    position: int | None = None,
    frames: slice | None = None,
    roi: tuple[int, int, int, int] | None = None,
    threshold: float | None = None,
    min_significance: float | None = None,
    refine: Refine = "mle",
    max_uncertainty_nm: float | None = None,
    filter: str | None = None,  # noqa: A002 as on the command line
    drift: str = "auto",
    link_radius_nm: float | None = None,
    link_gap: int = 1,
    render_pixel_size_nm: float = 10.0,
    zoo: str | Path | None = None,
    device: str = "auto",
) -> LocalizationTable:
    """Localize the molecules of a movie in two dimensions.

    Parameters
    ----------
    movie
        A file or folder, an open movie, or frames (T, Y, X), or one frame (Y, X), as a NumPy array or torch
        tensor of camera values.
    out
        Folder for tables, picture and report; None writes nothing. A repeated call goes on from what the
        folder holds of the same movie and settings.
    offset_adu, e_per_adu, em_gain, qe, read_noise_e
        Camera, see `autods.Camera`; offset and read noise may be maps (Y, X). None: from the file, else
        measured, else a default that the report states.
    frames
        Part of the movie, from frame 0, the end excluded.
    roi
        ``(y0, x0, y1, x1)`` in pixels, ends excluded.
    {settings}

    Returns
    -------
    LocalizationTable
        In nm from the outer corner of pixel (0, 0) of the full frame, ordered by frame, y, x.

    Raises
    ------
    UserError
        If something is missing or does not fit; the message is one line that says what to do.
    TypeError
        If the movie is none of the above.

    Notes
    -----
    The method is that of the paper (npj Imaging 2025, doi 10.1038/s44303-025-00123-w), with mixture-density
    networks in place of heatmaps by default and maximum-likelihood refinement after the network.

    Examples
    --------
    >>> import autods
    >>> simulated = autods.simulate(n_frames=6, size_px=32, structure="uniform", seed=1)
    >>> table = autods.localize(simulated.frames, pixel_size_nm=100, drift="none", device="cpu")
    >>> type(table).__name__, table.is_3d
    ('LocalizationTable', False)
    >>> bool(0.5 < len(table) / len(simulated.truth) < 1.1)
    True

    A missing pixel size is said in one line:

    >>> autods.localize(simulated.frames)
    Traceback (most recent call last):
    autods.core.errors.UserError: the pixel size of array is not known: give ...
    """
    settings = LocalizeSettings(
        optics=OpticsSettings(pixel_size_nm, wavelength_nm, na),
        camera=CameraSettings(offset_adu, e_per_adu, em_gain, qe, read_noise_e),
        selection=selection,
        scope=scope,
        family=family,
        patch_um=patch_um,
        background=background,
        rescale=rescale,
        channel=channel,
        position=position,
        frames=frames,
        roi=roi,
        threshold=threshold,
        min_significance=min_significance,
        refine=refine,
        max_uncertainty_nm=max_uncertainty_nm,
        finish=FinishSettings(filter, drift, link_radius_nm, link_gap),
        render_pixel_size_nm=render_pixel_size_nm,
        zoo=None if zoo is None else Path(zoo),
        device=device,
    )
    return run_2d(movie, settings, None if out is None else Path(out))


@documented("localize3d")
def localize3d(
    movie: MovieLike,
    out: str | Path,
    *,
    beads: str | Path | None = None,
    z_step_nm: float | None = None,
    z_nm: str | None = None,
    psf: str | Path | None = None,
    run: str | Path | None = None,
    z_min_nm: float | None = None,
    z_max_nm: float | None = None,
    pixel_size_nm: float | None = None,
    wavelength_nm: float | None = None,
    na: float | None = None,
    optics: OpticsSettings | None = None,
    camera: CameraSettings | None = None,
    calibration: BeadSettings | None = None,
    preset: Literal["instant", "cpu_quick", "default", "paper"] | None = None,
    training: TrainingSettings | None = None,
    device: str = "auto",
    **settings: Any,
) -> LocalizationTable | None:
    """Localize the molecules of a movie in depth, with any engineered PSF.

    Parameters
    ----------
    movie
        A file or folder, an open movie, or frames (T, Y, X) as a NumPy array or torch tensor.
    out
        Run folder; stages that it holds with the same inputs are not repeated.
    beads, calibration
        Bead stack (a file), and how it is fitted (`autods.calibration.bead_calibration.BeadSettings`).
    psf, run
        Instead of beads: the name of a PSF (`autods.optics.PSF_MODELS`), a PSF file, or the run folder of an
        earlier call.
    optics, camera
        The microscope with refractive indices and focal plane, and the camera; see
        `autods.pipelines.settings`. None: what the file states, else defaults.
    preset
        ``instant`` trains nothing; ``cpu_quick`` takes 15 minutes on a CPU, ``default`` under an hour
        on a GPU, ``paper`` as published. None: ``default`` with a GPU, else ``instant``.
    training
        All numbers of the training instead of a preset, see
        `autods.pipelines.settings3d.TrainingSettings`.
    {settings}
    settings
        Further fields of `autods.pipelines.settings3d.Localize3DSettings`: ``refine``, ``frames``, ``roi``,
        ``until``, ...

    Returns
    -------
    LocalizationTable or None
        In nm, x and y from the outer corner of pixel (0, 0) of the full frame, z from the coverslip where the
        focal plane is known; ordered by frame, y, x. None where ``until`` ends the run before.

    Raises
    ------
    UserError
        If something is missing or does not fit; the message is one line that says what to do.
    TypeError
        If the movie is none of the above.

    Notes
    -----
    AutoDS3D of the paper (npj Imaging 2025, doi 10.1038/s44303-025-00123-w): phase retrieval from beads,
    background, signal and noise of the movie, a network trained on frames simulated alike.

    Examples
    --------
    >>> import autods, tempfile
    >>> simulated = autods.simulate(
    ...     n_frames=20, size_px=40, structure="uniform", density_per_um2=0.1, photons=5000,
    ...     psf="astigmatic_gaussian", z_min_nm=-300, z_max_nm=300,
    ... )
    >>> with tempfile.TemporaryDirectory() as out:
    ...     table = autods.localize3d(
    ...         simulated.frames, out, psf="astigmatic_gaussian", z_min_nm=-300, z_max_nm=300,
    ...         pixel_size_nm=100, wavelength_nm=660, na=1.4, preset="instant", device="cpu",
    ...     )
    >>> table.is_3d, table.z_nm.shape == table.x_nm.shape
    (True, True)
    """
    from autods.configuration.convert3d import preset_settings
    from autods.pipelines.autods3d import localize3d as run_3d
    from autods.pipelines.settings3d import Localize3DSettings

    if optics is None:
        optics = OpticsSettings(pixel_size_nm, wavelength_nm, na)
    elif (pixel_size_nm, wavelength_nm, na) != (None, None, None):
        raise UserError("the microscope is given twice: put pixel_size_nm, wavelength_nm and na into optics")
    if training is None:
        training, passes = preset_settings(preset, device)
        settings.setdefault("passes", passes)
    source = _psf_source(
        psf,
        beads=None if beads is None else Path(beads),
        run=None if run is None else Path(run),
        z_step_nm=z_step_nm,
        z_nm=z_nm,
        z_min_nm=z_min_nm,
        z_max_nm=z_max_nm,
        **({} if calibration is None else {"calibration": calibration}),
    )
    given = Localize3DSettings(
        source, optics, camera or CameraSettings(), training=training, device=device, **settings
    )
    return run_3d(movie, given, Path(out))


def _psf_source(psf: str | Path | None, **source: Any) -> PsfSettings:
    """Return where the PSF comes from: ``psf`` is a file, or the name of a formula."""
    from autods.pipelines.settings3d import PsfSettings

    name = str(psf)
    if psf is None or Path(name).exists():
        return PsfSettings(file=None if psf is None else Path(psf), **source)
    return PsfSettings(formula=psf_by_name(name), formula_text=f"{name}()", **source)
