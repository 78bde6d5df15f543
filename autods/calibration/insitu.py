"""The PSF from blinking molecules: positions and pupil estimated in turn.

The problem is ill-posed: the depths are unknown, and a stronger mask with smaller depths can look nearly the
same. A first guess of the mask, a prior on its Zernike modes and the range of depths decide it; how well the
axial scale is fixed by the data is measured and reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.calibration.bead_calibration import single_thread
from autods.calibration.quality import corner_statistics, slice_correlation
from autods.calibration.retrieval import linear_fit
from autods.core import OpticalSystem, UserError
from autods.optics.phase_masks import astigmatism_mask
from autods.optics.pupil_psf import ScalarPSF
from autods.optics.zernike import zernike_basis

_UNIT_NM = 100.0
#: Samples across the pupil; a first guess must have as many.
PUPIL_PX = 48
#: Depth distance of the search for starting positions, nm.
_SEARCH_STEP_NM = 50.0


@dataclass(frozen=True)
class InsituSettings:
    """Priors and effort."""

    #: Range of the molecules' depths relative to the focus, nm.
    z_range_nm: tuple[float, float] = (-600.0, 600.0)
    #: Assumed astigmatism, waves rms and degrees, where no mask is given.
    start_waves: float = 0.15
    start_angle_deg: float = 0.0
    #: Largest Noll index fitted on top of the first guess.
    zernike_max: int = 21
    #: Standard deviation of the prior on each mode about the first guess, waves rms.
    prior_waves: float = 0.1
    #: Alternations, and steps of gradient descent in each.
    rounds: int = 8
    steps: int = 60
    #: Molecules a step.
    batch: int = 64
    #: Of the molecules drawn.
    seed: int = 0


@dataclass(frozen=True)
class InsituCalibration:
    """What the molecules told."""

    #: The estimated PSF, focus at z = 0.
    psf: ScalarPSF
    #: (N, 3) positions of the molecules from the centres of their cut-outs, nm; z relative to the focus.
    xyz_nm: NDArray[np.float32]
    #: (N,) fitted scale and offset.
    photons: NDArray[np.float32]
    background: NDArray[np.float32]
    #: (N, S, S) the fit of each molecule.
    model: NDArray[np.float32]
    #: (N,) of fit and data.
    correlation: NDArray[np.float64]
    #: Factors on all depths for which the fit, refined at these depths, is as good within the noise; the
    #: depths are known up to a factor in this range.
    axial_scale_range: tuple[float, float]

    @property
    def is_scale_ambiguous(self) -> bool:
        """Whether the data leave the axial scale open by more than 10 % either way."""
        return self.axial_scale_range[0] < 0.9 or self.axial_scale_range[1] > 1.1


@dataclass
class _State:
    """Molecules, model and the parameters between them."""

    data: Tensor
    weight: Tensor
    psf: ScalarPSF
    start: Tensor
    settings: InsituSettings
    parameters: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        pupil = self.psf.pupil
        self.modes = zernike_basis(list(range(5, self.settings.zernike_max + 1)), pupil.u, pupil.v)
        self.parameters = {
            "zernike": torch.zeros(len(self.modes)),
            "log_blur": torch.tensor(math.log(0.8)),
            "position": torch.zeros(len(self.data), 3),
        }

    def phase(self) -> Tensor:
        modes: Tensor = torch.tensordot(self.parameters["zernike"], self.modes, 1)
        return self.start + modes

    def images(self, xyz_nm: Tensor) -> Tensor:
        """Images (n, S, S) of molecules at positions (n, 3) with the present pupil."""
        state = {"phase": self.phase(), "blur_sigma_nm": torch.exp(self.parameters["log_blur"]) * _UNIT_NM}
        images: Tensor = torch.func.functional_call(self.psf, state, (xyz_nm, self.data.shape[-1]))
        return images

    def residual(self, index: Tensor, axial_factor: float = 1.0) -> Tensor:
        """Mean weighted squared residual (n,) of each molecule."""
        factor = torch.tensor([1.0, 1.0, axial_factor])
        images = self.images(self.parameters["position"][index] * _UNIT_NM * factor)
        data, weight = self.data[index], self.weight[index]
        scale, offset = linear_fit(images, data, weight)
        difference = data - scale[:, None, None] * images - offset[:, None, None]
        return (weight * difference**2).mean((1, 2))

    def prior(self) -> Tensor:
        """Penalty of the modes and of depths beyond their range, per datum."""
        low, high = (bound / _UNIT_NM for bound in self.settings.z_range_nm)
        z = self.parameters["position"][:, 2]
        outside = (z - high).clamp(min=0) + (low - z).clamp(min=0)
        modes = (self.parameters["zernike"] / (2 * math.pi * self.settings.prior_waves)).square().sum()
        return modes / self.data.numel() + outside.square().mean()

    @torch.no_grad()
    def search_depths(self) -> None:
        """Give each molecule the depth, of several, whose image fits best with its lateral position kept."""
        low, high = self.settings.z_range_nm
        candidates = torch.arange(low, high + 1, _SEARCH_STEP_NM)
        errors = []
        kept = self.parameters["position"].clone()
        everything = torch.arange(len(self.data))
        for depth in candidates:
            self.parameters["position"] = kept.clone()
            self.parameters["position"][:, 2] = depth / _UNIT_NM
            errors.append(self.residual(everything))
        best = torch.stack(errors).argmin(0)
        kept[:, 2] = candidates[best] / _UNIT_NM
        self.parameters["position"] = kept

    def descend(
        self, rates: dict[str, float], steps: int, generator: np.random.Generator, factor: float
    ) -> None:
        """Adam over the named parameters on random molecules."""
        for name, tensor in self.parameters.items():
            tensor.requires_grad_(name in rates)
        groups = [{"params": [self.parameters[name]], "lr": rate} for name, rate in rates.items()]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.0)
        count = min(self.settings.batch, len(self.data))
        for _ in range(steps):
            index = torch.from_numpy(generator.permutation(len(self.data))[:count])
            optimizer.zero_grad()
            torch.autograd.backward(self.residual(index, factor).mean() + self.prior())
            optimizer.step()
            schedule.step()
        for tensor in self.parameters.values():
            tensor.requires_grad_(False)


def calibrate_insitu(
    molecules: NDArray[np.floating],
    optics: OpticalSystem,
    settings: InsituSettings | None = None,
    start: Tensor | None = None,
) -> InsituCalibration:
    """Estimate the PSF from cut-outs of isolated molecules at unknown depths.

    Raises `UserError` if there are fewer than 10 molecules or the depth range is empty.

    Parameters
    ----------
    molecules
        (N, S, S) cut-outs.
    optics
        Microscope.
    settings
        Priors; defaults when None.
    start
        (48, 48) first guess of the pupil phase, for instance the designed mask; None takes the astigmatism of
        the settings. Without a fair guess the result can be the conjugate twin or a scaled one.
    """
    settings = settings or InsituSettings()
    if len(molecules) < 10:
        raise UserError(f"insitu: {len(molecules)} molecules are too few: give at least 10")
    if not settings.z_range_nm[0] < settings.z_range_nm[1]:
        raise UserError(
            f"insitu: the range of depths {settings.z_range_nm} is empty: correct z_min_nm, z_max_nm"
        )
    with single_thread():
        return _calibrate(np.asarray(molecules, np.float32), optics, settings, start)


def _calibrate(
    molecules: NDArray[np.float32], optics: OpticalSystem, settings: InsituSettings, start: Tensor | None
) -> InsituCalibration:
    generator = np.random.default_rng(settings.seed)
    psf = ScalarPSF(optics, pupil_px=PUPIL_PX)
    if start is None:
        start = astigmatism_mask(psf.pupil, settings.start_waves, settings.start_angle_deg)
    data = torch.from_numpy(molecules)
    state = _State(data, _weights(molecules), psf, start, settings)
    state.parameters["position"][:, :2] = _centroids(data) * optics.pixel_size_nm / _UNIT_NM
    rates = {"position": 0.1, "zernike": 0.03, "log_blur": 0.02}
    for turn in range(settings.rounds):
        state.search_depths()
        if turn == 0:
            state.descend({"position": 0.1}, settings.steps, generator, 1.0)
        state.descend(rates, settings.steps, generator, 1.0)
    state.descend({name: rate / 3 for name, rate in rates.items()}, 2 * settings.steps, generator, 1.0)
    scale_range = _axial_scale_range(state, generator)
    return _result(state, optics, scale_range)


def _weights(molecules: NDArray[np.float32]) -> Tensor:
    """Inverse variances, scaled to a unit mean square of the data about each cut-out's mean."""
    noise = np.maximum(corner_statistics(molecules)[1], 1e-6 * molecules.std())[:, None, None]
    signal = np.clip(molecules - np.median(molecules, axis=(1, 2), keepdims=True), 0, None)
    # Shot noise is unknown without a camera: 5 % of the peak at the peak.
    variance = noise**2 + 0.0025 * signal * signal.max((1, 2), keepdims=True)
    weight = 1 / variance
    centred = molecules - molecules.mean((1, 2), keepdims=True)
    return torch.from_numpy(weight / (weight * centred**2).mean((1, 2), keepdims=True)).to(torch.float32)


