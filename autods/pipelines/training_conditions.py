"""What a network for a movie must be trained for, measured on the movie: conditions, camera, background.

The results are settings of ``conf/train.yaml`` by their dotted keys, so that the configuration which trains
can say of each number where it came from.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.core import Camera, UserError
from autods.estimation.camera import CameraEstimate
from autods.estimation.patch import PatchProfile
from autods.estimation.profile import Measured, MovieProfile, measure_scene
from autods.estimation.scene import Scene
from autods.io.base import Movie
from autods.io.foreign import read_by_library
from autods.io.movie import open_movie
from autods.pipelines.inputs import Instrument, profile_patches, resolve_instrument, with_measured
from autods.pipelines.settings import CameraSettings, OpticsSettings

#: Key of the conditions in ``profile.json``.
TRAINING_KEY = "training"
_TARGET = "_target_"
#: Keys of what is measured: cameras, and prefixes of those that are numbers.
_CAMERAS_KEY = "cameras.cameras"
_NUMBER_KEYS = ("conditions.", "data.simulator.")
#: Side of the patches that tell how density and SNR differ over the field, um.
_PATCH_UM = 10.0
#: Frames that tell the background.
_SCENE_FRAMES = 6
#: Structures, bleaching and the estimates' errors: training reaches this far beyond the measured means.
_DENSER, _DIMMER, _BRIGHTER = 3.0, 0.5, 2.0
#: The least density that is trained for: so many emitters in the area of the PSF, 2 pi sigma^2.
_LEAST_PER_PSF, _LEAST_SNR = 0.027, 0.8
#: The brightest emitter of a frame over the mean, of a gamma distribution of shape 4.
_BRIGHTEST_OVER_MEAN = 3.0
#: Relative spread of the PSF's width over the field and with the estimate's error.
_WIDTH_SPREAD = 0.08
_BACKGROUND_SPREAD, _LEAST_BACKGROUND = 1.25, 0.3
#: Side of the training frames, to which gradients of the background are referred, px.
_FRAME_PX = 40
#: Of the noise of a frame, what the map of the background keeps.
_MAP_NOISE = 0.15
#: Least non-uniformity that is trained for: movies change.
_LEAST_GRADIENT = 0.1
#: A PSF wider than the first, px, is trained and seen at pixels that make it as wide as the second.
_WIDEST_PX, _WIDTH_PX = 2.0, 1.5
#: Pixel sizes of movies that share a training agree within this.
_PIXEL_TOLERANCE = 0.02


@dataclass(frozen=True)
class TrainingConditions:
    """Settings of a training as measured."""

    #: By the dotted keys of ``conf/train.yaml``; plain values.
    values: dict[str, Any]
    #: By the same keys: where each came from, a line for people.
    sources: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def measure_movie(
    path: Path, optics: OpticsSettings, camera: CameraSettings, *, channel: int | None = None
) -> TrainingConditions:
    """Open and measure a movie.

    Raises `UserError` if the movie cannot be read or measured, or its pixel size is not known.

    Parameters
    ----------
    path
        The movie.
    optics, camera
        What the user knows of its microscope.
    channel
        Of a file that holds several.
    """
    with open_movie(path, channel=channel) as movie:
        instrument = resolve_instrument(movie, optics, camera)
        # Without a model of the noise, so that what is measured is the movie's own.
        measured = measure_scene(movie, instrument.optics)
        profile = profile_patches(movie, instrument.optics, _PATCH_UM, measured)
        return conditions_of(movie, instrument, measured, profile)


def conditions_of(
    movie: Movie, instrument: Instrument, measured: Measured, profile: MovieProfile
) -> TrainingConditions:
    """Turn what was measured on a movie into settings of a training.

    Raises `UserError` if the movie shows no emitter.

    Parameters
    ----------
    movie
        The movie.
    instrument
        What is known of its microscope.
    measured, profile
        From `measure_scene` and `profile_movie`, the latter with the patches' profiles.
    """
    instrument = with_measured(instrument, measured.camera)
    name, rows = movie.path.name, {row.key: row.source for row in instrument.rows}
    filled = [tile.profile for tile in profile.tiles if not tile.profile.is_empty]
    filled = [tile for tile in filled if math.isfinite(tile.snr) and tile.density_per_um2 > 0]
    if not filled:
        raise UserError(f"{movie.path}: shows no emitter that could be trained for: look at autods profile")
    seen = f"measured on {name}"
    found: dict[str, tuple[Any, str]] = {
        "conditions.pixel_size_nm": (instrument.optics.pixel_size_nm, rows["optics.pixel_size_nm"]),
        **_spread("conditions.density_per_um2", _density(filled, profile), f"{seen}, {len(filled)} patches"),
        **_spread("conditions.snr", _snr(filled, profile.whole), f"{seen}, {len(filled)} patches"),
        **_spread("conditions.psf_sigma_nm", _width(profile), _width_source(profile, seen)),
        **_light(instrument, measured, seen, rows),
    }
    return TrainingConditions(
        {key: value for key, (value, _) in found.items()}, {key: source for key, (_, source) in found.items()}
    )


def read_profile(path: Path) -> TrainingConditions:
    """Read the conditions of a ``profile.json``.

    Raises `UserError` if it cannot be read or holds none.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: give the profile.json of autods profile")
    with read_by_library(f"{path} is no profile: write it with autods profile"):
        held = json.loads(path.read_text(encoding="utf-8"))[TRAINING_KEY]
        if held is None:
            raise UserError(f"{path} is of a movie that shows no emitter")
        values = {str(key): _plain(str(key), value) for key, value in held["values"].items()}
        return TrainingConditions(values, {str(key): str(line) for key, line in held["sources"].items()})


