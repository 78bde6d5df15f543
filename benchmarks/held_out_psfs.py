"""PSFs that no training has seen: real beads, drawn ones, and two outside of what is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
import torch

from autods.calibration.bead_calibration import calibrate_beads, z_positions
from autods.core import Camera, OpticalSystem
from autods.optics import PSFModel, ScalarPSF, SplinePSF, load_psf, save_psf, tabulate
from autods.optics.model_error import CorrectedPSF, ModelError
from autods.optics.phase_masks import astigmatism_mask
from autods.optics.pupil import Pupil
from autods.optics.storage import load_error
from autods.runs.steps import NUMBERS_VERSION
from autods.simulation.random_psfs import FAMILIES, OVERSAMPLING, draw_tables
from autods.training.universal_score import HELD_OUT_SEED

#: Families of the drawn ones; what is left of the random PSFs' families are variants of these.
DRAWN_FAMILIES = ("astigmatic", "double_helix", "tetrapod", "random")
_EMCCD = Camera(offset_adu=100.0, e_per_adu=45.0, em_gain=300.0, qe=0.9)
_MICROSCOPE_A = OpticalSystem(110.0, 670.0, 1.45)
_MICROSCOPE_B = OpticalSystem(100.0, 660.0, 1.49)
#: Slices of a finely scanned stack that are fitted: every fifth.
_STRIDE = 5


@dataclass(frozen=True)
class HeldOutPsf:
    """A PSF as nature has it, and as it is told.

    Parameters
    ----------
    name, family
        For tables.
    truth
        Renders the frames; of beads, the mean bead itself interpolated.
    told
        What a calibration makes of it; of drawn ones, the same.
    z_range_nm
        Depths of the emitters.
    error
        Errors of the calibration; None for drawn ones.
    """

    name: str
    family: str
    truth: PSFModel
    told: PSFModel
    z_range_nm: tuple[float, float]
    error: ModelError | None = None


@dataclass(frozen=True)
class _Stack:
    file: str
    optics: OpticalSystem
    step_nm: float
    reach_nm: float
    camera: Camera | None = None
    stride: int = 1


_STACKS = {
    "beads astigmatic": _Stack("astigmatic/beads.tif", _MICROSCOPE_A, 50.0, 420.0),
    "beads tetrapod": _Stack("tetrapod/beads.tif", _MICROSCOPE_A, 100.0, 1800.0),
    "challenge astigmatic": _Stack("smlm2016/beads_as.tif", _MICROSCOPE_B, 10.0, 500.0, _EMCCD, _STRIDE),
    "challenge double helix": _Stack("smlm2016/beads_dh.tif", _MICROSCOPE_B, 10.0, 500.0, _EMCCD, _STRIDE),
    "challenge 2D": _Stack("smlm2016/beads_2d.tif", _MICROSCOPE_B, 10.0, 400.0, _EMCCD, _STRIDE),
}


def bead_psfs(data: Path, cache: Path) -> list[HeldOutPsf]:
    """Calibrate the bead stacks of a folder of real data.

    Parameters
    ----------
    data
        Folder that holds the stacks.
    cache
        Folder that keeps the calibrations.
    """
    return [_bead_psf(name, stack, data, cache) for name, stack in _STACKS.items()]


def _bead_psf(name: str, stack: _Stack, data: Path, cache: Path) -> HeldOutPsf:
    # What older versions of the program made of the beads is not what is to be tested.
    stem = f"{name.replace(' ', '_')}_{NUMBERS_VERSION}"
    told, true = (cache / f"{stem}_{kind}.h5" for kind in ("told", "true"))
    if not (told.exists() and true.exists()):
        values = tifffile.imread(data / stack.file).astype(np.float32)
        if stack.camera is not None:
            values = np.asarray(stack.camera.to_photons(values), np.float32)
        z_nm = z_positions(len(values), z_step_nm=stack.step_nm)
        result = calibrate_beads(values[:: stack.stride], z_nm[:: stack.stride], stack.optics)
        cache.mkdir(parents=True, exist_ok=True)
        save_psf(result.retrieved.psf, told, {"source": stack.file}, error=result.error)
        save_psf(result.empirical, true, {"source": stack.file})
    truth = load_psf(true)
    assert isinstance(truth, SplinePSF)
    low, high = truth.z_range_nm
    reach = (max(low, -stack.reach_nm), min(high, stack.reach_nm))
    error = load_error(told)
    assert error is not None
    model = CorrectedPSF(load_psf(told), error)
    return HeldOutPsf(name, "beads", truth, tabulate(model, *reach, size_px=61), reach, error)


def drawn_psfs(n: int) -> list[HeldOutPsf]:
    """Draw PSFs with a seed that no training uses."""
    generator = torch.Generator().manual_seed(HELD_OUT_SEED + 1)
    tables, z, pixel, family = draw_tables(n, generator, families=DRAWN_FAMILIES)
    found = []
    for row in range(n):
        depths = z[row]
        psf = SplinePSF(
            tables[row], float(depths[0]), float(depths[1] - depths[0]), float(pixel[row]), OVERSAMPLING
        )
        kind = FAMILIES[int(family[row])]
        found.append(HeldOutPsf(f"{kind} {row}", kind, psf, psf, (float(depths[0]), float(depths[-1]))))
    return found


def foreign_psfs() -> list[HeldOutPsf]:
    """Return a bisected pupil, of no family, and an air objective of an aperture that is never drawn."""
    optics = OpticalSystem(110.0, 640.0, 1.4)
    pupil = Pupil.sample(optics)
    halves = 2.5 * pupil.v.sign() * pupil.u * (pupil.aperture > 0)
    bisected = ScalarPSF(optics, halves, blur_sigma_nm=50.0)
    air = replace(optics, na=0.8, n_immersion=1.0, pixel_size_nm=160.0)
    weak = ScalarPSF(air, astigmatism_mask(Pupil.sample(air), 0.2, 20.0), blur_sigma_nm=50.0)
    found = []
    for name, psf, reach in (("bisected pupil", bisected, 700.0), ("air objective", weak, 1500.0)):
        table = tabulate(psf, -reach, reach, reach / 20, 61, psf.oversampling)
        found.append(HeldOutPsf(name, "outside", table, table, (-reach, reach)))
    return found
