"""Phase retrieval: the pupil behind a stack of one bead at known focal planes."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from autods.calibration.quality import light_above_border, remove_focus
from autods.core import OpticalSystem
from autods.optics.pupil_psf import PupilPSF, ScalarPSF, VectorialPSF
from autods.optics.unwrap import unwrap_phase
from autods.optics.zernike import zernike_basis

_log = logging.getLogger(__name__)

#: Background per pixel over an emitter's photons that a PSF is weighted for: that of usual movies.
USUAL_BACKGROUND = 0.005

#: Blur sigma at the start, nm.
_START_BLUR_NM = 80.0
#: Lengths are optimised in units of 100 nm, so that one learning rate suits them.
_UNIT_NM = 100.0
#: Of the slices in a step, every so many tell how much light is outside.
_CONTAINED_STRIDE = 3
#: Root of the amplitude's fall towards the rim at the start, as an exponent.
_START_FALL = 0.2


@dataclass(frozen=True)
class RetrievalSettings:
    """How the pupil is fitted."""

    #: "pixel": Zernike modes plus a free phase in every pupil sample; "zernike": modes only.
    method: Literal["pixel", "zernike"] = "pixel"
    #: "scalar" or "vectorial" diffraction.
    model: Literal["scalar", "vectorial"] = "scalar"
    #: "likelihood": Gaussian approximation to Poisson and read noise; "mse": plain squares.
    loss: Literal["likelihood", "mse"] = "likelihood"
    #: Steps of gradient descent for the final fit; each sees `batch_slices` slices.
    steps: int = 400
    #: Slices a step, drawn evenly over the stack.
    batch_slices: int = 14
    #: Largest Noll index fitted.
    zernike_max: int = 36
    #: Fit the pupil's amplitude too.
    fit_amplitude: bool = False
    #: Include light beyond the critical angle (see `Pupil.sample`); None tries both where the aperture is
    #: that wide and keeps what explains held-out slices better.
    supercritical: bool | None = None
    #: Weight of the roughness (second differences) of the free phase and of the amplitude.
    smoothness: float = 1e-2
    #: Weight of the light that the phase puts outside of the cut-out, which the data do not show: a free
    #: phase would scatter as much of it there as it likes.
    containment: float = 0.02
    #: Pupil samples (pixels) a side; None chooses the fewest that keep the image from repeating.
    pupil_px: int | None = None


@dataclass(frozen=True)
class Retrieved:
    """Result of a phase retrieval."""

    #: The calibrated PSF with the objective at NFP = 0: focused at z = 0 when focal planes were scanned; with
    #: the fitted focal plane in its phase when the emitter's own depth was.
    psf: PupilPSF
    #: Offset of the bead from the centre of the stack, nm.
    x_nm: float
    y_nm: float
    #: What must be added to the stated focal planes so that the bead is in focus at 0, nm; for a scan of the
    #: emitter's depth, the fitted focal plane.
    z_offset_nm: float
    #: (Z, S, S) model of every slice, photons and background included.
    model: np.ndarray
    #: (Z,) fitted scale and offset of each slice.
    photons: np.ndarray
    background: np.ndarray
    #: (Z,) share of the light within the cut-out.
    inside: np.ndarray


def pupil_samples(optics: OpticalSystem, size_px: int, depth_nm: float) -> int:
    """Pupil samples that keep the periodic image from overlapping itself.

    The field of view, plus the spread of a PSF defocused by `depth_nm`, must fit the period
    ``P * wavelength / (2 NA)``.
    """
    na, wavelength = optics.na or 1.0, optics.wavelength_nm or 600.0
    span = size_px * optics.pixel_size_nm + depth_nm
    return int(np.clip(16 * math.ceil(span * 2 * na / wavelength / 16), 48, 128))


def linear_fit(image: Tensor, data: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted least-squares scale and offset (Z,) that fit images (Z, S, S) to data, slice by slice."""
    total = weight.sum((1, 2))
    mean_image, mean_data = (weight * image).sum((1, 2)) / total, (weight * data).sum((1, 2)) / total
    centred = image - mean_image[:, None, None]
    scale = (weight * centred * data).sum((1, 2)) / (weight * centred * centred).sum((1, 2))
    return scale, mean_data - scale * mean_image


@dataclass(frozen=True)
class Scan:
    """Where bead and focal plane were in each slice."""

    #: (Z,) focal plane, up to a constant that is fitted, nm.
    nfp_nm: Tensor
    #: (Z,) depth of the bead in the sample, nm.
    depth_nm: Tensor

    @classmethod
    def of(cls, z_nm: np.ndarray, scan: str) -> Scan:
        """Read positions (Z,) as those of the "objective", the "stage" (or "sample") or the "emitter"."""
        z = torch.from_numpy(np.asarray(z_nm, np.float64)).to(torch.float32)
        zero = torch.zeros_like(z)
        if scan == "emitter":
            return cls(zero, z)
        return cls(z if scan == "objective" else -z, zero)

    @property
    def span_nm(self) -> float:
        """Length of the scan."""
        moved = self.depth_nm - self.nfp_nm
        return float(moved.max() - moved.min())


