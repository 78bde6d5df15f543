"""Localizing in depth, block by block, in overlapping tiles."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from autods.core import LocalizationTable
from autods.core.grid import nm_to_px, px_to_nm
from autods.inference import Tile, stitch, tile_field
from autods.inference.doublets import taken_for_one
from autods.inference.finders import Finder
from autods.inference.observation import Observation
from autods.inference.other_depths import OtherDepths
from autods.inference.psf_fit import PsfFitter
from autods.inference.pursuit import UNJUDGED, Pursuit
from autods.representation import Detections

#: Side of a tile's core, px.
_TILE_PX = 128
#: Estimates of one frame nearer than this in x and y (px) and in z (nm) are one molecule.
_SAME_PX, _SAME_NM = 0.6, 150.0
#: A fit this near to an end of its depths wanted to leave them: its molecule lies where no PSF is known.
_HELD_NM = 0.5
#: Parts of the least photons below which estimates go, one after the other.
_WEAKEST_FIRST = (0.5, 0.8, 1.0)
#: Error of a calibrated PSF, relative to itself, that a second pass allows for.
_MISMATCH = 0.15
#: Least confidence of what a second pass adds; and the significance, in the eyes of the matched filter, from
#: which the network looks again: what it added had 7 at least, in 96 movies of six PSFs.
_SURER, _WORTH_A_LOOK = 0.6, 6.0
#: Least significance of what the matched filter adds, in its own eyes and after the fit.
_PURSUED, _PURSUED_AFTER_FIT = 7.0, 6.0
#: Rounds of looking for two molecules in the place of one: three come apart in the second.
_ROUNDS = 2

#: Starts, their fit, and (N,) which of it is kept.
_Fitted = tuple[Detections, Detections, Tensor]


@dataclass(frozen=True)
class Limits:
    """What is kept of what is found, in the end and while it is fitted."""

    #: Least confidence of the network's estimates.
    threshold: float
    #: Least significance (photons in standard errors) and photons in the end.
    significance: float
    photons: float = 0.0
    #: The same while emitters are fitted, where it is less: the light of what is left out goes to others.
    fitted_significance: float = 3.0
    fitted_photons: float = 0.0

    def hold(self, fit: Detections) -> Tensor:
        """Tell (N,) which fits may stay in the end."""
        assert fit.photons is not None
        assert fit.significance is not None
        return (fit.significance >= self.significance) & (fit.photons >= self.photons)


class VolumeLocalizer:
    """Network, stitching and fit in one, for blocks of frames of any size.

    Parameters
    ----------
    finder
        The network.
    fitter
        The fit with the PSF.
    min_significance
        Photons, in standard errors, of a localization at least.
    passes
        From the second on, the network looks at what the fitted emitters leave, and in the end a matched
        filter, which sees what networks are blind to.
    """

    def __init__(self, finder: Finder, fitter: PsfFitter, min_significance: float, passes: int = 1) -> None:
        self.finder, self.fitter = finder, fitter
        self.limits, self._passes = Limits(finder.threshold, min_significance), passes
        self._pursuit = Pursuit(fitter.psf, fitter.z_range_nm, fitter.size_px) if passes > 1 else None
        self._other_depths = OtherDepths(fitter.psf, fitter.z_range_nm, fitter.size_px)

    def with_limits(self, limits: Limits, crowding: tuple[float, float] = (1.0, 1.0)) -> VolumeLocalizer:
        """Return the same with other limits and factors on the errors, see `PsfFitter.with_crowding`."""
        other = copy.copy(self)
        other.finder, other.limits = self.finder.with_threshold(limits.threshold), limits
        other.fitter = self.fitter.with_crowding(crowding)
        return other

    @property
    def neighbours(self) -> int:
        """Frames before and after a block that the network looks at."""
        return self.finder.neighbours

    def __call__(self, observation: Observation, own: slice | None = None) -> LocalizationTable:
        """Localize a block.

        Returns `LocalizationTable`, with frames from 0 and positions within the region, ordered by frame, y,
        x.

        Parameters
        ----------
        observation
            The frames.
        own
            Those that are localized, where all follow each other in time; None for all, each by itself.
        """
        first = self.first_look(observation, own)
        searched = observation if own is None else observation[own]
        fit, keep = self.estimates(searched, first)
        return self.table(fit.select(keep), searched)

    def first_look(self, observation: Observation, own: slice | None = None) -> Detections:
        """Return what the network finds in a block before any fit; arguments as of a call."""
        variance = observation.variance_under(torch.zeros_like(observation.light))
        return self._find(observation.light, variance, own)

    def estimates(
        self, observation: Observation, first: Detections | None = None, *, apart: bool = True
    ) -> tuple[Detections, Tensor]:
        """Return what was found in a block as it was fitted, and (N,) which of it is kept.

        Among it are emitters beyond the frame's border, of which part of the light is within: without them,
        others would have to explain it.

        Parameters
        ----------
        observation
            The frames.
        first
            From `first_look` with the same smallest confidence; None looks.
        apart
            Whether two emitters are looked for in the place of each.
        """
        found = self.first_look(observation) if first is None else first
        # What lies outside of an emitter's window is light under others, and none that is left.
        rough, _ = self.fitter.explain(observation, found, refine=False)
        observation = observation.less(self.fitter.tails(rough, _shape(observation)))
        found, fit, keep = self._at_best_depth(observation, self._fit(observation, found))
        for _ in range(self._passes - 1):
            more = self._look_again(*self._left(observation, fit, keep))
            found, fit, keep = self._with_more(observation, found, fit, keep, more)
        if self._pursuit is not None:
            more = self._pursuit(*self._left(observation, fit, keep), _PURSUED)
            found, fit, keep = self._with_more(observation, found, fit, keep, more)
            keep = keep & _is_pursued_surely(fit)
        if apart:
            fit, keep = self._apart(observation, (found, fit, keep))
        judged = fit.confidence != UNJUDGED
        confidence = torch.where(judged, fit.confidence, self.finder.threshold)
        return replace(fit, confidence=confidence), keep & _is_pursued_surely(fit) & self.limits.hold(fit)

    def _look_again(self, left: Tensor, variance: Tensor) -> Detections:
        """Return what the network finds, surely, in the light (T, Y, X) that is left."""
        assert self._pursuit is not None
        significance, _ = self._pursuit.significance(left, variance)
        more = self._find(left, variance, worth=significance >= _WORTH_A_LOOK)
        return more.select(more.confidence >= _SURER)

    def _at_best_depth(self, observation: Observation, fitted: _Fitted) -> _Fitted:
        """Fit once more from there what another depth explains better."""
        found, fit, keep = fitted
        settled = _settled(found, fit, keep)
        elsewhere, places = self._other_depths(self.fitter, observation, settled)
        if not len(places):
            return fitted
        changed = torch.isin(settled.frame, places.frame)
        starts = Detections.concatenate([settled.select(changed & ~elsewhere), places])
        stay = ~torch.isin(found.frame, places.frame)
        return _joined(fitted, stay, self._fit(observation, starts))

    def _apart(self, observation: Observation, fitted: _Fitted) -> tuple[Detections, Tensor]:
        """Put two emitters in the place of one where they explain the light better."""
        asked = torch.ones(len(fitted[2]), dtype=torch.bool)
        for _ in range(_ROUNDS):
            found, fit, keep = fitted
            part = _settled(found, fit, asked)
            is_two, two = taken_for_one(
                self.fitter, observation, part, keep[asked], self.limits.fitted_photons
            )
            if not len(two):
                break
            changed = torch.isin(part.frame, two.frame)
            starts = Detections.concatenate([part.select(changed & ~is_two & keep[asked]), two])
            stay = ~torch.isin(found.frame, two.frame)
            fitted = _joined(fitted, stay, self._fit(observation, starts))
            asked = torch.arange(len(fitted[2])) >= int(stay.sum())
        return fitted[1], fitted[2]

    def _left(self, observation: Observation, fit: Detections, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the fitted emitters leave of the light, and its variance."""
        size_px = self.fitter.size_px
        model = self.fitter.image(fit.select(keep), _shape(observation), size_px).to(observation.light.device)
        # A calibrated PSF is wrong by some part of itself: what it leaves there is no molecule.
        variance = observation.variance_under(model) + (_MISMATCH * model) ** 2
        return observation.less(model).light, variance

    def _with_more(
        self, observation: Observation, found: Detections, fit: Detections, keep: Tensor, more: Detections
    ) -> _Fitted:
        """Fit the frames of others once more, together with them."""
        if not len(more):
            return found, fit, keep
        changed = torch.isin(found.frame, more.frame)
        # Those that are settled start from where they were fitted, and keep their errors as a prior.
        starts = Detections.concatenate([_settled(found, fit, keep & changed), more])
        return _joined((found, fit, keep), keep & ~changed, self._fit(observation, starts))

    def _fit(self, observation: Observation, found: Detections) -> _Fitted:
        """Return the starts, the fit, and (N,) which of it are significant, on pixels that measure light, and
        not another estimate of the same molecule.
        """
        found, fit = self._without_weak(observation, found, self.fitter(observation, found))
        keep = self._is_sure(observation, fit)
        twins = ~_is_distinct(fit, keep)
        if twins.any():
            # The photons of two estimates of one molecule are shared between them: fit once more without.
            changed = torch.isin(found.frame, found.frame[twins])
            starts = found.select(keep & changed & ~twins)
            again = self.fitter(observation, starts)
            return _joined(
                (found, fit, keep), keep & ~changed, (starts, again, self._is_sure(observation, again))
            )
        return found, fit, keep

    def _without_weak(
        self, observation: Observation, found: Detections, fit: Detections
    ) -> tuple[Detections, Detections]:
        """Leave out what has too few photons, the weakest first: its light goes to those that it is of."""
        least = self.limits.fitted_photons
        for share in _WEAKEST_FIRST if least > 0 else ():
            assert fit.photons is not None
            weak = fit.photons < share * least
            if not weak.any():
                continue
            changed = torch.isin(found.frame, found.frame[weak])[~weak]
            found, fit = _settled(found, fit, ~weak), fit.select(~weak)
            again = self.fitter(observation, found.select(changed)).columns()
            for name, column in fit.columns().items():
                column[changed] = again[name]
        return found, fit

    def _is_sure(self, observation: Observation, fit: Detections) -> Tensor:
        """Tell (N,) which have enough light, on clear pixels, and are not held up at the last depth."""
        assert fit.z_nm is not None
        assert fit.photons is not None
        assert fit.significance is not None
        low, high = self.fitter.z_range_nm
        within = (fit.z_nm > low + _HELD_NM) & (fit.z_nm < high - _HELD_NM)
        lit = (fit.photons > 0) & (fit.photons >= self.limits.fitted_photons)
        least = min(self.limits.significance, self.limits.fitted_significance)
        sure = within & lit & (fit.significance >= least)
        return sure & torch.from_numpy(observation.is_clear(*fit.places()))

    def image(self, table: LocalizationTable, shape: tuple[int, int, int]) -> Tensor:
        """Render localizations of a block into frames (T, Y, X), without background."""
        assert table.z_nm is not None
        x_px, y_px = (
            torch.from_numpy(nm_to_px(nm, self.fitter.psf.pixel_size_nm)) for nm in (table.x_nm, table.y_nm)
        )
        frame, confidence = torch.from_numpy(table.frame), torch.from_numpy(table.confidence)
        z_nm = torch.from_numpy(table.z_nm)
        photons = torch.from_numpy(table.photons / self.fitter.seen(table.z_nm))
        found = Detections(frame, x_px, y_px, confidence, z_nm=z_nm, photons=photons)
        return self.fitter.image(found, shape)

    def _find(
        self, frames: Tensor, variance: Tensor, own: slice | None = None, worth: Tensor | None = None
    ) -> Detections:
        """Let the network look at each tile; ``worth`` (T, Y, X) says where, None: everywhere."""
        shape = (int(frames.shape[1]), int(frames.shape[2]))
        margin = max(self.finder.margin_px, self.fitter.size_px // 2)
        tiles = tile_field(shape, _TILE_PX, margin)
        parts = []
        for tile in tiles:
            y0, x0, y1, x1 = tile.window
            finder = self.finder.at(*self._middle_nm(tile))
            part, noise = frames[:, y0:y1, x0:x1], variance[:, y0:y1, x0:x1]
            if worth is None:
                found = finder.find(part, noise, own)
            else:
                looked = worth[:, y0:y1, x0:x1].flatten(1).any(1).nonzero()[:, 0]
                found = finder.find(part[looked], noise[looked])
                found = replace(found, frame=looked.cpu()[found.frame])
            index = torch.full_like(found.frame, tile.index)
            parts.append(replace(found, x_px=found.x_px + x0, y_px=found.y_px + y0, tile=index))
        return stitch(Detections.concatenate(parts), tiles, shape)

    def _middle_nm(self, tile: Tile) -> tuple[float, float]:
        """Return the middle of a tile's core, x and y, in the full frame."""
        (left, top), pixel_nm = self.fitter.origin_px, self.fitter.psf.pixel_size_nm
        y0, x0, y1, x1 = tile.core
        return (left + 0.5 * (x0 + x1)) * pixel_nm, (top + 0.5 * (y0 + y1)) * pixel_nm

    def table(self, fit: Detections, observation: Observation) -> LocalizationTable:
        """Return the fitted emitters within the frames, ordered by frame, y, x."""
        fit = fit.select(is_inside(fit, observation))
        pixel_nm = self.fitter.psf.pixel_size_nm
        frame, x_px, y_px = fit.places()
        column = {name: values.numpy() for name, values in fit.columns().items()}
        return LocalizationTable.build(
            frame,
            px_to_nm(x_px, pixel_nm),
            px_to_nm(y_px, pixel_nm),
            z_nm=column["z_nm"],
            photons=column["photons"] * self.fitter.seen(column["z_nm"]),
            background=column["background"],
            background_std=column["background_std"],
            uncertainty_xy_nm=px_to_nm(column["uncertainty_px"], pixel_nm),
            uncertainty_z_nm=column["uncertainty_z_nm"],
            confidence=column["confidence"],
        ).sorted()


def _is_pursued_surely(fit: Detections) -> Tensor:
    """Tell (N,) which the network has judged, or stand out far enough without."""
    assert fit.significance is not None
    return (fit.confidence != UNJUDGED) | (fit.significance >= _PURSUED_AFTER_FIT)


def is_inside(fit: Detections, observation: Observation) -> Tensor:
    """Tell (N,) which emitters lie within the frames."""
    _, height, width = _shape(observation)
    x_px, y_px = fit.x_px, fit.y_px
    return (x_px >= 0) & (x_px < width) & (y_px >= 0) & (y_px < height)


def _joined(before: _Fitted, stay: Tensor, again: _Fitted) -> _Fitted:
    """Join the rows (N,) that stay as they were with those that were fitted again."""
    (found, fit, keep), (found_again, fit_again, keep_again) = before, again
    return (
        Detections.concatenate([found.select(stay), found_again]),
        Detections.concatenate([fit.select(stay), fit_again]),
        torch.cat([keep[stay], keep_again]),
    )


def _settled(found: Detections, fit: Detections, rows: Tensor) -> Detections:
    """Return rows of what was found where the fit has put them, with the network's errors."""
    fit = fit.select(rows)
    return replace(found.select(rows), x_px=fit.x_px, y_px=fit.y_px, z_nm=fit.z_nm)


def _shape(observation: Observation) -> tuple[int, int, int]:
    n_frames, height, width = observation.light.shape
    return n_frames, height, width


def _is_distinct(fit: Detections, considered: Tensor) -> Tensor:
    """Tell (N,) which estimates stay when of any two at one place the one of fewer photons goes."""
    assert fit.z_nm is not None
    assert fit.photons is not None
    rows = np.flatnonzero(considered.numpy())
    distinct = np.ones(len(fit), bool)
    if len(rows) < 2:
        return torch.from_numpy(distinct)
    (frame, x_px, y_px), z_nm, photons = fit.places(), fit.z_nm.numpy(), fit.photons.numpy()
    far = 10.0 + 2 * max(x_px.max(), y_px.max()) / _SAME_PX
    points = np.column_stack([x_px / _SAME_PX, y_px / _SAME_PX, z_nm / _SAME_NM, frame * far])[rows]
    for first, second in cKDTree(points).query_pairs(1.0):
        a, b = rows[first], rows[second]
        if distinct[a] and distinct[b]:
            distinct[a if photons[a] < photons[b] else b] = False
    return torch.from_numpy(distinct)