def _centroids(data: Tensor) -> Tensor:
    """Centres of mass (N, 2), x and y in pixels from the middle."""
    signal = (data - data.flatten(1).median(1).values[:, None, None]).clamp(min=0)
    axis = torch.arange(data.shape[-1]) - (data.shape[-1] - 1) / 2
    total = signal.sum((1, 2))
    return torch.stack([(signal.sum(1) * axis).sum(1) / total, (signal.sum(2) * axis).sum(1) / total], 1)


def _axial_scale_range(state: _State, generator: np.random.Generator) -> tuple[float, float]:
    """Factors on the depths at which the refitted pupil's misfit is within 5 % of the best."""
    everything = torch.arange(len(state.data))
    saved = {name: tensor.clone() for name, tensor in state.parameters.items()}
    with torch.no_grad():
        best = float(state.residual(everything).mean())

    def is_as_good(factor: float) -> bool:
        state.parameters = {name: tensor.clone() for name, tensor in saved.items()}
        state.descend({"zernike": 0.03, "log_blur": 0.02}, state.settings.steps, generator, factor)
        with torch.no_grad():
            return float(state.residual(everything, factor).mean()) < 1.05 * best

    def reach(factors: Sequence[float]) -> float:
        last = 1.0
        for factor in factors:
            if not is_as_good(factor):
                break
            last = factor
        return last

    out = (reach((0.95, 0.9, 0.8, 0.7)), reach((1.05, 1.1, 1.25, 1.4)))
    state.parameters = saved
    return out


@torch.no_grad()
def _result(state: _State, optics: OpticalSystem, scale_range: tuple[float, float]) -> InsituCalibration:
    xyz = state.parameters["position"] * _UNIT_NM
    images = state.images(xyz)
    scale, offset = linear_fit(images, state.data, state.weight)
    model = (scale[:, None, None] * images + offset[:, None, None]).numpy()
    psf = ScalarPSF(optics, state.phase(), None, float(torch.exp(state.parameters["log_blur"])) * _UNIT_NM)
    return InsituCalibration(
        psf=psf,
        xyz_nm=xyz.numpy(),
        photons=scale.numpy(),
        background=offset.numpy(),
        model=model,
        correlation=slice_correlation(model, state.data.numpy()),
        axial_scale_range=scale_range,
    )
