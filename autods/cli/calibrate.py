"""``autods calibrate``: from beads, or from blinking molecules, to ``psf.h5``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autods.cli.arguments import Arguments
from autods.cli.faults import DONE
from autods.configuration.compose import load
from autods.configuration.convert import camera_settings
from autods.configuration.convert3d import bead_settings, require_choice
from autods.configuration.schema3d import CalibrateConfig
from autods.core import Camera, OpticalSystem, UserError
from autods.io.movie import Movie, open_movie
from autods.pipelines.settings import CameraSettings, OpticsSettings

if TYPE_CHECKING:
    from torch import Tensor

    from autods.calibration.bead_calibration import BeadCalibration
    from autods.calibration.insitu import InsituSettings
    from autods.configuration.schema3d import InsituConfig


#: Samples across the pupil when a designed mask is the first guess.
MASK_PUPIL_PX = 96


def run(arguments: Arguments) -> int:
    """Calibrate into ``--out`` and print what came out."""
    config = load(CalibrateConfig, arguments.overrides)
    path = arguments.paths[0]
    folder = arguments.out or Path(f"{path.stem}_psf")
    require_choice("method", config.method, ("beads", "insitu"))
    with open_movie(path, channel=config.channel, position=config.position) as movie:
        optics = resolve_optics(config.optics, movie)
        frames = to_photons(movie.read(0, movie.shape[0]), camera_settings(config.camera))
    if config.method == "insitu":
        from autods.calibration.insitu import PUPIL_PX

        source = provenance(path, arguments.equivalent())
        nominal = load_nominal(config, optics, PUPIL_PX)
        return _run_insitu(frames, optics, config.insitu, nominal, folder, source)
    return _run_beads(frames, optics, config, folder, arguments)


def _run_beads(
    stack: NDArray[np.float32],
    optics: OpticalSystem,
    config: CalibrateConfig,
    folder: Path,
    arguments: Arguments,
) -> int:
    from autods.calibration.bead_calibration import calibrate_beads, z_positions
    from autods.calibration.bead_report import write_calibration
    from autods.calibration.field import calibrate_field

    path, wanted = arguments.paths[0], config.calibration
    chosen = bead_settings(wanted, None if config.mask.file is None else MASK_PUPIL_PX)
    z_nm = z_positions(len(stack), wanted.z_step_nm, wanted.z_nm)
    nominal = load_nominal(config, optics, chosen.retrieval.pupil_px or 0)
    result = calibrate_beads(
        stack, z_nm, optics, chosen, None if nominal is None else {"designed mask": nominal}
    )
    variation = calibrate_field(stack, result, optics, chosen) if chosen.over_field else None
    write_calibration(result, folder, provenance(path, arguments.equivalent()), variation)
    print("\n".join(_summary(result, folder)))
    return DONE


def _run_insitu(
    frames: NDArray[np.float32],
    optics: OpticalSystem,
    wanted: InsituConfig,
    nominal: Tensor | None,
    folder: Path,
    source: dict[str, str],
) -> int:
    """Calibrate from the molecules of frames (T, Y, X) into a folder and print what came out."""
    from autods.calibration.insitu import calibrate_insitu
    from autods.calibration.insitu_report import write_insitu
    from autods.calibration.molecules import collect_molecules

    molecules = collect_molecules(frames, wanted.size_px, wanted.max_molecules)
    result = calibrate_insitu(molecules, optics, _insitu_settings(wanted), nominal)
    write_insitu(result, molecules, folder, source)
    low, high = result.axial_scale_range
    print(f"molecules     {len(molecules)}")
    print(f"correlation   mean {result.correlation.mean():.4f}, lowest {result.correlation.min():.4f}")
    print(f"blur sigma    {float(result.psf.blur_sigma_nm):.0f} nm")
    print(f"axial scale   the depths fit as well multiplied by {low:g} to {high:g}")
    if result.is_scale_ambiguous:
        print("note          give a designed mask (mask.file), or beads, to fix the axial scale")
    print("note          molecules alone cannot tell up from down: the first guess decides the sign of z")
    print(folder / "psf.h5")
    return DONE


def _insitu_settings(config: InsituConfig) -> InsituSettings:
    """Turn the settings into the typed ones of the calibration."""
    from autods.calibration.insitu import InsituSettings

    low = -600.0 if config.z_min_nm is None else config.z_min_nm
    high = 600.0 if config.z_max_nm is None else config.z_max_nm
    return InsituSettings(
        z_range_nm=(low, high),
        start_waves=config.start_waves,
        start_angle_deg=config.start_angle_deg,
        rounds=config.rounds,
    )


def load_nominal(config: CalibrateConfig, optics: OpticalSystem, pupil_px: int) -> Tensor | None:
    """Load the designed mask (P, P) on a pupil of P samples; None without a file."""
    from autods.optics.phase_masks import load_mask
    from autods.optics.pupil import Pupil

    mask = config.mask
    if mask.file is None:
        return None
    pupil = Pupil.sample(optics, pupil_px)
    placed = (mask.magnification, mask.focal_length_4f_mm, mask.pixel_um)
    return load_mask(Path(mask.file), optics, pupil, *placed)


def provenance(path: Path, command: str) -> dict[str, str]:
    """Say where a PSF comes from: source, its hash, the command, the version."""
    from autods import __version__
    from autods.runs.provenance import digest_file

    return {
        "source": str(path.resolve()),
        "sha256": digest_file(path).sha256,
        "command": command,
        "autods": __version__,
    }


def _summary(result: BeadCalibration, folder: Path) -> list[str]:
    from autods.calibration.bead_report import direction_note, summary

    found = summary(result)
    numbers, error = found["correlation"], found["model_error_nm"]
    note = direction_note(result.scan_of, result.scan_by)
    used = len(result.beads.accepted)
    return [
        f"beads         {used} of {len(result.beads.beads)} used",
        *(
            f"rejected      at ({b.x_px:.0f}, {b.y_px:.0f}) px: {b.reason}"
            for b in result.beads.beads
            if b.reason
        ),
        f"correlation   mean {numbers['mean']:.4f}, lowest {numbers['lowest']:.4f}",
        f"  masked      mean {numbers['mean_background_masked']:.4f},"
        f" lowest {numbers['lowest_background_masked']:.4f}",
        f"light inside  {100 * float(result.retrieved.inside.mean()):.0f} % within"
        f" {result.beads.volume.shape[-1]} px (photons count all of it)",
        f"blur sigma    {float(result.retrieved.psf.blur_sigma_nm):.0f} nm",
        f"model error   {error['lateral']:.1f} nm laterally, {error['axial']:.1f} nm axially (median over z)",
        f"z convention  {found['z_convention']}",
        str(folder / "psf.h5"),
        *([] if note is None else [note]),
    ]


def resolve_optics(given: OpticsSettings, movie: Movie) -> OpticalSystem:
    """Return the microscope: each number as given, else as the file states it.

    Raises `UserError` naming a number that neither tells.
    """
    stated = movie.metadata
    if given.pixel_size_nm is None:
        stated.square_pixel_nm(movie.path)
    values = {
        name: getattr(given, name) if getattr(given, name) is not None else getattr(stated, name)
        for name in ("pixel_size_nm", "wavelength_nm", "na")
    }
    for name, value in values.items():
        if value is None:
            raise UserError(f"{movie.path} does not state optics.{name}: give optics.{name}=VALUE")
    return OpticalSystem(
        **values, n_immersion=given.n_immersion, n_sample=given.n_sample, nfp_nm=given.nfp_nm
    )


def to_photons(frames: NDArray[np.generic], camera: CameraSettings) -> NDArray[np.float32]:
    """Return frames (T, Y, X) in photons where the camera was given, else in camera values."""
    given = {name: value for name, value in vars(camera).items() if value is not None}
    if not given:
        return frames.astype(np.float32)
    return Camera(**given).to_photons(frames.astype(np.float32))