@dataclass
class PupilFit:
    """State of one fit: the data, the parameters and the model between them."""

    data: Tensor
    scan: Scan
    weight: Tensor
    optics: OpticalSystem
    settings: RetrievalSettings
    start: Tensor | None = None
    psf: PupilPSF = field(init=False)
    parameters: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        depth = self.scan.span_nm / 2
        count = settings.pupil_px or pupil_samples(self.optics, self.data.shape[-1], depth)
        kind = ScalarPSF if settings.model == "scalar" else VectorialPSF
        focused = replace(self.optics, nfp_nm=0.0)
        self.psf = kind(focused, pupil_px=count, supercritical=bool(settings.supercritical))
        pupil = self.psf.pupil
        inside = (torch.hypot(pupil.u, pupil.v) <= 1 + 1 / count).to(torch.float32)
        # Piston, tilt and defocus belong to the bead's position.
        self._modes = zernike_basis(list(range(5, settings.zernike_max + 1)), pupil.u, pupil.v) * inside
        square = (pupil.u**2 + pupil.v**2).clamp(max=1)
        self._radial = torch.stack([square, square**2])
        start = torch.zeros(count, count) if self.start is None else self.start
        self.parameters = {
            "zernike": torch.zeros(len(self._modes)),
            "position": torch.zeros(3),
            "log_blur": torch.tensor(math.log(_START_BLUR_NM / _UNIT_NM)),
            "phase": start.clone(),
            "apodisation": torch.full((2,), _START_FALL),
            "log_amplitude": torch.zeros(count, count),
        }

    def total_phase(self) -> Tensor:
        """Pupil phase (P, P), radians."""
        modes: Tensor = torch.tensordot(self.parameters["zernike"], self._modes, 1)
        return modes + self.parameters["phase"]

    def amplitude(self) -> Tensor:
        """Pupil amplitude (P, P): a fall towards the rim, and a free one where that is fitted."""
        fall = torch.tensordot(self.parameters["apodisation"].square(), self._radial, 1)
        return torch.exp(self.parameters["log_amplitude"] - fall)

    def _light_outside(self, slices: Tensor) -> Tensor:
        """Share of the light outside of the cut-out, of which the phase alone is to answer.

        The pupil's amplitude would gain by a smaller aperture, which changes the depth of focus.
        """
        return 1 - self.images(slices, self.amplitude().detach()).sum((1, 2)).mean()

    def images(self, slices: Tensor, amplitude: Tensor | None = None) -> Tensor:
        """Model images (n, S, S) of some slices, for one photon each; with another pupil amplitude."""
        position = self.parameters["position"] * _UNIT_NM
        depth = self.scan.depth_nm[slices]
        xyz = torch.cat([position[:2].expand(len(slices), 2), depth[:, None]], 1)
        state = {
            "phase": self.total_phase(),
            "amplitude": self.amplitude() if amplitude is None else amplitude,
            "blur_sigma_nm": torch.exp(self.parameters["log_blur"]) * _UNIT_NM,
        }
        focus = self.scan.nfp_nm[slices] + position[2]
        args = (xyz, self.data.shape[-1], focus)
        images: Tensor = torch.func.functional_call(self.psf, state, args)
        return images

    def loss(self, slices: Tensor) -> Tensor:
        """Weighted mean square (a scalar) of the residuals of some slices (B,), plus the penalties."""
        images, data, weight = self.images(slices), self.data[slices], self.weight[slices]
        scale, offset = linear_fit(images, data, weight)
        residual = data - scale[:, None, None] * images - offset[:, None, None]
        penalty = _roughness(self.parameters["phase"]) + _roughness(self.parameters["log_amplitude"])
        loss = (weight * residual**2).mean() + self.settings.smoothness * penalty
        return loss + self.settings.containment * self._light_outside(slices[::_CONTAINED_STRIDE])

    def descend(
        self, rates: dict[str, float], steps: int, slices: Tensor, generator: np.random.Generator
    ) -> None:
        """Run Adam with one cycle over the named parameters; each step sees a comb of the slices (Z,)."""
        for name, tensor in self.parameters.items():
            tensor.requires_grad_(name in rates)
        groups = [{"params": [self.parameters[name]], "lr": rate} for name, rate in rates.items()]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            list(rates.values()),
            total_steps=steps,
            # Of few steps, the rise must be more than one, or PyTorch divides by its length of 0.
            pct_start=min(max(0.1, 1.5 / steps), 0.9),
            div_factor=3,
            final_div_factor=30,
        )
        batch = min(self.settings.batch_slices, len(slices))
        for _ in range(steps):
            comb = (np.arange(batch) + generator.random()) * len(slices) / batch
            optimizer.zero_grad()
            loss = self.loss(slices[torch.from_numpy(comb.astype(np.int64))])
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        for tensor in self.parameters.values():
            tensor.requires_grad_(False)

    def mended(self) -> PupilFit | None:
        """Copy with a smooth, unwrapped phase where the free phase has torn; None where it has not.

        A free phase that grew from a flat one can end in branches of 2 pi with defects between them, which
        gradient descent does not close.
        """
        inside = self.psf.pupil.aperture > 0
        phase = self.total_phase()
        smooth = unwrap_phase(phase, inside)
        torn = (torch.cos(phase - smooth) < 0.5) & inside
        if float(torn.sum()) < 0.005 * float(inside.sum()):
            return None
        smooth = torch.from_numpy(gaussian_filter(smooth.numpy(), 1.0))
        copy = PupilFit(self.data, self.scan, self.weight, self.optics, self.settings)
        copy.parameters = {name: tensor.clone() for name, tensor in self.parameters.items()}
        copy.parameters["phase"] = smooth
        copy.parameters["zernike"] = torch.zeros_like(self.parameters["zernike"])
        return copy

    def centre_focus(self) -> None:
        """Move what position and focus explain out of the phase into the position."""
        rest, coefficients = remove_focus(self.total_phase(), self.psf.pupil)
        self.parameters["phase"] = rest
        self.parameters["zernike"] = torch.zeros_like(self.parameters["zernike"])
        self.parameters["position"] += coefficients[1:].to(torch.float32) / _UNIT_NM

    @torch.no_grad()
    def render(self) -> tuple[Tensor, Tensor, Tensor]:
        """Model of all slices (Z, S, S) with the fitted photons (Z,) and background (Z,)."""
        images = self.images(torch.arange(len(self.data)))
        scale, offset = linear_fit(images, self.data, self.weight)
        return scale[:, None, None] * images + offset[:, None, None], scale, offset

    def result(self) -> Retrieved:
        """Freeze the fit into a PSF."""
        self.centre_focus()
        model, photons, background = self.render()
        x, y, z = (self.parameters["position"] * _UNIT_NM).tolist()
        amplitude = self.amplitude()
        phase = self.total_phase()
        if bool(self.scan.depth_nm.any()):
            # The focal plane stayed where it was while the emitter moved: it belongs to the PSF.
            phase = phase - z * self.psf.pupil.kz_immersion
        with torch.no_grad():
            inside = self.images(torch.arange(len(self.data))).sum((1, 2))
        psf = type(self.psf)(
            self.psf.optics,
            phase,
            amplitude / amplitude.mean(),
            torch.exp(self.parameters["log_blur"]) * _UNIT_NM,
            supercritical=bool(self.settings.supercritical),
        )
        return Retrieved(psf, x, y, z, model.numpy(), photons.numpy(), background.numpy(), inside.numpy())


