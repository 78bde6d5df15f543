"""`profile` and `calibrate`: what a movie and a bead stack tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autods.api.documented import documented
from autods.api.tables import open_movie
from autods.estimation.profile import MovieProfile
from autods.io.movie import CroppedMovie
from autods.pipelines.inputs import MovieLike, profile_patches, resolve_instrument
from autods.pipelines.settings import CameraSettings, OpticsSettings

if TYPE_CHECKING:
    from autods.calibration.bead_calibration import BeadCalibration, BeadSettings


@documented("profile")
def profile(
    movie: MovieLike,
    *,
    pixel_size_nm: float | None = None,
    wavelength_nm: float | None = None,
    na: float | None = None,
    patch_um: float = 10.0,
    channel: int | None = None,
    position: int | None = None,
    frames: slice | None = None,
    roi: tuple[int, int, int, int] | None = None,
) -> MovieProfile:
    """Measure density, signal-to-noise ratio, background, noise and PSF width of a movie.

    Parameters
    ----------
    movie
        A file or folder, an open movie, or frames (T, Y, X) as a NumPy array or torch tensor.
    frames, roi
        Part of the movie: from frame 0, and ``(y0, x0, y1, x1)`` in pixels, ends excluded.
    {settings}

    Returns
    -------
    MovieProfile
        ``whole`` and ``tiles`` with ``density_per_um2``, ``snr``, ``background`` and ``noise_std`` (ADU),
        ``psf_sigma_px``, the measured ``camera`` and ``notes``.

    Raises
    ------
    UserError
        If the movie cannot be read, carries no signal, or its pixel size is not known.

    Notes
    -----
    The signal-to-noise ratio is the mean amplitude of the emitters over the standard deviation of the noise,
    as in the paper (npj Imaging 2025, doi 10.1038/s44303-025-00123-w, eq. 1).

    Examples
    --------
    >>> import autods
    >>> simulated = autods.simulate(n_frames=20, size_px=64, structure="uniform", density_per_um2=0.3)
    >>> measured = autods.profile(simulated.frames, pixel_size_nm=100)
    >>> measured.shape, len(measured.tiles)
    ((20, 64, 64), 1)
    >>> bool(0.1 < measured.whole.density_per_um2 < 0.6), bool(90 < 100 * measured.psf_sigma_px < 140)
    (True, True)
    """
    with open_movie(movie, channel=channel, position=position) as whole:
        part = CroppedMovie(whole, frames, roi)
        given = OpticsSettings(pixel_size_nm, wavelength_nm, na)
        instrument = resolve_instrument(whole, given, CameraSettings())
        return profile_patches(part, instrument.optics, patch_um)


@documented("calibrate")
def calibrate(
    beads: MovieLike,
    out: str | Path | None = None,
    *,
    z_step_nm: float | None = None,
    z_nm: str | None = None,
    pixel_size_nm: float | None = None,
    wavelength_nm: float | None = None,
    na: float | None = None,
    optics: OpticsSettings | None = None,
    camera: CameraSettings | None = None,
    settings: BeadSettings | None = None,
) -> BeadCalibration:
    """Retrieve a PSF from a z-stack of beads.

    Parameters
    ----------
    beads
        Stack of one or several beads: a file, or (Z, Y, X) as a NumPy array or torch tensor of camera values.
    out
        Folder for ``psf.h5``, ``psf_empirical.h5``, ``calibration.json`` and figures; None writes nothing.
    optics
        The microscope with refractive indices, see `autods.pipelines.settings.OpticsSettings`.
    camera
        Turns camera values into photons where given, see `autods.pipelines.settings.CameraSettings`.
    settings
        How the stack is read and fitted, see `autods.calibration.bead_calibration.BeadSettings`.
    {settings}

    Returns
    -------
    BeadCalibration
        ``retrieved.psf``, a `autods.optics.PSFModel`; ``correlation`` (Z,) of model and mean bead; ``beads``
        with the reason of every rejection.

    Raises
    ------
    UserError
        If the stack cannot be read, holds no usable bead, or a number is missing.

    Notes
    -----
    Phase retrieval by gradient descent on a Gaussian approximation of the Poisson likelihood, as in the paper
    (npj Imaging 2025, doi 10.1038/s44303-025-00123-w); no designed mask is needed.

    Examples
    --------
    >>> import autods, torch
    >>> from autods.calibration.bead_calibration import BeadSettings
    >>> from autods.calibration.retrieval import RetrievalSettings
    >>> microscope = autods.OpticalSystem(100.0, wavelength_nm=660.0, na=1.4)
    >>> from autods.optics import PSF_MODELS
    >>> psf = PSF_MODELS["astigmatism"](microscope)
    >>> depth = -torch.linspace(-400, 400, 9)
    >>> light = psf(torch.stack([0 * depth, 0 * depth, depth], 1), 25) * 20_000 + 10
    >>> stack = torch.poisson(light, generator=torch.Generator().manual_seed(0)).numpy()
    >>> quick = BeadSettings(size_px=21, retrieval=RetrievalSettings(steps=40))
    >>> found = autods.calibrate(
    ...     stack, z_step_nm=100, pixel_size_nm=100, wavelength_nm=660, na=1.4, settings=quick
    ... )
    >>> len(found.beads.accepted), bool(found.correlation.min() > 0.9)
    (1, True)
    """
    from autods.calibration.bead_calibration import BeadSettings, calibrate_beads, z_positions
    from autods.calibration.bead_report import write_calibration
    from autods.calibration.field import calibrate_field
    from autods.cli.calibrate import provenance, resolve_optics, to_photons

    chosen = settings or BeadSettings()
    given = {"pixel_size_nm": pixel_size_nm, "wavelength_nm": wavelength_nm, "na": na}
    known = {name: value for name, value in given.items() if value is not None}
    with open_movie(beads) as movie:
        microscope = resolve_optics(replace(optics or OpticsSettings(), **known), movie)
        stack = to_photons(movie.read(0, movie.shape[0]), camera or CameraSettings())
        path = movie.path
    result = calibrate_beads(stack, z_positions(len(stack), z_step_nm, z_nm), microscope, chosen)
    if out is not None:
        variation = calibrate_field(stack, result, microscope, chosen) if chosen.over_field else None
        source = provenance(path, "autods.calibrate") if path.exists() else {"source": "an array"}
        write_calibration(result, Path(out), source, variation)
    return result