def _plain(key: str, value: Any) -> Any:
    """Take a value of a profile as the numbers that it is: a file must not name what is made or run.

    Raises `ValueError` if it is anything else.
    """
    if key == _CAMERAS_KEY:
        return [
            _camera(
                _number(own["offset_adu"], key),
                _number(own["e_per_adu"], key),
                None if own["em_gain"] is None else _number(own["em_gain"], key),
                _number(own["qe"], key),
                _number(own["read_noise_e"], key),
            )
            for own in value
        ]
    if not key.startswith(_NUMBER_KEYS):
        raise ValueError(f"{key} is no condition of a training")
    return _number(value, key)


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} is {value!r:.40}, no number")
    return value


def joint(parts: Sequence[TrainingConditions]) -> TrainingConditions:
    """Return conditions that hold those of several movies.

    Raises `UserError` if their pixel sizes differ.
    """
    if len(parts) == 1:
        return parts[0]
    pixels = [part.values["conditions.pixel_size_nm"] for part in parts]
    if max(pixels) > (1 + _PIXEL_TOLERANCE) * min(pixels):
        raise UserError(
            f"the movies have pixels of {', '.join(f'{pixel:g}' for pixel in pixels)} nm: a network knows one"
            " pixel size, train one for each"
        )
    keys = list(dict.fromkeys(key for part in parts for key in part.values))
    values = {key: _joined(key, [part.values[key] for part in parts if key in part.values]) for key in keys}
    sources = {
        key: "; ".join(dict.fromkeys(part.sources[key] for part in parts if key in part.sources))
        for key in keys
    }
    return TrainingConditions(values, sources)


def at_pixels_of_the_psf(conditions: TrainingConditions) -> TrainingConditions:
    """Return conditions at coarser pixels where the PSF is many pixels wide.

    A network sees a few pixels round each emitter. A wide PSF, at pixels that hold more of it, costs less and
    is found better; `autods localize` rescales the movie to the pixels of its model.

    Light and variance of a pixel grow with its area, the signal-to-noise ratio of a peak with its side.
    """
    values = conditions.values
    pixel_nm, sigma_nm = values["conditions.pixel_size_nm"], values["conditions.psf_sigma_nm.centre"]
    if sigma_nm <= _WIDEST_PX * pixel_nm:
        return conditions
    coarser = sigma_nm / (_WIDTH_PX * pixel_nm)
    powers = {"conditions.pixel_size_nm": 1, "conditions.read_noise_photons": 1}
    powers |= {f"conditions.snr.{end}": 1 for end in ("low", "centre", "high")}
    powers |= {f"conditions.background.{end}": 2 for end in ("low", "centre", "high")}
    scaled = {key: float(f"{values[key] * coarser**power:.4g}") for key, power in powers.items()}
    cameras = [
        {**camera, "read_noise_e": camera["read_noise_e"] * coarser} for camera in values[_CAMERAS_KEY]
    ]
    note = f"at {coarser:.2f} times coarser pixels, for a PSF of {sigma_nm / pixel_nm:.1f} px"
    sources = {
        key: f"{source}, {note}" if key in powers or key == _CAMERAS_KEY else source
        for key, source in conditions.sources.items()
    }
    return TrainingConditions({**values, **scaled, _CAMERAS_KEY: cameras}, sources)


