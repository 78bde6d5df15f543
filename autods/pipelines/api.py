"""The pipelines for Python users: plain keyword arguments instead of settings objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from autods.core import LocalizationTable
from autods.estimation.scene import Method
from autods.io.movie import Movie
from autods.pipelines.autods import localize as run
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
    from autods.pipelines.settings3d import TrainingSettings


def localize(
    movie: str | Path | Movie | NDArray[Any],
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
    """Localize the molecules of a movie.

    Parameters
    ----------
    movie
        A file, a folder, an open movie, or frames (T, Y, X).
    out
        Folder for tables, picture and report; None writes nothing.
    pixel_size_nm, wavelength_nm, na
        Microscope, see `autods.core.OpticalSystem`; None: from the file, else measured.
    offset_adu, e_per_adu, em_gain, qe, read_noise_e
        Camera, see `autods.core.Camera`; None: from the file, else measured, else a default.
    selection, scope, family, patch_um, background, rescale, frames, roi, threshold, min_significance, \
refine, max_uncertainty_nm, render_pixel_size_nm, zoo, device
        See `autods.pipelines.settings.LocalizeSettings`.
    filter, drift, link_radius_nm, link_gap
        See `autods.pipelines.settings.FinishSettings`.

    Returns
    -------
    LocalizationTable
        In coordinates of the full frame, ordered by frame, y, x.

    Raises
    ------
    UserError
        If something is missing or does not fit; the message says what to do.
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
    return run(movie, settings, None if out is None else Path(out))


def localize3d(
    movie: str | Path,
    out: str | Path,
    *,
    beads: str | Path | None = None,
    z_step_nm: float | None = None,
    z_nm: str | None = None,
    psf: str | Path | None = None,
    run: str | Path | None = None,
    z_min_nm: float | None = None,
    z_max_nm: float | None = None,
    optics: OpticsSettings | None = None,
    camera: CameraSettings | None = None,
    calibration: BeadSettings | None = None,
    training: TrainingSettings | None = None,
    **settings: Any,
) -> LocalizationTable | None:
    """Localize the molecules of a movie in depth.

    Parameters
    ----------
    movie
        A file or folder.
    out
        Run folder; what it holds of finished stages with the same inputs is taken.
    beads, z_step_nm, z_nm, calibration
        Bead stack, the positions of its slices, and how it is fitted; see
        `autods.pipelines.settings3d.PsfSettings`.
    psf, run
        Instead of beads: a PSF file, or the run folder of an earlier training.
    z_min_nm, z_max_nm
        Depths to localize in, nm; None takes what the bead stack covers.
    optics, camera, training
        See `autods.pipelines.settings` and `autods.pipelines.settings3d`; None for what the file states, and
        defaults.
    settings
        Further fields of `autods.pipelines.settings3d.Localize3DSettings`: ``refine``, ``frames``, ...

    Returns
    -------
    LocalizationTable or None
        In coordinates of the full frame, ordered by frame, y, x; None where ``until`` ends the run before.

    Raises
    ------
    UserError
        If something is missing or does not fit; the message says what to do.
    """
    from autods.pipelines.autods3d import localize3d as run3d
    from autods.pipelines.settings3d import Localize3DSettings, PsfSettings

    more: dict[str, Any] = {} if calibration is None else {"calibration": calibration}
    source = PsfSettings(
        beads=None if beads is None else Path(beads),
        file=None if psf is None else Path(psf),
        run=None if run is None else Path(run),
        z_step_nm=z_step_nm,
        z_nm=z_nm,
        z_min_nm=z_min_nm,
        z_max_nm=z_max_nm,
        **more,
    )
    groups: dict[str, Any] = {"optics": optics, "camera": camera, "training": training}
    given = {name: value for name, value in groups.items() if value is not None}
    return run3d(movie, Localize3DSettings(source, **given, **settings), Path(out))