def _roughness(phase: Tensor) -> Tensor:
    """Mean of ``2 - 2 cos`` of the second differences of a phase (P, P): their square where small.

    Blind to jumps of 2 pi, which a free phase makes at will.
    """
    down = phase[2:] - 2 * phase[1:-1] + phase[:-2]
    across = phase[:, 2:] - 2 * phase[:, 1:-1] + phase[:, :-2]
    return 4 - 2 * torch.cos(down).mean() - 2 * torch.cos(across).mean()


def noise_weights(data: Tensor, noise_std: Tensor, loss: str, model: Tensor | None = None) -> Tensor:
    """Inverse variances (Z, S, S), scaled so that an unexplained stack has a loss of 1.

    The variance is the corners' noise squared plus a share of the signal and of the background that lies
    under molecules: a PSF is for movies, where its faint wings tell less than they do of beads. The gain that
    turns signal into variance is measured from the residuals of a first `model`, or guessed so that noise at
    the stack's peak is a twentieth of it. With loss "mse" all pixels weigh the same.
    """
    spread = data.var()
    if loss == "mse":
        return torch.ones_like(data) / spread
    floor = noise_std.square()[:, None, None].clamp(min=1e-6 * float(spread))
    signal = (data if model is None else model) - data.amin((1, 2), keepdim=True)
    gain = 0.0025 * float(signal.max())
    if model is not None:
        excess = ((data - model).square() - floor).sum()
        gain = float((excess / signal.sum()).clamp(min=0.1 * gain, max=10 * gain))
    signal = signal.clamp(min=0)
    under = USUAL_BACKGROUND * float(light_above_border(data).median())
    weight = 1 / (floor + gain * (signal + under))
    unexplained = (weight * (data - data.mean((1, 2), keepdim=True)).square()).mean()
    return weight / unexplained