def _joined(key: str, values: list[Any]) -> Any:
    if isinstance(values[0], list):
        return [item for value in values for item in value]
    if key.endswith(".low"):
        return min(values)
    if key.endswith(".centre"):
        return float(np.mean(values))
    return max(values)


def _spread(key: str, limits: tuple[float, float, float], source: str) -> dict[str, tuple[Any, str]]:
    """Return centre, low and high of a `Spread`, to three digits."""
    low, centre, high = (float(f"{value:.3g}") for value in limits)
    named = {"centre": centre, "low": min(low, centre), "high": max(high, centre)}
    return {f"{key}.{name}": (value, source) for name, value in named.items()}


def _density(patches: Sequence[PatchProfile], profile: MovieProfile) -> tuple[float, float, float]:
    sigma_um = 1e-3 * profile.psf_sigma_px * profile.pixel_size_nm
    least = _LEAST_PER_PSF / (2 * math.pi * sigma_um**2)
    values = np.array([patch.density_per_um2 for patch in patches])
    # Most emitters lie in the dense patches.
    centre = max(float((values**2).sum() / values.sum()), least)
    return 0.0, centre, max(_DENSER * centre, 1.5 * float(values.max()))


def _snr(patches: Sequence[PatchProfile], whole: PatchProfile) -> tuple[float, float, float]:
    values = np.array([patch.snr for patch in patches])
    centre = whole.snr if math.isfinite(whole.snr) else float(values.mean())
    high = _BRIGHTER * float(values.max())
    if math.isfinite(whole.brightest_snr):
        high = max(high, whole.brightest_snr / _BRIGHTEST_OVER_MEAN)
    low = max(_DIMMER * float(values.min()), _LEAST_SNR)
    return min(low, centre), centre, max(high, centre)


def _width(profile: MovieProfile) -> tuple[float, float, float]:
    nm = profile.psf_sigma_px * profile.pixel_size_nm
    return nm * (1 - _WIDTH_SPREAD), nm, nm * (1 + _WIDTH_SPREAD)


def _width_source(profile: MovieProfile, seen: str) -> str:
    return {"optics": "wavelength and NA", "typical": "default, not measurable"}.get(
        profile.psf_source, f"{seen}, {profile.psf_source}"
    )


def _light(
    instrument: Instrument, measured: Measured, seen: str, sources: dict[str, str]
) -> dict[str, tuple[Any, str]]:
    """Return background, its structure, and the camera's noise."""
    camera = instrument.camera
    level_adu, noise_adu, valid = _backdrop(measured.scene.sketch())
    if not instrument.gain_known:
        return _unknown_light("default: gain and offset of the camera are not known, and nothing tells them")
    level = camera.to_photons(level_adu)
    noise = np.asarray(noise_adu * camera.photons_per_adu, np.float32)
    gradient, structure = _unevenness(level, noise, valid)
    factor = camera.excess_noise_factor / camera.qe
    read = _read_noise(measured.camera, camera)
    level = level[valid].clip(_LEAST_BACKGROUND)
    low, centre, high = np.percentile(level, [1, 50, 99]).tolist()
    limits = (low / _BACKGROUND_SPREAD, centre, high * _BACKGROUND_SPREAD)
    read_e = float(f"{read * camera.qe * (camera.em_gain or 1.0):.3g}")
    own = _camera(float(np.mean(camera.offset_adu)), camera.e_per_adu, camera.em_gain, camera.qe, read_e)
    gain = f"e_per_adu {sources['camera.e_per_adu']}, em_gain {sources['camera.em_gain']}"
    return {
        **_spread("conditions.background", limits, f"{seen}, offset {sources['camera.offset_adu']}"),
        "conditions.read_noise_photons": (float(f"{read:.3g}"), f"noise {seen}"),
        "conditions.noise_variance_factor": (float(f"{factor:.4g}"), gain),
        _CAMERAS_KEY: ([own], f"{gain}, noise {seen}"),
        "data.simulator.gradient": (gradient, seen),
        "data.simulator.blobs": (max(gradient, structure), seen),
        "data.simulator.structure": (structure, seen),
    }


