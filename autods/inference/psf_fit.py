"""Photons, background, precision and refined positions of emitters in depth, with any PSF.

The emitters of a frame are fitted together. Photons and a slowly varying background follow from weighted
least squares; positions, on request, from damped Gauss-Newton steps on the Poisson likelihood, each emitter
with its neighbours' light as it stands, with the network's own estimate as prior.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.inference.joint_errors import joint_variances
from autods.inference.joint_step import joint_step
from autods.inference.linear_fit import Support, pick, scatter, solve, tents
from autods.inference.observation import Observation
from autods.inference.psf_windows import PsfWindows
from autods.optics import PSFModel, SplinePSF
from autods.optics.model_error import ModelError
from autods.optics.protocol import device_of
from autods.representation import Detections

#: Pixels of all windows that are fitted at once: bounds the memory to some 300 MB; on a CPU, what its caches
#: hold.
_BLOCK_PX, _CPU_BLOCK_PX = 3_000_000, 500_000
#: Gauss-Newton steps at most, and the movement (nm) below which all emitters count as settled.
_STEPS, _SETTLED_NM = 8, 1.0
#: Weight of the network's position as a prior, by x, y and z. It has seen the same light; where that tells
#: little of the depth, the network's tends to the middle of the range, and the scale of z would shrink.
_PRIOR = (1.0, 1.0, 0.05)
#: Levenberg's damping at least.
_DAMPING = 0.01
#: Largest step per axis, and largest distance from the network's position, in x and y (px) and z (nm).
_MAX_STEP, _MAX_SHIFT = (0.4, 100.0), (1.5, 400.0)
#: An emitter stays this near to the middle of its window, px: what of the PSF lies farther out is not read.
_ROOM_PX = 3


class PsfFitter:
    """Fits emitters with a PSF and a camera.

    Parameters
    ----------
    psf
        Fast PSF, such as a table.
    size_px
        Side of an emitter's window, odd, px.
    z_range_nm
        Lowest and highest depth, nm.
    refine
        Whether positions are refined; else only photons, background and precision are fitted.
    origin_px
        See `autods.inference.psf_windows.PsfWindows`.
    error
        What the PSF's own misfit does to positions, which is added to the bound; None where it is not known.
    image_px
        Side of the region in which an emitter is drawn, odd, px: what lies outside of the windows tells
        little of its position, but is light of it. None for the windows'.
    """

    def __init__(
        self,
        psf: PSFModel,
        size_px: int,
        z_range_nm: tuple[float, float],
        *,
        refine: bool = True,
        origin_px: tuple[float, float] = (0.0, 0.0),
        error: ModelError | None = None,
        image_px: int | None = None,
    ) -> None:
        self.origin_px, self.error = origin_px, error
        self._drawn, self._image_px = psf, max(image_px or size_px, size_px)
        if isinstance(psf, SplinePSF):
            psf = psf.cropped(size_px + 2 * _ROOM_PX)
        self.psf, self.size_px, self.z_range_nm = psf, size_px, z_range_nm
        self.refine, self.crowding = refine, (1.0, 1.0)

    def with_crowding(self, factors: tuple[float, float]) -> PsfFitter:
        """Return the same fit with bounds of lateral and axial errors raised, as unseen neighbours do."""
        other = copy.copy(self)
        other.crowding = factors
        return other

    def __call__(self, observation: Observation, found: Detections) -> Detections:
        """Fit the emitters of a block; see `explain`."""
        return self.explain(observation, found)[0]

    @torch.no_grad()
    def explain(
        self, observation: Observation, found: Detections, *, refine: bool | None = None
    ) -> tuple[Detections, Tensor]:
        """Fit the emitters of a block, and return the light (T, Y, X) that they and what is under them make.

        Returns them in the order given, with what the fit says: positions (as given where they are not
        refined); photons, background and significance, see `autods.inference.amplitudes.Amplitudes`; and
        standard errors: the Cramer-Rao bound beside the neighbours, or the network's where that is smaller,
        and the PSF's own error, infinite without photons.

        Parameters
        ----------
        observation
            The frames; the fit runs on their device.
        found
            Where the network places them, on the CPU, and how surely: its errors are a prior.
        refine
            Whether positions are refined; None for what the fitter was made for.
        """
        refine = self.refine if refine is None else refine
        model = torch.zeros_like(observation.light)
        # Frames without estimates are not touched: few may be fitted again of many.
        frames, number = np.unique(found.frame.numpy(), return_inverse=True)
        order = np.argsort(number, kind="stable")
        ordered = number[order]
        columns = np.zeros((9, len(found)))
        most = _CPU_BLOCK_PX if observation.light.device.type == "cpu" else _BLOCK_PX
        for first, last in _blocks(ordered, len(frames), most // self.size_px**2):
            rows = order[np.searchsorted(ordered, first) : np.searchsorted(ordered, last)]
            part, chosen = observation.select(frames[first:last]), found.select(rows)
            windows = self.windows(part.light, chosen, torch.from_numpy(number[rows] - first))
            columns[:, rows], light = _Fit(self, part, windows, chosen).run(refine)
            model[torch.from_numpy(frames[first:last]).to(model.device)] = light
        x, y, z, photons, background, background_std, std_px, std_z_nm, significance = columns
        lateral, axial = (0.0, 0.0) if self.error is None else self.error.at(z)
        std_px = np.hypot(self.crowding[0] * std_px, lateral / self.psf.pixel_size_nm)
        std_z_nm = np.hypot(self.crowding[1] * std_z_nm, axial)
        fit = replace(
            found,
            x_px=torch.from_numpy(x),
            y_px=torch.from_numpy(y),
            z_nm=torch.from_numpy(z),
            photons=torch.from_numpy(photons),
            background=torch.from_numpy(background),
            background_std=torch.from_numpy(background_std),
            uncertainty_px=torch.from_numpy(std_px),
            uncertainty_z_nm=torch.from_numpy(std_z_nm),
            significance=torch.from_numpy(significance),
        )
        return fit, model

    def seen(self, z_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share (N,) of the light at depths (N,) that the calibration has seen; 1 for formulas."""
        return np.ones(len(z_nm)) if self.error is None else self.error.seen_at(z_nm)

    def tails(self, found: Detections, shape: tuple[int, int, int]) -> Tensor:
        """Render the light of emitters outside of their windows into frames (T, Y, X), see `image`."""
        return self.image(found, shape) - self.image(found, shape, self.size_px)

    def image(self, found: Detections, shape: tuple[int, int, int], size_px: int | None = None) -> Tensor:
        """Render emitters with photons into frames (T, Y, X), without background, on the PSF's device.

        Each is drawn in a region of that side, px; None for all that is known of the PSF.
        """
        device, size_px = device_of(self.psf), size_px or self._image_px
        image = torch.zeros(shape, device=device)
        assert found.photons is not None
        lit = found.select(found.photons > 0)
        for rows in np.array_split(np.arange(len(lit)), 1 + len(lit) * size_px**2 // _BLOCK_PX):
            part = lit.select(rows)
            assert part.photons is not None
            windows = self.windows(image, part, part.frame, size_px)
            psf = windows.images(self._drawn) * windows.inside
            photons = part.photons.to(device, torch.float32)
            image = scatter(image, psf * photons[:, None, None], windows.pixel)
        return image

    def windows(
        self, frames: Tensor, found: Detections, frame: Tensor, size_px: int | None = None
    ) -> PsfWindows:
        """Return the windows round emitters, of which each lies in the frame given (N,), in (T, Y, X)."""
        assert found.z_nm is not None
        xyz = torch.stack([found.x_px, found.y_px, found.z_nm], 1).to(frames.device, torch.float32)
        pixel_nm = self.psf.pixel_size_nm
        shape, frame = tuple(frames.shape), frame.to(frames.device)
        return PsfWindows(shape, frame, xyz, size_px or self.size_px, pixel_nm, self.origin_px)


@dataclass(frozen=True)
class _Linear:
    """The model of a block about a state."""

    #: (n, 3) positions, (n,) photons and (T, Y, X) background.
    xyz: Tensor
    photons: Tensor
    smooth: Tensor
    #: (T, Y, X) photons.
    model: Tensor
    #: (n, 4, S, S) of the model by x, y, z (nm) and relative photons, 0 outside of the frame.
    slopes: Tensor

    def where(self, chosen: Tensor, frame: Tensor, other: _Linear) -> _Linear:
        """Take the frames chosen (T,) from this state and the rest from another; ``frame`` is that of the
        emitters (n,).
        """
        if bool(chosen.all()):
            return self
        rows, frames = chosen[frame], chosen[:, None, None]
        return _Linear(
            torch.where(rows[:, None], self.xyz, other.xyz),
            torch.where(rows, self.photons, other.photons),
            torch.where(frames, self.smooth, other.smooth),
            torch.where(frames, self.model, other.model),
            torch.where(rows[:, None, None, None], self.slopes, other.slopes),
        )


class _Fit:
    """The fit of one block of frames."""

    def __init__(
        self,
        fitter: PsfFitter,
        observation: Observation,
        windows: PsfWindows,
        found: Detections,
    ) -> None:
        self.fitter, self.observation, self.windows = fitter, observation, windows
        device = windows.xyz.device
        unknown = torch.full((len(found),), torch.nan)
        std_px, std_z_nm = (
            (unknown if std is None else std).numpy().astype(np.float64)
            for std in (found.uncertainty_px, found.uncertainty_z_nm)
        )
        std_nm = np.stack([std_px * fitter.psf.pixel_size_nm] * 2 + [std_z_nm], 1)
        precision = torch.from_numpy(std_nm**-2.0).to(device, torch.float32)
        self.precision = torch.nan_to_num(precision, nan=0.0, posinf=0.0)
        #: Of the prior that holds positions where the network saw them.
        self.prior_precision = self.precision * self.precision.new_tensor(_PRIOR)
        node_px = max(float(fitter.size_px), 10.0)
        light = observation.light
        height, width = light.shape[1:]
        self.axes = tents(height, node_px, light), tents(width, node_px, light)
        self.support = Support.of(windows.pixel, windows.corner, windows.frame, self.axes)
        self.smooth = torch.zeros_like(light)
        self.photons = torch.zeros(len(found), device=device)

    def run(self, refine: bool) -> tuple[NDArray[np.float64], Tensor]:
        """Return (9, n): position, photons, background and its noise, errors, significance; and the light
        (T, Y, X).
        """
        self._fit_photons(rounds=2)
        if refine:
            self._refine()
            self._fit_photons(rounds=1)
        return self._columns(refine)

    def _fit_photons(self, rounds: int) -> None:
        """Solve for photons and background at the present positions."""
        windows, observation = self.windows, self.observation
        psf = windows.images(self.fitter.psf) * windows.inside
        model = self._model(psf)
        active = torch.ones_like(self.photons)
        for _ in range(rounds):
            weight = 1 / observation.variance_under(model)
            unit = psf * active[:, None, None]
            photons, nodes = solve(observation.light, unit, self.support, weight)
            active = (photons > 0).float()
            self.photons = photons * active
            self.smooth = self.axes[0] @ nodes @ self.axes[1].T
            model = self._model(psf)

    def _model(self, psf: Tensor) -> Tensor:
        return scatter(self.smooth.clone(), psf * self.photons[:, None, None], self.windows.pixel)

    def _refine(self) -> None:
        """Move all emitters of a frame together to the most likely positions."""
        windows, observation, pixel_nm = self.windows, self.observation, self.fitter.psf.pixel_size_nm
        to_nm = windows.xyz.new_tensor([pixel_nm, pixel_nm, 1.0])
        prior, lit = windows.xyz.clone(), (self.photons > 0)[:, None]
        largest, farthest = (windows.xyz.new_tensor([a, a, b]) for a, b in (_MAX_STEP, _MAX_SHIFT))
        low, high = self.fitter.z_range_nm
        damping = torch.full((len(observation),), _DAMPING, device=prior.device)
        best = self._at_present()
        best_loss = self._loss(best, prior, to_nm)
        curvature = torch.cat([self.prior_precision, torch.zeros_like(self.prior_precision[:, :1])], 1)
        for _ in range(_STEPS):
            pull = torch.zeros_like(curvature)
            pull[:, :3] = self.prior_precision * (prior - best.xyz) * to_nm
            step, nodes = joint_step(
                best.slopes,
                pull,
                curvature,
                windows.pixel,
                windows.frame,
                self.axes,
                observation.light - best.model,
                1 / observation.variance_under(best.model),
                damping,
            )
            move = (step[:, :3] / to_nm).clamp(-largest, largest)
            moved = torch.maximum(torch.minimum(best.xyz + move, prior + farthest), prior - farthest)
            moved[:, 2] = moved[:, 2].clamp(low, high)
            # Without photons there is nothing to place.
            windows.xyz = torch.where(lit, moved, best.xyz)
            self.photons = best.photons * (1 + step[:, 3].clamp(-0.5, 1.0))
            self.smooth = best.smooth + self.axes[0] @ nodes @ self.axes[1].T
            tried = self._at_present()
            loss = self._loss(tried, prior, to_nm)
            better = loss <= best_loss
            settled = ((windows.xyz - best.xyz) * to_nm).abs().max() < _SETTLED_NM
            # Where it became worse, a shorter step is tried.
            damping = torch.where(better, (0.4 * damping).clamp_min(_DAMPING), 10 * damping)
            best, best_loss = (
                tried.where(better, windows.frame, best),
                torch.where(better, loss, best_loss),
            )
            if bool(settled):
                break
        windows.xyz, self.photons, self.smooth = best.xyz, best.photons, best.smooth

    def _at_present(self) -> _Linear:
        """Return the model at the present positions and its slopes."""
        windows = self.windows
        psf, *by_place = windows.images_and_slopes(self.fitter.psf)
        flux = (self.photons[:, None, None] * windows.inside)[:, None]
        slopes = torch.stack([*by_place, psf], 1) * flux
        return _Linear(windows.xyz, self.photons, self.smooth, self._model(psf * windows.inside), slopes)

    def _loss(self, linear: _Linear, prior: Tensor, to_nm: Tensor) -> Tensor:
        """Return (T,) the negative logarithm of likelihood and prior of each frame.

        The likelihood is that of noise whose variance grows with the light in proportion, which of Poisson's
        law is exactly its own (quasi-likelihood: Wedderburn, Biometrika 61, 439 (1974)).
        """
        observation = self.observation
        variance = observation.variance_under(linear.model)
        dark = observation.variance / observation.shot
        value = (linear.model - (observation.light + dark) * variance.log()) / observation.shot
        loss = torch.where(observation.valid, value, 0.0).double().sum((1, 2))
        away = 0.5 * (self.prior_precision * ((linear.xyz - prior) * to_nm) ** 2).sum(1).double()
        return loss.index_add(0, self.windows.frame, away)

    def _columns(self, refine: bool) -> tuple[NDArray[np.float64], Tensor]:
        windows, pixel_nm = self.windows, self.fitter.psf.pixel_size_nm
        linear = self._at_present()
        slopes = torch.cat([linear.slopes, torch.ones_like(linear.slopes[:, :1])], 1).flatten(2)
        variance = self.observation.variance_under(linear.model)
        weight = (windows.inside / pick(variance, windows.pixel)).flatten(1)
        fisher = torch.einsum("nip,np,njp->nij", slopes, weight, slopes).double()
        known = self.photons > 0
        fisher = torch.where(known[:, None, None], fisher, torch.eye(5).to(fisher))
        error = joint_variances(fisher, slopes, weight, windows.middle, windows.frame, known).clamp_min(0)
        if refine:
            # The network has seen the same frame: its error is another bound, not another measurement.
            told = self.precision.double()
            error[:, :3] = torch.where(told > 0, torch.minimum(error[:, :3], 1 / told), error[:, :3])
            fisher[:, [0, 1, 2], [0, 1, 2]] += told
        # Light of its own makes an emitter significant, however near another is.
        alone, error = _inverse(fisher)[:, 3, 3].clamp_min(0).sqrt(), error.sqrt()
        unknown = torch.full_like(error[:, 0], torch.inf)
        lateral = (0.5 * (error[:, 0] ** 2 + error[:, 1] ** 2)).sqrt() / pixel_nm
        centre = windows.pixel[:, self.fitter.size_px // 2, self.fitter.size_px // 2]
        level = pick(self.smooth + self.observation.background, centre).clamp_min(0)
        noise = pick(self.observation.variance_under(self.smooth), centre)
        rows = [
            *windows.xyz.double().unbind(1),
            self.photons,
            level,
            noise.sqrt(),
            torch.where(known, lateral, unknown),
            torch.where(known, error[:, 2], unknown),
            torch.where(known, 1 / alone.clamp_min(1e-12), 0),
        ]
        columns = torch.stack([row.double() for row in rows]).cpu().numpy()
        return np.asarray(columns, np.float64), linear.model


def _blocks(frame: NDArray[np.int64], n_frames: int, most: int) -> list[tuple[int, int]]:
    """Split frames into runs of at most ``most`` emitters (one frame at least); ``frame`` is sorted."""
    counts = np.bincount(frame, minlength=n_frames)
    edges, held = [0], 0
    for index, count in enumerate(counts.tolist()):
        if held and held + count > most:
            edges.append(index)
            held = 0
        held += count
    return list(itertools.pairwise([*edges, n_frames])) if n_frames else []


def _inverse(fisher: Tensor) -> Tensor:
    """Invert (n, 5, 5) matrices after scaling; nearly singular ones get large, finite entries."""
    scale = fisher.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    outer = scale[:, :, None] * scale[:, None, :]
    regular = fisher / outer + 1e-9 * torch.eye(5).to(fisher)
    inverse: Tensor = torch.linalg.inv(regular) / outer
    return inverse
