"""Bead stacks with a known pupil."""

import numpy as np
import torch

from autods.core import OpticalSystem
from autods.optics import ScalarPSF
from autods.optics.phase_masks import double_helix_mask, tetrapod_mask, zernike_mask
from autods.optics.pupil import Pupil

OPTICS = OpticalSystem(110, 670, 1.4)
PUPIL_PX = 48
BLUR_NM = 90.0


def known_phase(kind, seed=0):
    """Phase (48, 48) of a random sum of Zernikes of 0.1 waves rms, a Tetrapod or a double helix."""
    pupil = Pupil.sample(OPTICS, PUPIL_PX)
    if kind == "tetrapod":
        return tetrapod_mask(pupil, angle_deg=20.0)
    if kind == "double helix":
        return double_helix_mask(pupil, angle_deg=30.0)
    weights = np.random.default_rng(seed).normal(size=11)
    weights *= 0.1 / np.linalg.norm(weights)
    return zernike_mask(pupil, {index: float(w) for index, w in enumerate(weights, 5)})


def bead_stack(phase, z_nm, size=31, photons=1e4, background=10.0, seed=0, offset_nm=(30.0, -20.0), sign=1.0):
    """Poisson images (Z, S, S) of one bead on the coverslip at focal planes `z_nm`."""
    psf = ScalarPSF(OPTICS, phase, blur_sigma_nm=BLUR_NM)
    focus = torch.from_numpy(sign * np.asarray(z_nm)).float()
    xyz = torch.tensor([[*offset_nm, 0.0]]).expand(len(focus), 3)
    with torch.no_grad():
        mean = photons * psf(xyz, size, focus) + background
    return np.random.default_rng(seed).poisson(mean.clamp(min=0).numpy()).astype(np.float32)


def field_of_beads(centres_px, shape=(21, 96, 96), step_nm=60.0, size=31, phase=None, photons=1e4, seed=0):
    """Stack with beads at given corner-pixel centres (x, y), and its z positions."""
    z = (np.arange(shape[0]) - (shape[0] - 1) / 2) * step_nm
    stack = np.random.default_rng(seed + 100).poisson(10.0, shape).astype(np.float32)
    phase = known_phase("zernike") if phase is None else phase
    half = size // 2
    for number, (x, y) in enumerate(centres_px):
        column, row = int(x), int(y)
        offset = ((x - column - 0.5) * OPTICS.pixel_size_nm, (y - row - 0.5) * OPTICS.pixel_size_nm)
        bead = bead_stack(phase, z, size, photons, 0.0, seed + number, offset)
        rows = slice(max(row - half, 0), min(row + half + 1, shape[1]))
        columns = slice(max(column - half, 0), min(column + half + 1, shape[2]))
        inner = bead[
            :,
            rows.start - row + half : rows.stop - row + half,
            columns.start - column + half : columns.stop - column + half,
        ]
        stack[:, rows, columns] += inner
    return stack, z
