"""How crowded the emitters of a patch are, as the generalist of the zoo sees them in a few frames.

Counting maxima cannot tell: where structures are thinner than the resolution, emitters merge, and on
mitochondria-like samples they meet five to eight times the patch's mean density, of which statistics of the
frames show two. A network that was trained for all densities separates most of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autods.core.grid import px_to_nm
from autods.estimation.patch import PatchProfile
from autods.estimation.scene import WhiteMovie
from autods.inference import Localizer, Rescaling, Tile
from autods.inference.places import WINDOW_COST_PX, Places, correlate_psf, cover, find_places

#: Frames that are looked at.
N_FRAMES = 5
#: Neighbours within this distance count, in PSF standard deviations: farther ones do not disturb.
RADIUS_SIGMAS = 2.7


def with_crowding(
    profiles: Sequence[PatchProfile],
    wanted: Sequence[bool],
    movie: WhiteMovie,
    tiles: Sequence[Tile],
    generalist: Localizer,
    rescaling: Rescaling,
    psf_sigma_px: float,
    pixel_size_nm: float,
) -> list[PatchProfile]:
    """Return the patches' profiles with the crowding that a network sees.

    Parameters
    ----------
    profiles
        Of the patches; empty ones stay as they are.
    wanted
        Which patches are to be looked at; the others stay as they are, too.
    movie
        The movie in units of its noise, some frames of which are read.
    tiles
        The patches.
    generalist
        A network for all conditions that looks at single frames of any unit.
    rescaling
        How frames are brought to its optics.
    psf_sigma_px
        PSF standard deviation, px.
    pixel_size_nm
        Camera pixel, nm.
    """
    looked_at = [want and profile.density_per_um2 > 0 for want, profile in zip(wanted, profiles, strict=True)]
    if not any(looked_at):
        return list(profiles)
    n_frames = movie.shape[0]
    chosen = np.unique(np.linspace(0, n_frames - 1, min(N_FRAMES, n_frames)).round().astype(int)).tolist()
    frames = np.concatenate([movie.read(t, t + 1) for t in chosen])
    radius_px = RADIUS_SIGMAS * psf_sigma_px
    sees_windows = generalist.sees_windows(rescaling, (movie.shape[1], movie.shape[2]))
    places = find_places(correlate_psf(frames, psf_sigma_px)) if sees_windows else None
    changed = []
    for tile, profile, is_looked_at in zip(tiles, profiles, looked_at, strict=True):
        if not is_looked_at:
            changed.append(profile)
            continue
        found = _found(frames, tile, generalist, rescaling, psf_sigma_px, places)
        met_per_px = _met_density(found, tile, radius_px)
        met_per_um2 = met_per_px / (float(px_to_nm(1.0, pixel_size_nm)) * 1e-3) ** 2
        changed.append(dataclasses.replace(profile, crowding=met_per_um2 / profile.density_per_um2))
    return changed


def _found(
    frames: NDArray[np.float32],
    tile: Tile,
    localizer: Localizer,
    rescaling: Rescaling,
    psf_sigma_px: float,
    places: Places | None,
) -> NDArray[np.float64]:
    """Return (3, N) x and y, px of the field, and frame of the emitters in a patch."""
    y0, x0, y1, x1 = tile.window
    window = torch.from_numpy(frames[:, y0:y1, x0:x1])
    near = None if places is None else cover(places.within(tile.window, 0), frames.shape)
    if near is not None and len(near) * WINDOW_COST_PX < window.numel():
        measured = [values.expand(len(near), -1) for values in localizer.measure(window)]
        found = localizer.localize_at(
            torch.from_numpy(frames), near, psf_sigma_px, (measured[0], measured[1])
        )
        x0, y0 = 0, 0
    else:
        found = localizer.localize(window, rescaling, psf_sigma_px=psf_sigma_px)
    return np.stack([found.x_px.numpy() + x0, found.y_px.numpy() + y0, found.frame.numpy()])


def _met_density(found: NDArray[np.float64], tile: Tile, radius_px: float) -> float:
    """Return neighbours of an emitter in the patch's core per px^2, 0 without emitters."""
    x, y, frame = found
    top, left, bottom, right = tile.core
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    if not inside.any():
        return 0.0
    # Frames lie far apart along a third axis.
    places = np.column_stack([x, y, frame * 10.0 * radius_px])
    near = cKDTree(places).query_ball_point(places[inside], radius_px, return_length=True) - 1
    return float(near.mean() / (np.pi * radius_px**2))
