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


def drifting_table(
    sample: Sample,
    drift_nm: Floats,
    emitters_per_frame: float,
    photons: float,
    rng: np.random.Generator,
    *,
    psf_sigma_nm: float = 130.0,
    axial_factor: float = 2.5,
    on_frames: float = 2.0,
    false_share: float = 0.02,
    least_photons: float = 200.0,
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
    psf_sigma_nm
        The lateral error (nm) is this over the square root of the photons, times 1.3 for the background.
    axial_factor
        Axial over lateral error.
    on_frames
        Mean on-time, frames.
    false_share
        Localizations at random places, as a share of all.
    least_photons
        Dimmer ones are not seen.
    """
    n_frames, n_axes = drift_nm.shape
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    blinks = blink(sample, n_frames, emitters_per_frame, photons, generator, on_frames=on_frames)
    found = blinks.during(sample, 0, n_frames).flat()
    frame, xyz, light = (values.numpy() for values in found)
    seen = light > least_photons
    frame, xyz, light = frame[seen], xyz[seen].astype(np.float64), light[seen].astype(np.float64)
    false = rng.random(len(frame)) < false_share
    xyz[false] = rng.uniform(xyz.min(0), xyz.max(0), (int(false.sum()), 3))
    error = 1.3 * psf_sigma_nm / np.sqrt(light)
    xyz[:, :n_axes] += drift_nm[frame]
    xyz[:, :2] += rng.normal(size=(len(frame), 2)) * error[:, None]
    depth = {}
    if n_axes == 3:
        depth = {
            "z_nm": xyz[:, 2] + rng.normal(size=len(frame)) * axial_factor * error,
            "uncertainty_z_nm": axial_factor * error,
        }
    return LocalizationTable.build(
        frame,
        xyz[:, 0],
        xyz[:, 1],
        photons=light,
        background=np.full(len(frame), 20.0),
        sigma_nm=np.full(len(frame), psf_sigma_nm),
        uncertainty_xy_nm=error,
        confidence=np.where(false, 0.5, 1.0),
        **depth,
    ).sorted()
