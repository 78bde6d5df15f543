"""What is known of a movie's microscope and camera, and where each number came from."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autods.core import Camera, OpticalSystem, UserError
from autods.core.quantities import QUANTITIES, is_plausible, require_plausible
from autods.estimation.camera import CameraEstimate
from autods.estimation.profile import Measured, MovieProfile, profile_movie
from autods.estimation.read_noise import read_noise_photons
from autods.inference.tiling import patch_size_px, tile_field
from autods.io.movie import ArrayMovie, Movie, MovieMetadata, check_frames, open_movie
from autods.pipelines.html_report import SettingRow
from autods.pipelines.settings import CameraSettings, OpticsSettings

#: What a movie may be given as.
MovieLike = str | Path | Movie | NDArray[Any] | Tensor

#: Frames from which a movie that is no file is told apart from others.
_DIGESTED_FRAMES = 16
#: Pixels and frames that tell the read noise.
_READ_NOISE_PX, _READ_NOISE_FRAMES = 400_000, 4
_DEFAULTS = {"offset_adu": 0.0, "e_per_adu": 1.0, "em_gain": None, "qe": 1.0, "read_noise_e": 0.0}


@dataclass(frozen=True)
class Instrument:
    """The resolved instrument."""

    #: The numbers that the run uses.
    optics: OpticalSystem
    camera: Camera
    #: Each with its source, for the plan and the report.
    rows: tuple[SettingRow, ...]
    #: Whether ADU can be turned into photons; if not, "photons" are ADU above the assumed offset and the
    #: noise is scaled to what the residuals show.
    gain_known: bool


def open_input(movie: MovieLike, channel: int | None = None, position: int | None = None) -> Movie:
    """Return a movie, whatever it is given as.

    Raises `UserError` if a file cannot be read, or an array is no movie; `TypeError` if it is none of these.

    Parameters
    ----------
    movie
        A file or folder, an open movie, or frames (T, Y, X), or one frame (Y, X), as an array or tensor.
    channel, position
        Which channel and stage position of a file that holds several, from 0.
    """
    if isinstance(movie, Tensor):
        movie = movie.detach().cpu().numpy()
    if isinstance(movie, np.ndarray):
        return ArrayMovie(movie)
    if isinstance(movie, str | Path):
        return open_movie(movie, channel=channel, position=position)
    if not hasattr(movie, "read") or not hasattr(movie, "metadata"):
        raise TypeError(
            f"movie is {movie!r:.60} ({type(movie).__name__}): give a path, an array or an open movie"
        )
    return movie


def digest_frames(movie: Movie) -> str:
    """Identify a movie that is no file by a few of its frames: SHA-256, hexadecimal."""
    digest = hashlib.sha256(repr(movie.shape).encode())
    chosen = np.linspace(0, movie.shape[0] - 1, _DIGESTED_FRAMES).round().astype(int)
    for t in np.unique(chosen):
        digest.update(np.ascontiguousarray(movie.read(int(t), int(t) + 1)).tobytes())
    return digest.hexdigest()


def resolve_instrument(movie: Movie, optics: OpticsSettings, camera: CameraSettings) -> Instrument:
    """Take each number from the user, else from the file, else a default that is stated.

    Raises `UserError` if the pixel size is not known, or a number or a map does not fit.

    Parameters
    ----------
    movie
        The movie, uncropped: maps must have its frames' shape.
    optics, camera
        What the user gave.
    """
    rows: list[SettingRow] = []
    metadata = movie.metadata

    def take(group: str, name: str, given: float | NDArray[np.float32] | None) -> object:
        value, source = _find(group, name, given, metadata)
        rows.append(SettingRow(f"{group}.{name}", _text(name, value), source))
        return value

    optical = {
        name: take("optics", name, getattr(optics, name)) for name in ("pixel_size_nm", "wavelength_nm", "na")
    }
    if optics.pixel_size_nm is None:
        metadata.square_pixel_nm(movie.path)
    if optical["pixel_size_nm"] is None:
        raise UserError(
            f"the pixel size of {movie.path} is not known: give optics.pixel_size_nm=NM"
            " (camera pixel divided by magnification)"
        )
    numbers = {name: take("camera", name, getattr(camera, name)) for name in _DEFAULTS}
    for name in ("offset_adu", "read_noise_e"):
        value = numbers[name]
        if isinstance(value, np.ndarray) and value.shape != movie.shape[1:]:
            raise UserError(
                f"camera.{name} is a map of shape {value.shape}, the frames of {movie.path} are"
                f" {movie.shape[1:]}: give a map of the frame's shape"
            )
    sources = {row.key: row.source for row in rows}
    return Instrument(
        OpticalSystem(
            **optical,  # type: ignore[arg-type]
            n_immersion=optics.n_immersion,
            n_sample=optics.n_sample,
            nfp_nm=optics.nfp_nm,
        ),
        Camera(**numbers),  # type: ignore[arg-type]
        tuple(rows),
        gain_known=sources["camera.e_per_adu"] != "default" and sources["camera.offset_adu"] != "default",
    )


def _find(group: str, name: str, given: object, metadata: MovieMetadata) -> tuple[object, str]:
    if given is not None:
        if isinstance(given, (int, float)):
            require_plausible(name, given, f"{group}.{name}")
        return given, "given"
    stated = metadata.known().get(name)
    if stated is not None and is_plausible(name, stated):
        return stated, f"metadata ({metadata.source})"
    return _DEFAULTS.get(name), "default"


def _text(name: str, value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"map of {value.shape[0]} x {value.shape[1]} px, mean {value.mean():.4g} {_unit(name)}"
    if value is None:
        return "none" if name == "em_gain" else "not known"
    return f"{value:g} {_unit(name)}".strip()


def _unit(name: str) -> str:
    quantity = QUANTITIES.get(name)
    return quantity.unit if quantity else ""


def with_measured(instrument: Instrument, estimate: CameraEstimate) -> Instrument:
    """Put measured numbers in the place of defaults.

    Photon transfer gives the gain together with the excess noise, and the level of zero variance together
    with the read noise; both stand in only where neither the user nor the file says anything.

    Parameters
    ----------
    instrument
        From `resolve_instrument`.
    estimate
        What was measured on the movie.
    """
    camera = instrument.camera
    slope, zero = estimate.adu_per_photoelectron, estimate.zero_variance_adu
    unknown = {row.key for row in instrument.rows if row.source == "default"}
    if slope is None or zero is None or not {"camera.e_per_adu", "camera.offset_adu"} <= unknown:
        return instrument
    found = {"e_per_adu": camera.excess_noise_factor * (camera.em_gain or 1.0) / slope, "offset_adu": zero}
    rows = tuple(
        SettingRow(row.key, _text(name, found[name]), "measured") if name in found else row
        for row in instrument.rows
        for name in [row.key.removeprefix("camera.")]
    )
    return dataclasses.replace(
        instrument, camera=dataclasses.replace(camera, **found), rows=rows, gain_known=True
    )


def with_read_noise(instrument: Instrument, movie: Movie) -> Instrument:
    """Measure the read noise where the gain is known and neither the user nor the file states it.

    Without it the noise of dark pixels would be too small, and with it the background too low.

    Parameters
    ----------
    instrument
        From `resolve_instrument`.
    movie
        The movie, uncropped in the field.
    """
    unknown = {row.key for row in instrument.rows if row.source == "default"}
    if not instrument.gain_known or "camera.read_noise_e" not in unknown:
        return instrument
    n_frames, height, width = movie.shape
    count = min(n_frames, max(_READ_NOISE_PX // (height * width), _READ_NOISE_FRAMES))
    chosen = np.unique(np.linspace(0, n_frames - 1, count).round().astype(int))
    camera = instrument.camera
    photons = camera.to_photons(np.concatenate([movie.read(int(t), int(t) + 1) for t in chosen]))
    read = read_noise_photons(photons, camera.excess_noise_factor / camera.qe)
    found = float(f"{read * camera.qe * (camera.em_gain or 1.0):.3g}")
    row = SettingRow("camera.read_noise_e", _text("read_noise_e", found), "measured")
    rows = tuple(row if old.key == row.key else old for old in instrument.rows)
    return dataclasses.replace(instrument, camera=dataclasses.replace(camera, read_noise_e=found), rows=rows)


def crop_camera(camera: Camera, roi: tuple[int, int, int, int]) -> Camera:
    """Cut a camera's maps to a region of the frame."""
    y0, x0, y1, x1 = roi

    def cut(value: float | NDArray[np.generic]) -> float | NDArray[np.generic]:
        return value[y0:y1, x0:x1] if isinstance(value, np.ndarray) else value

    return Camera(
        offset_adu=cut(camera.offset_adu),
        e_per_adu=camera.e_per_adu,
        em_gain=camera.em_gain,
        qe=camera.qe,
        read_noise_e=cut(camera.read_noise_e),
        spurious_charge_e=camera.spurious_charge_e,
    )


def profile_patches(
    movie: Movie, optics: OpticalSystem, patch_um: float, measured: Measured | None = None
) -> MovieProfile:
    """Measure a movie, whole and patch by patch.

    Raises `UserError` if the frames carry no signal or are too small, or the patch is.

    Parameters
    ----------
    movie
        The movie, or the part of it that counts.
    optics
        Its microscope.
    patch_um
        Side of a patch, um.
    measured
        From `measure_scene` of this movie; None measures it.
    """
    patch_px = patch_size_px(patch_um, optics.pixel_size_nm)
    cores = [tile.core for tile in tile_field(movie.shape[1:], patch_px, 0)]
    check_frames(movie.read(0, 1), movie.path)
    return profile_movie(movie, optics, cores, measured=measured)
