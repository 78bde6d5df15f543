"""``autods profile``: what a movie tells, whole and per patch."""

from __future__ import annotations

from typing import Any

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.cli.folders import default_folder
from autods.configuration.compose import load
from autods.configuration.convert import camera_settings
from autods.configuration.schema import ProfileConfig
from autods.core import OpticalSystem
from autods.estimation.profile import MovieProfile, measure_scene
from autods.io.atomic import write_json
from autods.io.describe import describe_movie
from autods.io.movie import CroppedMovie, open_movie
from autods.pipelines.inputs import profile_patches, resolve_instrument
from autods.pipelines.settings import parse_frames, parse_roi
from autods.pipelines.training_conditions import TRAINING_KEY, conditions_of
from autods.runs.provenance import to_json

#: What is said of the file itself, beside what was measured.
_FILE_LINES = ("format", "series", "pixel size", "optics", "camera")


def run(arguments: Arguments) -> int:
    """Write ``profile.json`` and print a summary."""
    config = load(ProfileConfig, arguments.overrides)
    path = arguments.paths[0]
    optics, camera = config.optics, camera_settings(config.camera)
    with open_movie(path, channel=config.channel, position=config.position) as whole:
        movie = CroppedMovie(whole, parse_frames(config.frames), parse_roi(config.roi))
        instrument = resolve_instrument(whole, optics, camera)
        measured = measure_scene(movie, instrument.optics)
        profile = profile_patches(movie, instrument.optics, config.tiling.patch_um, measured)
        training = None
        if not profile.whole.is_empty:
            training = conditions_of(movie, instrument, measured, profile).to_dict()
    content: dict[str, Any] = {
        "movie": str(path.resolve()),
        "first_frame": movie.first_frame,
        "origin_px": list(movie.origin_px),
        **profile.to_dict(),
        "instrument": to_json(instrument.rows),
        TRAINING_KEY: training,
    }
    target = (arguments.out or default_folder(path)) / "profile.json"
    write_json(target, content)
    found = [f"{name:<14}{text}" for name, text in describe_movie(whole) if name in _FILE_LINES]
    print("\n".join([*_summary(profile, instrument.optics), *found, str(target)]))
    return DONE


def _summary(profile: MovieProfile, optics: OpticalSystem) -> list[str]:
    whole, (n_frames, height, width) = profile.whole, profile.shape
    nm = optics.pixel_size_nm
    filled = [tile.profile for tile in profile.tiles if not tile.profile.is_empty]
    lines = [
        f"movie         {n_frames} frames of {height} x {width} px, {profile.n_measured} of them measured",
        f"density       {whole.density_per_um2:.2f} emitters per um^2 and frame",
        f"SNR           {whole.snr:.1f}",
        f"PSF sigma     {profile.psf_sigma_px * nm:.0f} nm ({profile.psf_source}); pixel {nm:g} nm",
        f"background    {whole.background:.1f} ADU, noise {whole.noise_std:.1f} ADU",
        f"patches       {len(profile.tiles)}, {len(filled)} of them with emitters",
    ]
    if len(filled) > 1:
        density = [patch.density_per_um2 for patch in filled]
        snr = [patch.snr for patch in filled]
        spans = (min(density), max(density), min(snr), max(snr))
        lines.append("over patches  density {:.2f} to {:.2f}, SNR {:.1f} to {:.1f}".format(*spans))
    return lines + [f"note          {note}" for note in profile.notes]
