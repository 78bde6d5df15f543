"""Localizing in depth, block by block, in overlapping tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from autods.core.grid import px_to_nm
from autods.inference import Found, Localizer, stitch, tile_field
from autods.inference.psf_fit import Emitters3D, PsfFit, PsfFitter

#: Side of a tile's core, px.
_TILE_PX = 128
#: Estimates of one frame nearer than this in x and y (px) and in z (nm) are one molecule.
_SAME_PX, _SAME_NM = 0.6, 150.0

Columns = dict[str, NDArray[Any]]


class VolumeLocalizer:
    """Network, stitching and fit in one, for blocks of frames of any size.

    Parameters
    ----------
    localizer
        The trained network.
    fitter
        The fit with the PSF.
    min_significance
        Photons, in standard errors, of a localization at least.
    """

    def __init__(self, localizer: Localizer, fitter: PsfFitter, min_significance: float) -> None:
        self._localizer, self.fitter = localizer, fitter
        self._min_significance = min_significance

    def __call__(self, frames: Tensor, background: Tensor) -> Columns:
        """Localize a block.

        Parameters
        ----------
        frames, background
            (T, Y, X) photons without background, and the background that was removed.

        Returns
        -------
        dict of str to ndarray
            Columns of `LocalizationTable` by name, frames from 0 and positions in nm, both within the block
            and the region, ordered by frame, y, x.
        """
        found = self._find(frames)
        emitters = _emitters(found)
        fit = self.fitter(frames, background, emitters)
        keep = (fit.photons > 0) & (fit.significance >= self._min_significance)
        twins = ~_is_distinct(fit, emitters.frame, keep)
        if twins.any():
            # The photons of two estimates of one molecule are shared between them: fit once more without.
            rows = np.flatnonzero(keep & ~twins)
            found = found.select(rows)
            emitters = _emitters(found)
            fit = self.fitter(frames, background, emitters)
            keep = (fit.photons > 0) & (fit.significance >= self._min_significance)
        return self._columns(found, fit, keep, frames.shape)

    def image(self, columns: Columns, shape: tuple[int, int, int]) -> Tensor:
        """Render localizations of a block into frames (T, Y, X), without background."""
        pixel_nm, n = self.fitter.psf.pixel_size_nm, len(columns["frame"])
        none = np.zeros(n)
        position = (columns["x_nm"] / pixel_nm, columns["y_nm"] / pixel_nm, columns["z_nm"])
        fit = PsfFit(*position, columns["photons"], none, none, none, none, none)
        return self.fitter.image(fit, columns["frame"], shape)

    def _find(self, frames: Tensor) -> Found:
        shape = (int(frames.shape[1]), int(frames.shape[2]))
        margin = max(self._localizer.margin_px // 2, self.fitter.size_px // 2)
        tiles = tile_field(shape, _TILE_PX, margin)
        parts = []
        for tile in tiles:
            y0, x0, y1, x1 = tile.window
            found = self._localizer.localize(frames[:, y0:y1, x0:x1])
            assert found.z_nm is not None
            unknown = np.full(len(found), np.nan)
            std, std_z = found.uncertainty_px, found.uncertainty_z_nm
            parts.append(
                Found(
                    found.frame.numpy().astype(np.int64),
                    found.x_px.numpy().astype(np.float64) + x0,
                    found.y_px.numpy().astype(np.float64) + y0,
                    found.confidence.numpy().astype(np.float64),
                    np.full(len(found), tile.index),
                    unknown if std is None else std.numpy().astype(np.float64),
                    found.z_nm.numpy().astype(np.float64),
                    unknown if std_z is None else std_z.numpy().astype(np.float64),
                )
            )
        return stitch(Found.concatenate(parts), tiles, shape)

    def _columns(self, found: Found, fit: PsfFit, keep: NDArray[np.bool_], shape: torch.Size) -> Columns:
        pixel_nm = self.fitter.psf.pixel_size_nm
        _, height, width = shape
        columns = {
            "frame": found.frame,
            "x_nm": px_to_nm(fit.x_px.clip(0, np.nextafter(width, 0)), pixel_nm),
            "y_nm": px_to_nm(fit.y_px.clip(0, np.nextafter(height, 0)), pixel_nm),
            "z_nm": fit.z_nm,
            "photons": fit.photons,
            "background": fit.background,
            "background_std": fit.background_std,
            "uncertainty_xy_nm": px_to_nm(fit.uncertainty_px, pixel_nm),
            "uncertainty_z_nm": fit.uncertainty_z_nm,
            "confidence": found.confidence,
        }
        columns = {name: values[keep] for name, values in columns.items()}
        order = np.lexsort((columns["x_nm"], columns["y_nm"], columns["frame"]))
        return {name: values[order] for name, values in columns.items()}


def _emitters(found: Found) -> Emitters3D:
    assert found.z_nm is not None
    assert found.uncertainty_z_nm is not None
    return Emitters3D(
        found.frame, found.x_px, found.y_px, found.z_nm, found.uncertainty_px, found.uncertainty_z_nm
    )


def _is_distinct(fit: PsfFit, frame: NDArray[np.int64], considered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell (N,) which estimates stay when of any two at one place the one of fewer photons goes."""
    rows = np.flatnonzero(considered)
    distinct = np.ones(len(frame), bool)
    if len(rows) < 2:
        return distinct
    far = 10.0 + 2 * max(fit.x_px.max(), fit.y_px.max()) / _SAME_PX
    points = np.column_stack([fit.x_px / _SAME_PX, fit.y_px / _SAME_PX, fit.z_nm / _SAME_NM, frame * far])[
        rows
    ]
    for first, second in cKDTree(points).query_pairs(1.0):
        a, b = rows[first], rows[second]
        if distinct[a] and distinct[b]:
            distinct[a if fit.photons[a] < fit.photons[b] else b] = False
    return distinct
