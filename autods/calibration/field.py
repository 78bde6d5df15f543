"""Aberrations over the field, from the beads at their places."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from autods.calibration.bead_calibration import BeadCalibration, BeadSettings, single_thread
from autods.calibration.beads import Bead, cut_out
from autods.calibration.quality import corner_statistics
from autods.calibration.retrieval import PupilFit, noise_weights
from autods.core import OpticalSystem, UserError
from autods.optics.field import FieldVariation, field_terms

#: Modes that are fitted to each bead, Noll: astigmatism to spherical aberrations of second order.
_NOLL = tuple(range(5, 16))
_STEPS = 120
_RATES = {"zernike": 0.05, "position": 0.02}
#: Beads that polynomials of order 1 and 2 need.
_LINEAR, _QUADRATIC = 4, 9


def calibrate_field(
    stack: NDArray[np.floating],
    calibration: BeadCalibration,
    optics: OpticalSystem,
    settings: BeadSettings | None = None,
) -> FieldVariation:
    """Fit Zernike modes to every bead, on top of the common pupil, and polynomials of the place to these.

    Raises `UserError` if there are fewer than four beads.

    Parameters
    ----------
    stack
        (Z, Y, X) the stack that was calibrated.
    calibration
        Its result: mean bead, common pupil, places of the beads.
    optics
        Microscope.
    settings
        Of the calibration.
    """
    beads = calibration.beads.accepted
    if len(beads) < _LINEAR:
        raise UserError(
            f"calibration.field: {len(beads)} beads do not tell how the PSF changes over the field:"
            f" at least {_LINEAR} are needed, well spread"
        )
    settings = settings or BeadSettings()
    with single_thread():
        modes = np.array([_modes(stack, bead, calibration, optics, settings) for bead in beads])
    pixel_nm, (height, width) = optics.pixel_size_nm, stack.shape[1:]
    half = (0.5 * width * pixel_nm, 0.5 * height * pixel_nm)
    x, y = (
        (np.array([getattr(bead, name) for bead in beads]) * pixel_nm - middle) / middle
        for name, middle in zip(("x_px", "y_px"), half, strict=True)
    )
    terms = field_terms(x, y, 2 if len(beads) >= _QUADRATIC else 1)
    waves = np.linalg.lstsq(terms, modes, rcond=None)[0]
    return FieldVariation(_NOLL, waves, half, half)


def _modes(
    stack: NDArray[np.floating],
    bead: Bead,
    calibration: BeadCalibration,
    optics: OpticalSystem,
    settings: BeadSettings,
) -> NDArray[np.float64]:
    """Return (M,) modes of one bead, waves rms."""
    common = calibration.retrieved
    side = calibration.beads.volume.shape[-1]
    data = torch.from_numpy(cut_out(stack, (bead.x_px, bead.y_px), side).astype(np.float32))
    noise = torch.from_numpy(corner_statistics(data.numpy())[1]).to(torch.float32)
    retrieval = replace(
        settings.retrieval,
        method="zernike",
        zernike_max=_NOLL[-1],
        model="scalar" if type(common.psf).__name__ == "ScalarPSF" else "vectorial",
        supercritical=common.psf.supercritical,
        pupil_px=int(common.psf.phase.shape[-1]),
    )
    weight = noise_weights(data, noise, retrieval.loss)
    fit = PupilFit(data, calibration.scan, weight, optics, retrieval, common.psf.phase.detach())
    fit.parameters["log_amplitude"] = common.psf.amplitude.detach().clamp_min(1e-3).log()
    fit.parameters["log_blur"] = (common.psf.blur_sigma_nm.detach() / 100.0).log()
    generator = np.random.default_rng(settings.seed)
    fit.descend(dict(_RATES), _STEPS, torch.arange(len(data)), generator)
    return np.asarray(fit.parameters["zernike"].double().numpy() / (2 * math.pi), np.float64)
