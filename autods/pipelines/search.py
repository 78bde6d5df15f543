"""Running the networks over a block of frames: whole patches where they are crowded, else windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from autods.estimation.empty import noise_peak
from autods.estimation.patch import summarize
from autods.estimation.spots import matched_filter
from autods.estimation.statistics import FrameStatistics, frame_statistics
from autods.inference import Localizer, Observation, refine_positions
from autods.inference.places import (
    LEAST_HEIGHT,
    WINDOW_COST_PX,
    Places,
    correlate_psf,
    cover,
    find_places,
    promising,
)
from autods.pipelines.plan import MIN_SIDE_PX, PatchPlan, Plan
from autods.pipelines.settings import Scope
from autods.representation import Detections

#: Frames of a patch of lower SNR are never skipped: single emitters do not stand out of the noise there.
SKIP_MIN_SNR = 3.5
#: A place so far from all others, px, and so high holds one emitter, if one fits with a lower misfit.
_ALONE_PX, _SURE_HEIGHT, _SINGLE_MISFIT = 8.0, 8.0, 2.0
#: A patch also looks at places so far outside of its core: a bright emitter there may hide one within, px.
_REACH_PX = 4


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


class Search:
    """Finds the emitters of blocks of frames as a plan tells.

    Parameters
    ----------
    plan
        The decisions.
    localizers
        The loaded models by name.
    scope
        Whether models are chosen per patch, or anew for each frame.
    min_significance
        Significance that the user asks for; None for what fits the density. Below `LEAST_HEIGHT` the noise is
        wanted too, and all pixels are looked at.
    """

    def __init__(
        self,
        plan: Plan,
        localizers: Mapping[str, Localizer],
        scope: Scope,
        min_significance: float | None = None,
    ) -> None:
        self._plan, self._localizers, self._scope = plan, localizers, scope
        self._min_significance = min_significance
        pixel_um2 = (plan.optics.pixel_size_nm * 1e-3) ** 2
        #: Emitters per pixel and frame that are expected in each patch, and their peak over the noise.
        self.expected_per_px = np.array([p.profile.density_per_um2 for p in plan.patches]) * pixel_um2
        self.snr = np.array([p.profile.snr for p in plan.patches])

    def __call__(
        self,
        seen: Mapping[bool, torch.Tensor],
        white: NDArray[np.float32],
        before: int,
        tell: Callable[[float], None],
        observation: Observation | None = None,
    ) -> tuple[Detections, NDArray[np.int64]]:
        """Search a block.

        Parameters
        ----------
        seen
            (before + T + after, Y, X) the block between its neighbours on the device: in units of the noise
            (False), and in photons (True) where a network needs these.
        white
            (T, Y, X) the block in units of its noise.
        before
            Neighbours before the block.
        tell
            Told what share of the search is done.
        observation
            The block, in which emitters that are alone are fitted; None shows all to the networks.

        Returns
        -------
        Detections
            Those of all patches on the CPU, in pixels of the region, for `autods.inference.stitch`.
        ndarray
            (patches, models) frames that each got.
        """
        names = [card.name for card in self._plan.cards]
        used = np.zeros((len(self._plan.patches), len(names)), np.int64)
        places = self._places(white)
        sparse = self._sparse(places, white.shape)
        parts = []
        if places is not None:
            for name, patches in sparse.items():
                rest = places
                if observation is not None:
                    single, alone = self._fit_single(patches, places, observation)
                    parts.append(single)
                    rest = places.select(~alone)
                parts.append(self._find_at(name, patches, rest, seen[False], before))
                for patch in patches:
                    looked = np.unique(places.within(patch.tile.core, 0).frame)
                    used[patch.tile.index, names.index(name)] += len(looked)
        done = {patch.tile.index for patches in sparse.values() for patch in patches}
        for patch in self._plan.patches:
            if patch.tile.index not in done:
                y0, x0, y1, x1 = patch.tile.core
                for name, chosen in self._choose(patch, white[:, y0:y1, x0:x1]).items():
                    used[patch.tile.index, names.index(name)] += len(chosen)
                    frames = seen[self._localizers[name].needs_photons]
                    parts.append(self._find(patch, name, frames, chosen, before))
            tell((patch.tile.index + 1) / len(self._plan.patches))
        return Detections.concatenate(parts), used

    def _places(self, white: NDArray[np.float32]) -> Places | None:
        """Return where a localization could be significant; None where all pixels are to be looked at."""
        wanted = self._min_significance
        if self._scope == "frame" or not len(white) or (wanted is not None and wanted < LEAST_HEIGHT + 0.5):
            return None
        sigma_px = self._plan.psf_sigma_px
        places = find_places(correlate_psf(white, sigma_px))
        tile = self._tile_map([patch.tile.core for patch in self._plan.patches])[places.row, places.column]
        shape = (white.shape[0], white.shape[1], white.shape[2])
        could = promising(places, self.expected_per_px[tile], self.snr[tile], shape, sigma_px)
        return places.select(could)

    def _sparse(self, places: Places | None, shape: tuple[int, ...]) -> dict[str, list[PatchPlan]]:
        """Return, by model, the patches of which windows are cheaper than the whole."""
        groups: dict[str, list[PatchPlan]] = {}
        if places is None:
            return groups
        for patch in self._plan.patches:
            name = patch.choice.card.name
            localizer = self._localizers[name]
            y0, x0, y1, x1 = patch.tile.window
            n_here = len(places.within(patch.tile.core, 0))
            is_sparse = n_here * WINDOW_COST_PX < shape[0] * (y1 - y0) * (x1 - x0)
            able = localizer.sees_windows(self._plan.rescalings[name], (shape[1], shape[2]))
            # Emitters that do not stand out of the noise alone are looked for everywhere.
            if able and is_sparse and not patch.profile.snr < SKIP_MIN_SNR:
                groups.setdefault(name, []).append(patch)
        return groups

    def _tile_map(
        self, boxes: list[tuple[int, int, int, int]], numbers: list[int] | None = None
    ) -> NDArray[np.int64]:
        """Return (Y, X) the number of the box that holds each pixel or is near it; -1 for none."""
        height, width = (max(patch.tile.core[i] for patch in self._plan.patches) for i in (2, 3))
        owner = np.full((height, width), -1)
        for reach in (_REACH_PX, 0):
            for number, (y0, x0, y1, x1) in zip(numbers or range(len(boxes)), boxes, strict=True):
                owner[max(y0 - reach, 0) : y1 + reach, max(x0 - reach, 0) : x1 + reach] = number
        return owner

    def _fit_single(
        self, patches: list[PatchPlan], places: Places, observation: Observation
    ) -> tuple[Detections, NDArray[np.bool_]]:
        """Fit one emitter to each place that is far from all others; also tell (N,) where it fits.

        There a network would find the same emitter at no better place: its light is what a fit sees, too.
        """
        owner = self._tile_map(
            [patch.tile.core for patch in patches], [patch.tile.index for patch in patches]
        )
        tile = owner[places.row, places.column]
        candidate = np.flatnonzero(
            (tile >= 0) & (places.height >= _SURE_HEIGHT) & places.are_alone(_ALONE_PX)
        )
        x, y = (values[candidate].astype(np.float64) + 0.5 for values in (places.column, places.row))
        frame, sigma_px = places.frame[candidate], self._plan.psf_sigma_px
        pixel = frame, places.row[candidate], places.column[candidate]
        level, variance = (
            values[pixel].cpu().numpy().astype(np.float64)
            for values in (observation.background, observation.variance)
        )
        # The height is the light over its standard error in white noise.
        photons = places.height[candidate].astype(np.float64) * np.sqrt(4 * np.pi * variance) * sigma_px
        fit = refine_positions(observation, frame, x, y, photons, level, sigma_px)
        moved = np.maximum(np.abs(fit.x_px - x), np.abs(fit.y_px - y))
        fits = (fit.misfit < _SINGLE_MISFIT) & (moved < 1) & (fit.photons > 0)
        alone = np.zeros(len(places), bool)
        alone[candidate[fits]] = True
        found = Detections(
            torch.from_numpy(frame[fits]),
            torch.from_numpy(fit.x_px[fits]),
            torch.from_numpy(fit.y_px[fits]),
            torch.ones(int(fits.sum()), dtype=torch.float64),
            tile=torch.from_numpy(tile[candidate[fits]]),
        )
        return found, alone

    def _find_at(
        self, name: str, patches: list[PatchPlan], places: Places, frames: torch.Tensor, before: int
    ) -> Detections:
        """Run a model on windows of the patches that it got."""
        localizer, sigma_px = self._localizers[name], self._plan.psf_sigma_px
        owner = self._tile_map(
            [patch.tile.core for patch in patches], [patch.tile.index for patch in patches]
        )
        places = places.select(owner[places.row, places.column] >= 0)
        shape = (int(frames.shape[0]), int(frames.shape[1]), int(frames.shape[2]))
        places = cover(dataclasses.replace(places, frame=places.frame + before), shape)
        level, noise = (
            torch.zeros(len(self._plan.patches), shape[0], device=frames.device) for _ in range(2)
        )
        for patch in patches:
            y0, x0, y1, x1 = patch.tile.window
            level[patch.tile.index], noise[patch.tile.index] = localizer.measure(frames[:, y0:y1, x0:x1])
        tile = torch.from_numpy(owner[places.row, places.column]).to(frames.device)
        found = localizer.localize_at(frames, places, sigma_px, (level[tile], noise[tile]))
        frame, x, y = found.places()
        height, width = owner.shape
        row, column = (np.floor(p).astype(np.int64).clip(0, n - 1) for p, n in ((y, height), (x, width)))
        nearest = owner[row, column]
        found = dataclasses.replace(
            found,
            frame=torch.from_numpy(frame - before),
            tile=torch.from_numpy(nearest),
            photons=None,
            background=None,
        )
        return found.select(nearest >= 0)

    def _choose(self, patch: PatchPlan, core: NDArray[np.float32]) -> dict[str, NDArray[np.int64]]:
        """Return, by model, the frames of the block that it gets; frames without events are left out."""
        is_dim = patch.profile.snr < SKIP_MIN_SNR  # not known (NaN) where the sampled frames are empty
        sigma_px = self._plan.psf_sigma_px
        events = np.arange(len(core)) if is_dim else np.flatnonzero(find_events(core, sigma_px))
        if self._scope == "movie" or not len(events):
            return {patch.choice.card.name: events} if len(events) else {}
        statistics = frame_statistics(core[events], sigma_px)
        names = np.array(
            [
                self._plan.choose(
                    summarize(
                        one_frame(statistics, index),
                        core[0].size,
                        self._plan.optics.pixel_size_nm,
                        sigma_px,
                        patch.profile.crowding,
                    )
                ).card.name
                for index in range(len(events))
            ]
        )
        return {str(name): events[names == name] for name in np.unique(names)}

    def _find(
        self, patch: PatchPlan, name: str, frames: torch.Tensor, chosen: NDArray[np.int64], before: int
    ) -> Detections:
        """Run a model on a patch of some frames behind ``before``; positions in the region's pixels."""
        y0, x0, y1, x1 = patch.tile.window
        wanted = torch.from_numpy(chosen + before)
        localizer = self._localizers[name]
        found = localizer.localize(
            frames[:, y0:y1, x0:x1], self._plan.rescalings[name], wanted, self._plan.psf_sigma_px
        )
        if not localizer.needs_photons:
            # Of frames in units of their noise the network cannot tell photons.
            found = dataclasses.replace(found, photons=None, background=None)
        return dataclasses.replace(
            found,
            frame=torch.from_numpy(chosen)[found.frame],
            x_px=found.x_px + x0,
            y_px=found.y_px + y0,
            tile=torch.full_like(found.frame, patch.tile.index),
        )
