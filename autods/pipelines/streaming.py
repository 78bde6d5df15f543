"""Localizing a movie block by block, in memory that does not depend on its length."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera
from autods.core.grid import px_to_nm
from autods.estimation.scene import Scene
from autods.inference import (
    Found,
    Localizer,
    Observation,
    fit_amplitudes,
    merge_splits,
    refine_positions,
    required_significance,
    stitch,
)
from autods.pipelines.blocks import Columns, OnShare
from autods.pipelines.plan import Plan
from autods.pipelines.search import Search
from autods.pipelines.settings import Refine, Scope

#: Pixels of a block: 32 MB as float32.
BLOCK_PX = 8_000_000
#: Share of a block that counts as done once the networks are; the fits follow.
_NETWORK_SHARE = 0.8
#: A block is at most this many frames, so that small movies show progress and resume too.
BLOCK_FRAMES = 256


def block_length(shape: tuple[int, int, int]) -> int:
    """Return the frames of a block; depends on the frame's size only, so that a resumed run cuts alike."""
    return int(np.clip(BLOCK_PX // (shape[1] * shape[2]), 1, BLOCK_FRAMES))


def _known(predicted: NDArray[np.float64] | None, fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is predicted, and what is fitted where nothing is."""
    return fitted if predicted is None else np.where(np.isfinite(predicted), predicted, fitted)


def ignore_share(share: float) -> None:
    """Ignore progress."""


class BlockLocalizer:
    """Carries out a plan on blocks of frames.

    Parameters
    ----------
    plan
        The decisions.
    localizers
        The loaded models by name.
    camera
        The camera, its maps cut to the movie's region.
    scene
        Background, noise and valid pixels of the movie's region, over all its frames.
    scope
        Whether models are chosen per patch, or anew for each frame.
    gain_known
        Whether the camera's values can be turned into photons; if not, the noise of the emitters' light is
        taken to be in proportion to that of the level's.
    min_significance
        Photons, in standard errors, of a localization at least; None for what fits the density round it.
    refine
        ``mle`` for maximum-likelihood positions.
    """

    def __init__(
        self,
        plan: Plan,
        localizers: Mapping[str, Localizer],
        camera: Camera,
        scene: Scene,
        *,
        scope: Scope,
        gain_known: bool,
        min_significance: float | None = None,
        refine: Refine = "none",
    ) -> None:
        self._plan, self._localizers, self._camera, self.scene = plan, localizers, camera, scene
        self._gain_known, self._refine = gain_known, refine
        self._min_significance = min_significance
        self._search = Search(plan, localizers, scope, min_significance)
        self.device = next(iter(localizers.values())).device

    @property
    def neighbours(self) -> int:
        """Frames before and after a block that the networks look at."""
        return max(localizer.context // 2 for localizer in self._localizers.values())

    def __call__(
        self,
        frames: NDArray[Any],
        first_frame: int,
        before: int = 0,
        after: int = 0,
        tell: OnShare = ignore_share,
    ) -> Columns:
        """Localize a block.

        Returns columns of `LocalizationTable` by name, frames from 0 and positions in nm, both within the
        block and the region, ordered by frame, y, x; and ``used`` (patches, models): frames that each got.

        Parameters
        ----------
        frames
            (before + T + after, Y, X) camera values: the block between its neighbours.
        first_frame
            Frame of the scene that is the first of the block, neighbours not counted.
        before, after
            Frames at either end that are only looked at; fewer than `neighbours` where the movie ends.
        tell
            Told what share of the block is done, 0 to 1, after each patch.
        """
        start = first_frame - before
        backdrop = self.scene(start, start + len(frames), frames)
        around = backdrop.whiten(frames, start)
        own = slice(before, len(around) - after)
        seen = {False: torch.from_numpy(around).to(self.device)}
        if any(localizer.needs_photons for localizer in self._localizers.values()):
            seen[True] = self._photons(np.where(backdrop.valid, frames, backdrop.background))
        values = around[own]
        observation = Observation.over_scene(
            frames[own],
            backdrop[own],
            self._camera,
            gain_known=self._gain_known,
            device=self.device,
        )
        del backdrop
        # Positions that the networks alone are to tell are not fitted.
        fitted = None if self._refine == "none" else observation
        found, used = self._search(seen, values, before, lambda share: tell(_NETWORK_SHARE * share), fitted)
        shape = (values.shape[1], values.shape[2])
        del around, seen, values
        found = stitch(found, self._plan.tiles, shape)
        found = found.select(np.flatnonzero(observation.is_clear(found.frame, found.x_px, found.y_px)))
        return {**self._table(observation, found), "used": used}

    def _photons(self, values: NDArray[Any]) -> torch.Tensor:
        return self._camera.to_photons(torch.from_numpy(np.asarray(values, np.float32)).to(self.device))

    def _table(self, observation: Observation, found: Found) -> Columns:
        sigma_px, pixel_nm = self._plan.psf_sigma_px, self._plan.optics.pixel_size_nm
        kept, x_px, y_px = merge_splits(observation, found.frame, found.x_px, found.y_px, sigma_px)
        found = dataclasses.replace(found.select(kept), x_px=x_px, y_px=y_px)
        fit = fit_amplitudes(observation, found.frame, found.x_px, found.y_px, sigma_px)
        # A network that predicts its error knows about crowding; the bound takes neighbours' places as exact.
        uncertainty_px = _known(found.uncertainty_px, fit.uncertainty_px)
        columns = {
            "frame": found.frame,
            "x_nm": px_to_nm(found.x_px, pixel_nm),
            "y_nm": px_to_nm(found.y_px, pixel_nm),
            "photons": _known(found.photons, fit.photons),
            "background": _known(found.background, fit.background),
            "background_std": fit.background_std,
            "sigma_nm": np.full(len(found), sigma_px * pixel_nm),
            "uncertainty_xy_nm": px_to_nm(uncertainty_px, pixel_nm),
            "confidence": found.confidence,
        }
        required = self._required(found, fit.significance, observation.light.shape)
        keep = fit.significance >= required
        columns = {name: values[keep] for name, values in columns.items()}
        if self._refine == "none":
            return columns
        spare = (fit.significance / np.maximum(required, 1e-3))[keep]
        return self._refined(observation, found.select(keep), columns, spare)

    def _required(
        self, found: Found, significance: NDArray[np.float64], shape: torch.Size
    ) -> float | NDArray[np.float64]:
        """Return the significance that each localization must have."""
        if self._min_significance is not None:
            return self._min_significance
        return required_significance(
            found.x_px,
            found.y_px,
            significance,
            self._search.expected_per_px[found.tile],
            self._search.snr[found.tile],
            (shape[0], shape[1], shape[2]),
            self._plan.psf_sigma_px,
        )

    def _refined(
        self, observation: Observation, found: Found, columns: Columns, spare: NDArray[np.float64]
    ) -> Columns:
        """Return the columns with refined positions, in order again.

        What lost so much of its light to a neighbour that it would not have been significant (``spare``: how
        many times it was) goes, and what moved onto pixels that measure nothing.
        """
        pixel_nm = self._plan.optics.pixel_size_nm
        fit = refine_positions(
            observation,
            found.frame,
            found.x_px,
            found.y_px,
            columns["photons"],
            columns["background"],
            self._plan.psf_sigma_px,
            predicted_px=found.uncertainty_px,
        )
        height, width = observation.light.shape[-2:]
        refined = {
            "x_nm": px_to_nm(fit.x_px.clip(0, np.nextafter(width, 0)), pixel_nm),
            "y_nm": px_to_nm(fit.y_px.clip(0, np.nextafter(height, 0)), pixel_nm),
            "photons": fit.photons,
            "background": fit.background,
            "uncertainty_xy_nm": px_to_nm(fit.uncertainty_px, pixel_nm),
        }
        good = observation.is_clear(found.frame, fit.x_px, fit.y_px)
        good &= fit.photons * spare >= columns["photons"]
        columns = {name: values[good] for name, values in {**columns, **refined}.items()}
        order = np.lexsort((columns["x_nm"], columns["y_nm"], columns["frame"]))
        return {name: values[order] for name, values in columns.items()}
