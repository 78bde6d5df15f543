"""The first stage of the 3D pipeline: the PSF, from beads, a file, an earlier run or a formula."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autods.calibration.bead_calibration import calibrate_beads, z_positions
from autods.calibration.bead_report import (
    SUMMARY_FILE,
    direction_note,
    save_figure,
    stack_figure,
    write_calibration,
)
from autods.calibration.field import calibrate_field
from autods.calibration.focal_plane import with_focus
from autods.core import OpticalSystem, UserError
from autods.io.movie import open_movie
from autods.optics import PSFModel, PupilPSF, SplinePSF, load_psf, save_psf, tabulate
from autods.optics.field import FieldPSF, FieldVariation
from autods.optics.model_error import CorrectedPSF, ModelError
from autods.optics.storage import load_error, load_variation
from autods.pipelines.inputs import Instrument
from autods.pipelines.settings3d import PsfSettings
from autods.runs.provenance import digest_file
from autods.runs.stages import STAGE_FOLDER
from autods.simulation import PsfRenderer

logger = logging.getLogger(__name__)

PSF_FILE = "psf.h5"
CALIBRATION_FOLDER = "calibration"
#: Side of the table of a formula.
_TABLE_PX = 61

#: Places along each side of the field that have a PSF of their own.
_NODES = 4

Range = tuple[float, float]


@dataclass(frozen=True)
class KnownPsf:
    """A PSF and the depths in which it is used."""

    #: The PSF; a calibrated one shows emitters where the beads were.
    model: PSFModel
    #: Lowest and highest depth, nm from the coverslip.
    z_range_nm: Range
    #: How a diffraction PSF changes over the field; None for not at all.
    variation: FieldVariation | None = None
    #: What its misfit does to positions; None where no calibration measured it.
    error: ModelError | None = None
    #: Side of the squares of pixels in which a network that is told the PSF sees it, px.
    told_bin_px: int = 1

    @property
    def pupil(self) -> PupilPSF | None:
        """The diffraction PSF that a calibration retrieved; None for another."""
        psf = self.model.psf if isinstance(self.model, CorrectedPSF) else self.model
        return psf if isinstance(psf, PupilPSF) else None

    def over_field(self, size_px: int) -> PSFModel:
        """Return a fast PSF that follows the aberrations over the field, in a region of that side."""
        if self.variation is None or self.pupil is None:
            return PsfRenderer.fast(self.model, *self.z_range_nm, size_px=size_px).psf
        return FieldPSF(self.pupil, self.variation, _NODES, self.z_range_nm, size_px, self.error)


def identify(settings: PsfSettings) -> object:
    """Return what tells one source from another, for the stage's key.

    Raises `UserError` if its file does not exist.
    """
    known = settings.beads or settings.file or _run_psf(settings)
    if known is None:
        return settings.formula_text
    if not known.exists():
        raise UserError(f"{known}: there is no such file: correct the path")
    if settings.beads is None:
        return digest_file(known).sha256
    return digest_file(known).sha256, settings.z_step_nm, settings.z_nm, settings.origin, settings.calibration


def calibrate(
    settings: PsfSettings, instrument: Instrument, folder: Path, figure: Path, command: str
) -> dict[str, Any]:
    """Find the PSF, write ``psf.h5`` and a figure, and return what is known of it.

    Returns ``source``, ``covered_nm`` (None if not known), ``z_range_nm``, ``warnings``, and of beads more,
    among it ``direction``, see `direction_note`. Raises `UserError` if something is missing or does not fit.

    Parameters
    ----------
    settings
        The source.
    instrument
        Microscope and camera of the movie (and of the bead stack).
    folder
        Run folder; a bead calibration's own files go to ``calibration/`` there.
    figure
        File of the figure.
    command
        For the provenance.
    """
    results: dict[str, Any] = {"covered_nm": None, "warnings": []}
    optics = instrument.optics
    variation = error = None
    if settings.beads is not None:
        psf, found, variation, error = _from_beads(settings, instrument, folder, command)
        results.update(found)
    elif settings.formula is not None:
        results["source"] = settings.formula_text
        psf = settings.formula(optics)
    else:
        path = settings.file or _run_psf(settings)
        assert path is not None
        psf, error, warnings = _from_file(path, optics)
        variation = load_variation(path)
        results.update(source=str(path), warnings=warnings)
        if settings.run is not None:
            results["covered_nm"] = _depths_of(settings.run)
    low, high = depth_range(settings, results, optics)
    results["z_range_nm"] = [low, high]
    # A formula is kept as its table, for later runs that take this one's PSF.
    kept = psf if isinstance(psf, PupilPSF | SplinePSF) else tabulate(psf, low, high, size_px=_TABLE_PX)
    provenance = {"source": results["source"], "command": command}
    save_psf(kept, folder / PSF_FILE, provenance, variation, error)
    save_figure(stack_figure(psf, np.linspace(low, high, 9)), figure)
    return results


def known_psf(
    settings: PsfSettings, results: dict[str, Any], instrument: Instrument, folder: Path
) -> KnownPsf:
    """Return the PSF of a finished stage."""
    if settings.formula is not None:
        model = settings.formula(instrument.optics)
    else:
        model = load_psf(folder / PSF_FILE)
    z_range = depth_range(settings, results, instrument.optics)
    variation = load_variation(folder / PSF_FILE) if isinstance(model, PupilPSF) else None
    error = load_error(folder / PSF_FILE)
    return KnownPsf(model if error is None else CorrectedPSF(model, error), z_range, variation, error)


def depth_range(settings: PsfSettings, results: dict[str, Any], optics: OpticalSystem) -> Range:
    """Return the depths to work in: as given, else what the beads cover (above the coverslip).

    Raises `UserError` if the range is not known.
    """
    covered = results["covered_nm"]
    low, high = settings.z_min_nm, settings.z_max_nm
    if covered is None and (low is None or high is None):
        raise UserError("the depth range is not known: give psf.z_min_nm and psf.z_max_nm in nm")
    if low is None:
        low = max(covered[0], 0.0) if optics.nfp_nm > 0 else covered[0]
    if high is None:
        high = covered[1]
    if not high > low:
        raise UserError(f"the depths {low:g} to {high:g} nm are no range: give psf.z_min_nm and psf.z_max_nm")
    return low, high


def direction(folder: Path) -> str | None:
    """Say what a run assumed of the direction in which its beads were scanned; None where that is known."""
    file = folder / CALIBRATION_FOLDER / SUMMARY_FILE
    if not file.is_file():
        return None
    found = json.loads(file.read_text())
    return direction_note(found["scan"], found["scan_by"])


def doubts(z_range_nm: Range, results: dict[str, Any]) -> list[str]:
    """Return what a run should say of its PSF: what is assumed of its scan, and depths that no bead shows.

    Parameters
    ----------
    z_range_nm
        Depths that are used, nm.
    results
        Of `calibrate`.
    """
    lines = [] if results.get("direction") is None else [results["direction"]]
    if results["covered_nm"] is None:
        return lines
    low, high = results["covered_nm"]
    # Half a typical slice distance is no extrapolation.
    if z_range_nm[0] < low - 50 or z_range_nm[1] > high + 50:
        lines.append(
            f"depths {z_range_nm[0]:g} to {z_range_nm[1]:g} nm are asked for, the bead stack covers"
            f" {low:.0f} to {high:.0f} nm: beyond that the PSF is extrapolated; give psf.z_min_nm and"
            " psf.z_max_nm within it"
        )
    return lines


def _from_beads(
    settings: PsfSettings, instrument: Instrument, folder: Path, command: str
) -> tuple[PSFModel, dict[str, Any], FieldVariation | None, ModelError]:
    assert settings.beads is not None
    _require_optics(instrument.optics)
    with open_movie(settings.beads) as movie:
        stack = repair(movie.read(0, movie.shape[0]))
    if instrument.gain_known and np.ndim(instrument.camera.offset_adu) == 0:
        stack = np.asarray(instrument.camera.to_photons(stack), np.float32)
    z_nm = z_positions(len(stack), settings.z_step_nm, settings.z_nm)
    # Beads lie on the coverslip: their own focal plane is scanned, the movie's comes in afterwards.
    at_coverslip = replace(instrument.optics, nfp_nm=0.0)
    result = calibrate_beads(stack, z_nm, at_coverslip, settings.calibration)
    variation = (
        calibrate_field(stack, result, at_coverslip, settings.calibration)
        if settings.calibration.over_field
        else None
    )
    source = {"source": str(settings.beads.resolve()), "command": command}
    write_calibration(result, folder / CALIBRATION_FOLDER, source, variation)
    nfp = instrument.optics.nfp_nm
    if settings.origin == "given":
        # The focal plane at the position that the stack calls 0 is the origin, not the bead's focus.
        order = np.argsort(result.z_nm)
        nfp += float(np.interp(0.0, result.z_nm[order], result.scan.nfp_nm.double().numpy()[order]))
    focus = nfp * result.axial_scale
    found = {
        "source": str(settings.beads),
        "correlation": float(result.correlation.mean()),
        "correlation_lowest": float(result.correlation.min()),
        "beads_used": len(result.beads.accepted),
        "scan": result.scan_of,
        "direction": direction_note(result.scan_of, result.scan_by),
        "model_error_nm": [float(np.median(of)) for of in (result.error.lateral_nm, result.error.axial_nm)],
        "light_inside": float(result.retrieved.inside.mean()),
        "covered_nm": [focus + float(result.depth_nm.min()), focus + float(result.depth_nm.max())],
    }
    return with_focus(result.retrieved.psf, nfp), found, variation, result.error.moved(focus)


def _from_file(path: Path, optics: OpticalSystem) -> tuple[PSFModel, ModelError | None, list[str]]:
    """Load a PSF and bring it to the movie's pixel and focal plane."""
    psf, error = load_psf(path, pixel_size_nm=optics.pixel_size_nm), load_error(path)
    warnings = []
    own, wanted = psf.pixel_size_nm, optics.pixel_size_nm
    if abs(own - wanted) > 1e-3 * wanted:
        if not isinstance(psf, PupilPSF):
            raise UserError(
                f"{path}: the PSF has pixels of {own:g} nm, the movie of {wanted:g} nm: calibrate with a bead"
                " stack of the movie's pixel size"
            )
        warnings.append(f"the PSF of {path.name} was resampled from pixels of {own:g} nm to {wanted:g} nm")
        psf = _with_pixel(psf, wanted)
    if isinstance(psf, PupilPSF) and optics.nfp_nm != psf.optics.nfp_nm:
        moved = (optics.nfp_nm - psf.optics.nfp_nm) * optics.n_sample / optics.n_immersion
        error = None if error is None else error.moved(moved)
        psf = with_focus(psf, optics.nfp_nm)
    return psf, error, warnings


