"""Stage drift, and tables of localizations as a localizer would give them of a drifting sample."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import LocalizationTable, UserError
from autods.simulation.photophysics import blink
from autods.simulation.structures import Sample

Floats = NDArray[np.float64]

#: Kinds of drift that `drift_curve` makes.
DRIFTS = ("none", "smooth", "walk", "steps")
#: Size of a step of ``steps``, nm.
STEP_NM = 40.0


def drift_curve(
    kind: str, n_frames: int, amplitude_nm: float, rng: np.random.Generator, n_axes: int = 2
) -> Floats:
    """Draw how a stage drifts.

    Returns (T, n_axes) position of the sample relative to that in frame 0, nm. Raises `UserError` if the kind
    is not known.

    Parameters
    ----------
    kind
        ``none``; ``smooth``: a trend with slow waves; ``walk``: a random walk on top of a trend; ``steps``:
        smooth with three sudden steps of 40 nm.
    n_frames
        Length T of the movie.
    amplitude_nm
        Range of the drift along the axis that drifts most, nm (without the steps).
    rng
        Source of randomness.
    n_axes
        2 for x, y; 3 for x, y, z.
    """
    if kind not in DRIFTS:
        raise UserError(f"drift={kind} is not known: use one of {', '.join(DRIFTS)}")
    time = np.linspace(0.0, 1.0, n_frames)[:, None]
    if kind == "none":
        return np.zeros((n_frames, n_axes))
    curve = rng.normal(size=n_axes) * time
    if kind == "walk":
        curve = curve + rng.normal(size=(n_frames, n_axes)).cumsum(0) / np.sqrt(n_frames)
    else:
        for waves in (0.5, 1.0, 2.0, 4.0):
            phase = rng.uniform(0, 2 * np.pi, n_axes)
            curve = curve + rng.normal(size=n_axes) / (3 * waves) * np.sin(2 * np.pi * waves * time + phase)
    curve = curve * (amplitude_nm / np.ptp(curve, axis=0).max())
    if kind == "steps":
        for moment in rng.uniform(0.1, 0.9, 3):
            direction = rng.normal(size=n_axes)
            curve = curve + STEP_NM * direction / np.linalg.norm(direction) * (time > moment)
    relative: Floats = curve - curve[0]
    return relative


#: The lateral error is this over the square root of the photons, times 1.3 for the background; the axial one
#: is so many times as large.
_PSF_SIGMA_NM, _AXIAL_FACTOR = 130.0, 2.5
#: Localizations at random places, as a share of all; dimmer ones are not seen.
_FALSE_SHARE, _LEAST_PHOTONS = 0.02, 200.0


def drifting_table(
    sample: Sample,
    drift_nm: Floats,
    emitters_per_frame: float,
    photons: float,
    rng: np.random.Generator,
) -> LocalizationTable:
    """Localize a blinking, drifting sample without the images: positions with the errors of photon counting.

    Returns `LocalizationTable`, ordered by frame, y, x.

    Parameters
    ----------
    sample
        Molecules, without drift.
    drift_nm
        (T, 2) or (T, 3) position of the sample in each frame, nm; three columns give a 3D table.
    emitters_per_frame
        Mean number of molecules that shine in a frame.
    photons
        Mean photons of a molecule in a frame.
    rng
        Source of randomness.
    """
    n_frames, n_axes = drift_nm.shape
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    blinks = blink(sample, n_frames, emitters_per_frame, photons, generator)
    found = blinks.during(sample, 0, n_frames).flat()
    frame, xyz, light = (values.numpy() for values in found)
    seen = light > _LEAST_PHOTONS
    frame, xyz, light = frame[seen], xyz[seen].astype(np.float64), light[seen].astype(np.float64)
    false = rng.random(len(frame)) < _FALSE_SHARE
    xyz[false] = rng.uniform(xyz.min(0), xyz.max(0), (int(false.sum()), 3))
    error = 1.3 * _PSF_SIGMA_NM / np.sqrt(light)
    xyz[:, :n_axes] += drift_nm[frame]
    xyz[:, :2] += rng.normal(size=(len(frame), 2)) * error[:, None]
    depth = {}
    if n_axes == 3:
        depth = {
            "z_nm": xyz[:, 2] + rng.normal(size=len(frame)) * _AXIAL_FACTOR * error,
            "uncertainty_z_nm": _AXIAL_FACTOR * error,
        }
    return LocalizationTable.build(
        frame,
        xyz[:, 0],
        xyz[:, 1],
        photons=light,
        background=np.full(len(frame), 20.0),
        sigma_nm=np.full(len(frame), _PSF_SIGMA_NM),
        uncertainty_xy_nm=error,
        confidence=np.where(false, 0.5, 1.0),
        **depth,
    ).sorted()
