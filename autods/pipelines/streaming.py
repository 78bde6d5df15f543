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
from autods.estimation.empty import noise_peak
from autods.estimation.patch import summarize
from autods.estimation.scene import Scene
from autods.estimation.spots import matched_filter
from autods.estimation.statistics import FrameStatistics, frame_statistics
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
from autods.pipelines.plan import MIN_SIDE_PX, PatchPlan, Plan
from autods.pipelines.settings import Refine, Scope

#: Pixels of a block: 32 MB as float32.
BLOCK_PX = 8_000_000
#: Frames of a patch of lower SNR are never skipped: single emitters do not stand out of the noise there.
SKIP_MIN_SNR = 3.5
#: Share of a block that counts as done once the networks are; the fits follow.
_NETWORK_SHARE = 0.8
#: A block is at most this many frames, so that small movies show progress and resume too.
BLOCK_FRAMES = 256


def block_length(shape: tuple[int, int, int]) -> int:
    """Return the frames of a block; depends on the frame's size only, so that a resumed run cuts alike."""
    return int(np.clip(BLOCK_PX // (shape[1] * shape[2]), 1, BLOCK_FRAMES))


def find_events(white: NDArray[np.float32], psf_sigma_px: float) -> NDArray[np.bool_]:
    """Test which frames of a patch (T, Y, X), in units of the noise, hold emission events: (T,) bool.

    The highest matched-filtered pixel must exceed what noise alone reaches (see `autods.estimation.empty`); a
    patch too small to tell counts as holding some.
    """
    if min(white.shape[1:]) < MIN_SIDE_PX:
        return np.ones(len(white), bool)
    peak = matched_filter(white, psf_sigma_px).max(axis=(1, 2))
    return np.asarray(peak > noise_peak(white[0].size, psf_sigma_px))


def one_frame(statistics: FrameStatistics, index: int) -> FrameStatistics:
    """Return the statistics of one frame."""
    values = {field.name: getattr(statistics, field.name) for field in dataclasses.fields(statistics)}
    return FrameStatistics(**{name: value[index : index + 1] for name, value in values.items()})


def _numbers(predicted: torch.Tensor | None, n: int) -> NDArray[np.float64]:
    """Return what a network predicts, NaN where it does not."""
    return np.full(n, np.nan) if predicted is None else predicted.numpy().astype(np.float64)


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
        self._scope, self._gain_known, self._refine = scope, gain_known, refine
        self._min_significance = min_significance
        pixel_um2 = (plan.optics.pixel_size_nm * 1e-3) ** 2
        self._expected_per_px = np.array([p.profile.density_per_um2 for p in plan.patches]) * pixel_um2
        self._snr = np.array([p.profile.snr for p in plan.patches])
        self._device = next(iter(localizers.values())).device

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

        Returns
        -------
        dict of str to ndarray
            Columns of `LocalizationTable` by name, frames from 0 and positions in nm, both within the block
            and the region, ordered by frame, y, x; and ``used`` (patches, models): frames that each got.
        """
        start = first_frame - before
        backdrop = self.scene(start, start + len(frames), frames)
        around = backdrop.whiten(frames, start)
        own = slice(before, len(around) - after)
        seen = {False: torch.from_numpy(around).to(self._device)}
        if any(localizer.needs_photons for localizer in self._localizers.values()):
            seen[True] = self._photons(np.where(backdrop.valid, frames, backdrop.background))
        values = around[own]
        used = np.zeros((len(self._plan.patches), len(self._plan.cards)), np.int64)
        names = [card.name for card in self._plan.cards]
        parts = []
        for patch in self._plan.patches:
            y0, x0, y1, x1 = patch.tile.core
            for name, chosen in self._choose(patch, values[:, y0:y1, x0:x1]).items():
                used[patch.tile.index, names.index(name)] += len(chosen)
                parts.append(
                    self._find(patch, name, seen[self._localizers[name].needs_photons], chosen, before)
                )
            tell(_NETWORK_SHARE * (patch.tile.index + 1) / len(self._plan.patches))
        shape = (values.shape[1], values.shape[2])
        found = stitch(Found.concatenate(parts), self._plan.tiles, shape)
        observation = Observation.over_scene(
            frames[own],
            backdrop[own],
            self._camera,
            gain_known=self._gain_known,
            device=self._device,
        )
        found = found.select(np.flatnonzero(observation.is_clear(found.frame, found.x_px, found.y_px)))
        return {**self._table(observation, found), "used": used}

    def _photons(self, values: NDArray[Any]) -> torch.Tensor:
        return self._camera.to_photons(torch.from_numpy(np.asarray(values, np.float32)).to(self._device))

    def _choose(self, patch: PatchPlan, core: NDArray[np.float32]) -> dict[str, NDArray[np.int64]]:
        """Return, by model, the frames of the block that it gets; frames without events are left out."""
        is_dim = patch.profile.snr < SKIP_MIN_SNR  # not known (NaN) where the sampled frames are empty
        events = np.arange(len(core)) if is_dim else self._events(core)
        if self._scope == "movie" or not len(events):
            return {patch.choice.card.name: events} if len(events) else {}
        statistics = frame_statistics(core[events], self._plan.psf_sigma_px)
        names = np.array(
            [
                self._plan.choose(
                    summarize(
                        one_frame(statistics, index),
                        core[0].size,
                        self._plan.optics.pixel_size_nm,
                        self._plan.psf_sigma_px,
                        patch.profile.crowding,
                    )
                ).card.name
                for index in range(len(events))
            ]
        )
        return {str(name): events[names == name] for name in np.unique(names)}

    def _events(self, core: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.flatnonzero(find_events(core, self._plan.psf_sigma_px))

    def _find(
        self, patch: PatchPlan, name: str, frames: torch.Tensor, chosen: NDArray[np.int64], before: int
    ) -> Found:
        """Run a model on a patch of some frames behind ``before``; positions in the region's pixels."""
        y0, x0, y1, x1 = patch.tile.window
        wanted = torch.from_numpy(chosen + before)
        found = self._localizers[name].localize(
            frames[:, y0:y1, x0:x1], self._plan.rescalings[name], wanted, self._plan.psf_sigma_px
        )
        light = (found.photons, found.background) if self._localizers[name].needs_photons else (None, None)
        return Found(
            chosen[found.frame.numpy()],
            found.x_px.numpy().astype(np.float64) + x0,
            found.y_px.numpy().astype(np.float64) + y0,
            found.confidence.numpy().astype(np.float64),
            np.full(len(found), patch.tile.index),
            _numbers(found.uncertainty_px, len(found)),
            photons=_numbers(light[0], len(found)),
            background=_numbers(light[1], len(found)),
        )

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
            self._expected_per_px[found.tile],
            self._snr[found.tile],
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