def _with_pixel(psf: PupilPSF, pixel_size_nm: float) -> PupilPSF:
    """Copy a diffraction PSF for another camera pixel: the pupil stays, the image is sampled anew."""
    return type(psf)(
        replace(psf.optics, pixel_size_nm=pixel_size_nm),
        psf.phase.detach().clone(),
        psf.amplitude.detach().clone(),
        psf.blur_sigma_nm.detach().clone(),
        supercritical=psf.supercritical,
    )


def _depths_of(run: Path) -> list[float] | None:
    """Return the depths that an earlier run has worked in, for which its network was trained."""
    file = run / STAGE_FOLDER / "calibrate.json"
    if not file.is_file():
        return None
    depths: list[float] | None = json.loads(file.read_text(encoding="utf-8"))["results"].get("z_range_nm")
    return depths


def _run_psf(settings: PsfSettings) -> Path | None:
    return None if settings.run is None else settings.run / PSF_FILE


def _require_optics(optics: OpticalSystem) -> None:
    for name in ("wavelength_nm", "na"):
        if getattr(optics, name) is None:
            raise UserError(f"a calibration needs optics.{name}: give optics.{name}=VALUE")


def repair(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return frames (T, Y, X) as float32, values that are not finite replaced by their frame's median."""
    values = np.asarray(frames, np.float32)
    valid = np.isfinite(values)
    if valid.all():
        return values
    values = values.copy()
    for frame, good in zip(values, valid, strict=True):
        frame[~good] = np.median(frame[good]) if good.any() else 0.0
    return values
