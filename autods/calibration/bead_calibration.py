"""From a stack of beads to a calibrated PSF."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.calibration.beads import BeadStack, collect_beads
from autods.calibration.empirical import axial_scale, empirical_psf
from autods.calibration.model_error import model_error
from autods.calibration.quality import corner_statistics, masked_correlation, slice_correlation
from autods.calibration.retrieval import PupilFit, RetrievalSettings, Retrieved, Scan, noise_weights
from autods.calibration.slices import recorded_slices, warn_about_positions
from autods.core import OpticalSystem, UserError
from autods.core.quantities import require_plausible
from autods.optics.extent import fitted_size_px
from autods.optics.model_error import ModelError
from autods.optics.phase_masks import astigmatism_mask, double_helix_mask, tetrapod_mask
from autods.optics.pupil import Pupil
from autods.optics.spline import SplinePSF

_log = logging.getLogger(__name__)

#: A first fit whose held-out slices correlate worse than this tries other starting masks.
_POOR = 0.95
_HOLD_OUT = 5
#: Held-out correlation that light beyond the critical angle must bring to be kept.
_GAIN = 1e-3
#: Indices that differ by less make no difference; a reading that leaves so many times less is the right one.
_MISMATCH, _DECIDES = 0.02, 1.25
_RATES = {"zernike": 0.05, "position": 0.02, "log_blur": 0.02, "apodisation": 0.03}


@dataclass(frozen=True)
class BeadSettings:
    """How a bead stack is read and fitted."""

    #: Side of the cut-out around a bead, px; None measures it.
    size_px: int | None = None
    #: Camera value at which pixels saturate, ADU; None looks for a plateau.
    saturation_adu: float | None = None
    #: What the z positions are: "objective", the focal plane's height, growing into the sample; "stage" (or
    #: "sample"), the stage's height, which is the reverse; "emitter", the bead's own depth in the sample's
    #: medium, under a focal plane that stays and is fitted; "auto", the objective's, or the emitter's depth
    #: where the mismatch of the refractive indices says so.
    scan: Literal["auto", "objective", "stage", "sample", "emitter"] = "auto"
    #: The fit itself.
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    #: Of the slices drawn in each step.
    seed: int = 0
    #: Whether each bead tells of the aberrations at its place, see `autods.calibration.field`.
    over_field: bool = False


@dataclass(frozen=True)
class BeadCalibration:
    """Everything a calibration found."""

    #: Candidates and their registered mean.
    beads: BeadStack
    #: (Z,) positions as given, nm.
    z_nm: NDArray[np.float64]
    #: What was scanned, see `BeadSettings.scan`, and how that is known: "given", "data" or "assumed".
    scan_of: str
    scan_by: Literal["given", "data", "assumed"]
    #: Focal plane and depth of the bead in each slice, as the calibrated PSF wants them.
    scan: Scan
    #: (Z,) depth at which an emitter, with the objective at 0, looks like the bead in each slice, nm; when
    #: focal planes were scanned, 0 is where the bead is in focus.
    depth_nm: NDArray[np.float64]
    #: Displacement of an emitter that looks like 1 nm of focal displacement.
    axial_scale: float
    #: The fitted pupil and the model of the stack.
    retrieved: Retrieved
    #: Cubic-spline PSF of the mean bead, free of any model.
    empirical: SplinePSF
    #: What the model's misfit does to positions.
    error: ModelError
    #: (Z,) of model and mean bead, raw and with the background masked.
    correlation: NDArray[np.float64]
    correlation_masked: NDArray[np.float64]
    #: Name of the starting mask that won.
    start: str
    #: Of the slices left out while starts were compared, by start.
    held_out_correlation: dict[str, float]


def z_positions(
    n_slices: int, z_step_nm: float | None = None, z_nm: str | None = None
) -> NDArray[np.float64]:
    """Positions (n_slices,) of the slices of a stack, nm.

    Raises `UserError` if neither or both are given, the text cannot be read, N is not the number of slices,
    or the positions do not differ.

    Parameters
    ----------
    n_slices
        Slices in the file.
    z_step_nm
        Equal steps, centred on 0, nm.
    z_nm
        ``START:STOP:N``, both ends included, nm.
    """
    if (z_step_nm is None) == (z_nm is None):
        raise UserError(
            "calibration: give the z positions as calibration.z_step_nm=STEP or calibration.z_nm=START:STOP:N"
        )
    if z_step_nm is not None:
        if z_step_nm == 0 or not math.isfinite(z_step_nm):
            raise UserError(f"calibration.z_step_nm={z_step_nm}: give the distance of the slices in nm")
        require_plausible("z_step_nm", z_step_nm, "calibration.z_step_nm")
        return np.asarray((np.arange(n_slices) - (n_slices - 1) / 2) * z_step_nm, np.float64)
    assert z_nm is not None
    try:
        first, last, count = z_nm.split(":")
        start, stop, number = float(first), float(last), int(count)
    except ValueError as error:
        raise UserError(f"calibration.z_nm={z_nm}: write START:STOP:N, for instance -750:750:151") from error
    if number != n_slices:
        raise UserError(
            f"calibration.z_nm={z_nm} names {number} positions, the stack has {n_slices} slices: correct N"
        )
    if start == stop:
        raise UserError(
            f"calibration.z_nm={z_nm}: START and STOP are equal: give the range of the scan in nm"
        )
    if number > 1:
        require_plausible("z_step_nm", (stop - start) / (number - 1), f"the step of calibration.z_nm={z_nm}")
    return np.linspace(start, stop, number)


def calibrate_beads(
    stack: NDArray[np.generic],
    z_nm: NDArray[np.float64],
    optics: OpticalSystem,
    settings: BeadSettings | None = None,
    nominal_mask: Mapping[str, Tensor] | None = None,
) -> BeadCalibration:
    """Calibrate the PSF from a z-stack of beads on the coverslip.

    Raises `UserError` if the stack is flat, holds no usable bead, or the positions do not belong to it.

    Parameters
    ----------
    stack
        (Z, Y, X) camera values (or photons); slices that hold no image are left out with a warning.
    z_nm
        (Z,) positions, see `BeadSettings.scan`.
    optics
        Microscope; `na` and `wavelength_nm` are needed.
    settings
        Defaults when None.
    nominal_mask
        Named starting phases (P, P) of which the first is tried first, for instance the designed mask; None
        starts from a flat pupil.
    """
    settings = settings or BeadSettings()
    if len(z_nm) != len(stack):
        raise UserError(
            f"calibration: {len(z_nm)} z positions for a stack of {len(stack)} slices: correct them"
        )
    values = np.asarray(stack, np.float32)
    recorded, reasons = recorded_slices(values)
    if reasons and recorded.sum() >= 5:
        _log.warning("%d of %d slices left out: %s", len(reasons), len(stack), "; ".join(reasons))
        values, z_nm = values[recorded], z_nm[recorded]
    step = float(np.mean(np.diff(z_nm)))
    beads = collect_beads(values, settings.size_px, step, settings.saturation_adu)
    warn_about_positions(beads.volume, z_nm)
    data = torch.from_numpy(beads.volume.astype(np.float32))
    with single_thread():
        found, scan_of, scan_by = _fit_scans(data, z_nm, optics, settings, nominal_mask)
    retrieved, scan = found.fit.result(), found.fit.scan
    if scan_of != "emitter":  # whose focal plane the PSF holds
        scan = Scan(scan.nfp_nm + retrieved.z_offset_nm, scan.depth_nm)
    focal_planes = scan.nfp_nm.double().numpy()
    scale = axial_scale(retrieved.psf, focal_planes, beads.volume.shape[-1])
    depth = scan.depth_nm.double().numpy() - scale * focal_planes
    volume = np.asarray(beads.volume, np.float32)
    empirical = empirical_psf(volume, depth, retrieved, optics.pixel_size_nm)
    fitted_px = fitted_size_px(retrieved.psf, depth.min(), depth.max(), volume.shape[-1])
    return BeadCalibration(
        beads=beads,
        z_nm=z_nm,
        scan_of=scan_of,
        scan_by=scan_by,
        scan=scan,
        depth_nm=depth,
        axial_scale=scale,
        retrieved=retrieved,
        empirical=empirical,
        error=model_error(retrieved.psf, empirical, scan, depth, volume.shape[-1], fitted_px),
        correlation=slice_correlation(retrieved.model, volume),
        correlation_masked=masked_correlation(retrieved.model, volume),
        start=found.start,
        held_out_correlation=found.held_out,
    )


@dataclass(frozen=True)
class _Found:
    """A fit, the name of the start that it came from, and the held-out correlation of each start."""

    fit: PupilFit
    start: str
    held_out: dict[str, float]

    @property
    def unexplained(self) -> float:
        """What the held-out slices lack to a correlation of 1."""
        return 1 - self.held_out[self.start]


def _fit_scans(
    data: Tensor,
    z_nm: NDArray[np.float64],
    optics: OpticalSystem,
    settings: BeadSettings,
    nominal: Mapping[str, Tensor] | None,
) -> tuple[_Found, str, Literal["given", "data", "assumed"]]:
    """Fit the stack as what is scanned, or as what explains it best; tell which, and how that is known.

    Objective and stage are conjugate twins and explain a stack equally well. A bead that itself moves in a
    medium of another index is defocused by another function of the aperture, which bright beads show.
    """
    if settings.scan != "auto":
        scan = Scan.of(z_nm, settings.scan)
        return _fit_pupil(data, scan, optics, settings, nominal), settings.scan, "given"
    found = _fit_pupil(data, Scan.of(z_nm, "objective"), optics, settings, nominal)
    if abs(optics.n_sample - optics.n_immersion) < _MISMATCH:
        return found, "objective", "assumed"
    other = _fit_pupil(data, Scan.of(z_nm, "emitter"), optics, settings, nominal)
    if other.unexplained * _DECIDES < found.unexplained:
        return other, "emitter", "data"
    return found, "objective", "assumed"


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep torch on one thread for a while.

    These tensors are small, and threads that wait for each other on a busy machine cost many times what they
    bring.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit_pupil(
    data: Tensor,
    scan: Scan,
    optics: OpticalSystem,
    settings: BeadSettings,
    nominal: Mapping[str, Tensor] | None,
) -> _Found:
    """Fit from one start, from several when that is poor, and finish the best on all slices."""
    retrieval, generator = settings.retrieval, np.random.default_rng(settings.seed)
    noise = torch.from_numpy(corner_statistics(data.numpy())[1]).to(torch.float32)
    weight = noise_weights(data, noise, retrieval.loss)
    everything = torch.arange(len(data))
    held_out = everything[_HOLD_OUT // 2 :: _HOLD_OUT]
    seen = everything[~torch.isin(everything, held_out)]
    rates = dict(_RATES) if retrieval.method == "zernike" else {**_RATES, "phase": 0.1}

    def begin(
        phase: Tensor | None, steps: int, chosen: RetrievalSettings = retrieval
    ) -> tuple[PupilFit, float]:
        fit = PupilFit(data, scan, weight, optics, chosen, phase)
        fit.descend(rates, steps, seen, generator)
        model = fit.render()[0]
        return fit, float(slice_correlation(model[held_out].numpy(), data[held_out].numpy()).mean())

    starts: dict[str, Tensor | None] = {"flat": None, **(nominal or {})}
    names = [*(nominal or {}), "flat"]
    half = max(retrieval.steps // 2, 1)
    fits = {names[0]: begin(starts[names[0]], half)}
    # A bead on the coverslip shows evanescent light; one that moves through the sample does not.
    at_coverslip = not bool(scan.depth_nm.any())
    if retrieval.supercritical is None and at_coverslip and (optics.na or 0) > optics.n_sample:
        wide = replace(retrieval, supercritical=True)
        other = begin(starts[names[0]], half, wide)
        if other[1] > fits[names[0]][1] + _GAIN:
            fits, retrieval = {names[0]: other}, wide
    if fits[names[0]][1] < _POOR:
        starts.update(_starting_masks(fits[names[0]][0].psf.pupil))
        for name in [other for other in starts if other not in fits]:
            fits[name] = begin(starts[name], max(retrieval.steps // 4, 1), retrieval)
            _log.info("start %s: held-out correlation %.4f", name, fits[name][1])
    scores = {name: score for name, (_, score) in fits.items()}
    best = max(scores, key=lambda name: scores[name])
    fit = fits[best][0]
    fit.weight = noise_weights(data, noise, retrieval.loss, fit.render()[0])
    if retrieval.fit_amplitude:
        rates["log_amplitude"] = 0.03
    return _Found(_finish(fit, rates, everything, generator), best, scores)


def _finish(
    fit: PupilFit, rates: dict[str, float], slices: Tensor, generator: np.random.Generator
) -> PupilFit:
    """Fit on all slices; where the phase has torn also from its mended copy, and keep the better."""
    steps = max(fit.settings.steps // 2, 1)
    other = fit.mended() if "phase" in rates else None
    fit.descend(rates, steps, slices, generator)
    if other is None:
        return fit
    other.descend(_RATES, max(steps // 2, 1), slices, generator)
    other.descend(rates, steps, slices, generator)
    with torch.no_grad():
        return other if other.loss(slices) < fit.loss(slices) else fit


def _starting_masks(pupil: Pupil) -> dict[str, Tensor]:
    """Masks that reach the usual engineered PSFs from where a flat pupil gets stuck."""
    return {
        "astigmatism 0": astigmatism_mask(pupil, 0.15, 0.0),
        "astigmatism 90": astigmatism_mask(pupil, 0.15, 90.0),
        "tetrapod 0": tetrapod_mask(pupil),
        "tetrapod 45": tetrapod_mask(pupil, angle_deg=45.0),
        "double helix 0": double_helix_mask(pupil),
        "double helix 90": double_helix_mask(pupil, angle_deg=90.0),
    }
