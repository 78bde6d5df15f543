"""Localizing a movie block by block, in memory that does not depend on its length."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autods.core import Camera, LocalizationTable
from autods.core.grid import px_to_nm
from autods.estimation.scene import Scene
from autods.inference import (
    Localizer,
    Observation,
    fit_amplitudes,
    fitting_device,
    merge_splits,
    refine_positions,
    required_significance,
    stitch,
)
from autods.pipelines.blocks import Block, OnShare
from autods.pipelines.plan import Plan
from autods.pipelines.search import Search
from autods.pipelines.settings import Refine, Scope
from autods.representation import Detections

#: Pixels of a block: 32 MB as float32.
BLOCK_PX = 8_000_000
#: Share of a block that counts as done once the networks are; the fits follow.
_NETWORK_SHARE = 0.8
#: A block is at most this many frames, so that small movies show progress and resume too.
BLOCK_FRAMES = 256


def block_length(shape: tuple[int, int, int]) -> int:
    """Return the frames of a block; depends on the frame's size only, so that a resumed run cuts alike."""
    return int(np.clip(BLOCK_PX // (shape[1] * shape[2]), 1, BLOCK_FRAMES))


def _known(predicted: torch.Tensor | None, fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is predicted, and what is fitted where nothing is."""
    if predicted is None:
        return fitted
    values = predicted.numpy()
    return np.where(np.isfinite(values), values, fitted)


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
    ) -> Block:
        """Localize a block.

        Returns `Block`, with frames from 0 and positions within the region, ordered by frame, y, x.

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
        observation, found, used = self.find(frames, first_frame, before, after, tell)
        return Block(self.table(observation, found), used)

    def find(
        self,
        frames: NDArray[Any],
        first_frame: int,
        before: int = 0,
        after: int = 0,
        tell: OnShare = ignore_share,
    ) -> tuple[Observation, Detections, NDArray[np.int64]]:
        """Run the networks over a block (before + T + after, Y, X); arguments as of a call.

        Returns what the fits see of the block, and what `Search` does: detections of all patches, and
        (patches, models) frames that each got.
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
            device=fitting_device(self.device),
        )
        del backdrop
        # Positions that the networks alone are to tell are not fitted.
        fitted = None if self._refine == "none" else observation
        found, used = self._search(seen, values, before, lambda share: tell(_NETWORK_SHARE * share), fitted)
        return observation, found, used

    def _photons(self, values: NDArray[Any]) -> torch.Tensor:
        return self._camera.to_photons(torch.from_numpy(np.asarray(values, np.float32)).to(self.device))

    def table(self, observation: Observation, found: Detections) -> LocalizationTable:
        """Fit what all patches found in a block, see `find`; what is doubled or not significant goes."""
        found = stitch(found, self._plan.tiles, (observation.light.shape[1], observation.light.shape[2]))
        found = found.select(observation.is_clear(*found.places()))
        sigma_px, pixel_nm = self._plan.psf_sigma_px, self._plan.optics.pixel_size_nm
        kept, x_px, y_px = merge_splits(observation, *found.places(), sigma_px)
        found = dataclasses.replace(
            found.select(kept), x_px=torch.from_numpy(x_px), y_px=torch.from_numpy(y_px)
        )
        frame, x_px, y_px = found.places()
        fit = fit_amplitudes(observation, frame, x_px, y_px, sigma_px)
        # A network that predicts its error knows about crowding; the bound takes neighbours' places as exact.
        uncertainty_px = _known(found.uncertainty_px, fit.uncertainty_px)
        table = LocalizationTable(
            frame=frame,
            x_nm=px_to_nm(x_px, pixel_nm),
            y_nm=px_to_nm(y_px, pixel_nm),
            photons=_known(found.photons, fit.photons),
            background=_known(found.background, fit.background),
            background_std=fit.background_std,
            sigma_nm=np.full(len(found), sigma_px * pixel_nm),
            uncertainty_xy_nm=px_to_nm(uncertainty_px, pixel_nm),
            confidence=found.confidence.double().numpy(),
        )
        required = self._required(found, fit.significance, observation.light.shape)
        keep = fit.significance >= required
        table = table.select(keep)
        if self._refine == "none":
            return table
        spare = (fit.significance / np.maximum(required, 1e-3))[keep]
        return self._refined(observation, found.select(keep), table, spare)

    def _required(
        self, found: Detections, significance: NDArray[np.float64], shape: torch.Size
    ) -> float | NDArray[np.float64]:
        """Return the significance that each localization must have."""
        if self._min_significance is not None:
            return self._min_significance
        assert found.tile is not None
        _, x_px, y_px = found.places()
        tile = found.tile.numpy()
        return required_significance(
            x_px,
            y_px,
            significance,
            self._search.expected_per_px[tile],
            self._search.snr[tile],
            (shape[0], shape[1], shape[2]),
            self._plan.psf_sigma_px,
        )

    def _refined(
        self,
        observation: Observation,
        found: Detections,
        table: LocalizationTable,
        spare: NDArray[np.float64],
    ) -> LocalizationTable:
        """Return the table with refined positions, in order again.

        What lost so much of its light to a neighbour that it would not have been significant (``spare``: how
        many times it was) goes, and what moved onto pixels that measure nothing.
        """
        pixel_nm, predicted = self._plan.optics.pixel_size_nm, found.uncertainty_px
        fit = refine_positions(
            observation,
            *found.places(),
            table.photons,
            table.background,
            self._plan.psf_sigma_px,
            predicted_px=None if predicted is None else predicted.numpy(),
        )
        height, width = observation.light.shape[-2:]
        refined = dataclasses.replace(
            table,
            x_nm=px_to_nm(fit.x_px.clip(0, np.nextafter(width, 0)), pixel_nm),
            y_nm=px_to_nm(fit.y_px.clip(0, np.nextafter(height, 0)), pixel_nm),
            photons=fit.photons,
            background=fit.background,
            uncertainty_xy_nm=px_to_nm(fit.uncertainty_px, pixel_nm),
        )
        good = observation.is_clear(table.frame, fit.x_px, fit.y_px)
        good &= fit.photons * spare >= table.photons
        return refined.select(good).sorted()