def _read_noise(seen: CameraEstimate, camera: Camera) -> float:
    """Return the noise that light does not explain, photons; at least what is known of it."""
    known = float(np.mean(np.square(camera.read_noise_photons)))
    level = (seen.background_adu - float(np.mean(camera.offset_adu))) * camera.photons_per_adu
    light = camera.excess_noise_factor / camera.qe * max(level, 0.0)
    variance = (seen.noise_adu * camera.photons_per_adu) ** 2
    return math.sqrt(max(variance - light, known)) if math.isfinite(variance - light) else math.sqrt(known)


def _unknown_light(reason: str) -> dict[str, tuple[Any, str]]:
    """Return the usual ranges: numbers in photons, and relative to a level, need the camera."""
    usual = {"background.centre": 30.0, "background.low": 3.0, "background.high": 600.0}
    usual |= {"read_noise_photons": 1.0, "noise_variance_factor": 1.0}
    shape = {"gradient": 0.3, "blobs": 0.3, "structure": 0.0}
    return {
        **{f"conditions.{name}": (value, reason) for name, value in usual.items()},
        **{f"data.simulator.{name}": (value, reason) for name, value in shape.items()},
        _CAMERAS_KEY: ([_camera(0.0, 1.0, None, 1.0, 0.0)], reason),
    }


def _backdrop(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return background and noise, ADU, and valid pixels (T, Y, X) of a few frames spread over a movie."""
    last = scene.movie.shape[0] - 1
    frames = np.unique(np.linspace(0, last, _SCENE_FRAMES).round().astype(int))
    drops = [scene(int(t), int(t) + 1) for t in frames]
    valid = np.concatenate([drop.valid for drop in drops])
    return (
        np.concatenate([drop.background for drop in drops]),
        np.concatenate([drop.noise for drop in drops]),
        valid if valid.any() else np.ones_like(valid),
    )


def _camera(
    offset_adu: float, e_per_adu: float, em_gain: float | None, qe: float, read_noise_e: float
) -> dict[str, Any]:
    numbers = {"offset_adu": offset_adu, "e_per_adu": e_per_adu, "em_gain": em_gain, "qe": qe}
    return {_TARGET: "autods.core.Camera", **numbers, "read_noise_e": read_noise_e}


def _unevenness(
    level: NDArray[np.float32], noise: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return how far the background (T, Y, X) departs from a constant within training frames, relative to it.

    Planes are fitted to squares of the frames' size; what they leave, less the noise of the map itself, is
    structure. Both are the 95th percentile over the squares.
    """
    gradients, rests = [0.0], [0.0]
    height, width = level.shape[1:]
    side = min(_FRAME_PX, height, width)
    axis = np.linspace(-1, 1, side)
    plane = np.stack([np.ones((side, side)), *np.meshgrid(axis, axis, indexing="ij")], -1).reshape(-1, 3)
    for t in range(len(level)):
        for y in range(0, height - side + 1, side):
            for x in range(0, width - side + 1, side):
                square = (t, slice(y, y + side), slice(x, x + side))
                if valid[square].mean() < 0.9:
                    continue
                values = level[square].astype(np.float64).ravel()
                mean = max(float(values.mean()), _LEAST_BACKGROUND)
                fitted, *_ = np.linalg.lstsq(plane, values, rcond=None)
                rest = float(np.std(values - plane @ fitted))
                own = _MAP_NOISE * float(noise[square].mean())
                gradients.append(float(np.abs(fitted[1:]).max()) / mean)
                rests.append(math.sqrt(max(rest**2 - own**2, 0.0)) / mean)
    gradient, structure = (float(np.percentile(values, 95)) for values in (gradients, rests))
    # Each view draws a deviation up to the given: twice the typical one.
    return (
        round(min(max(gradient, _LEAST_GRADIENT), 1.0), 3),
        round(min(2 * structure, 1.0), 3),
    )
