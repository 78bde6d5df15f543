"""Mixture-density localization: each camera pixel tells whether and where it holds an emitter.

The output of a pixel is a probability and a normal density of the position; the true emitters are a sample of
the mixture of all pixels (Speiser et al., Nature Methods 18, 1082 (2021), "DECODE"). With an axial range the
position has a third axis. With photons, their logarithm is one more axis, and every pixel tells its
background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from autods.core import EmitterBatch, UserError
from autods.core.grid import nm_to_px
from autods.representation.base import Detections
from autods.representation.leaders import leaders_of_pixels

#: Output channels in 2D: detection logit, offsets x and y, their raw standard deviations.
CHANNELS = 5
#: In 3D two more: z and its raw standard deviation.
CHANNELS_3D = 7
#: With photons four more: logarithms of photons and background, each with its raw standard deviation.
LIGHT_CHANNELS = 4

_MAX_OFFSET_PX = 1.5
_MIN_STD_PX = 0.02
#: In units of half the axial range.
_MIN_STD_Z = 0.005
#: Of the logarithms of photons and background; and what outputs of 0 stand for.
_MIN_STD_LOG = 0.01
_TYPICAL_PHOTONS, _TYPICAL_BACKGROUND = 1000.0, 30.0
_RARE_LOGIT = -4.0
_FLOOR = 1e-9
#: Probability, in parts of the threshold, below which a pixel is left out.
_NEGLIGIBLE = 1e-3
#: Power of 1 / (sigma_x sigma_y) by which predictions of one emitter are weighed. 0 is the plain mixture:
#: its pull (error over predicted error) is 0.3 to 0.6 for resolved emitters; with 1.5 it is 0.85 to 1.1.
_SHARPNESS = 1.5


class MixtureRepresentation:
    """A probability and a normal density of the position for every camera pixel.

    The mixture of all pixels of DECODE (Speiser et al., Nature Methods 18, 1082 (2021)). Raises `UserError`
    if the axial range is given by half, or reversed.

    Parameters
    ----------
    pixel_size_nm
        Camera pixel of the network's input, nm.
    window_px
        Radius of the square of pixels round an emitter that may explain it, camera pixels; farther pixels'
        densities are negligible there.
    merge_px
        Pixels whose predicted positions are closer than this describe the same emitter.
    z_min_nm, z_max_nm
        Axial range, nm, which scales the axial outputs (emitters beyond it are within reach); None for 2D.
    merge_z_nm
        In 3D, pixels must also agree in z within this to describe the same emitter, nm.
    photons
        Whether photons and background are told, too. Only a network that sees photons
        (``normalization=camera``) can know them.
    """

    def __init__(
        self,
        pixel_size_nm: float,
        window_px: int = 2,
        merge_px: float = 0.6,
        z_min_nm: float | None = None,
        z_max_nm: float | None = None,
        merge_z_nm: float = 250.0,
        photons: bool = False,
    ) -> None:
        self.pixel_size_nm = pixel_size_nm
        self.window_px = window_px
        self.merge_px = merge_px
        self._axis = None if z_min_nm is None and z_max_nm is None else _Axis.between(z_min_nm, z_max_nm)
        self.merge_z_nm = merge_z_nm
        n_geometric = CHANNELS if self._axis is None else CHANNELS_3D
        self.tells_photons = photons
        self._light = _Light(n_geometric) if photons else None
        #: Numbers per pixel that the network must give.
        self.channels = n_geometric + (LIGHT_CHANNELS if photons else 0)

    def loss(
        self, output: Tensor, emitters: EmitterBatch, background: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Negative log likelihood of the true emitters, per 100 camera pixels.

        ``count``: the number of emitters is a sum of independent Bernoulli variables, approximated by the
        normal distribution of the same mean and variance. ``mixture``: each emitter is drawn from the mixture
        of the pixels' densities with weights p / sum(p). ``background``: the mean over the pixels of the
        normal likelihood of log(1 + background): neighbouring pixels know the same, and count as one. Returns
        the terms ``count`` and ``mixture``, and ``background`` where it is told and the truth given.

        Parameters
        ----------
        output
            (B, channels, Y, X) network output.
        emitters
            True emitters; those outside the field are ignored.
        background
            (B, Y, X) true photons per pixel without them.
        """
        height, width = output.shape[-2:]
        x, y = nm_to_px(emitters.xyz_nm[..., :2], self.pixel_size_nm).unbind(-1)
        inside = emitters.mask & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        probability = _probability(output)
        total = probability.sum((1, 2)) + _FLOOR
        variance = (probability * (1 - probability)).sum((1, 2)) + _FLOOR
        count = 0.5 * ((inside.sum(1) - total) ** 2 / variance + variance.log())
        likelihood = self._log_likelihood(output, x, y, emitters, inside)
        likelihood = likelihood - total.log().unsqueeze(1)
        mixture = -(likelihood * inside).sum(1)
        scale = 100 / (height * width)
        terms = {"count": count.mean() * scale, "mixture": mixture.mean() * scale}
        if self._light is not None and background is not None:
            terms["background"] = -_log_normal(background.log1p(), *self._light.background(output)).mean()
        return terms

    def _log_likelihood(
        self, output: Tensor, x: Tensor, y: Tensor, emitters: EmitterBatch, inside: Tensor
    ) -> Tensor:
        """Return (B, K) log of the sum over the window of p times the density at the emitter."""
        height, width = output.shape[-2:]
        radius = self.window_px
        offset = torch.arange(-radius, radius + 1, device=output.device)
        rows = y.floor().long().clamp(0, height - 1)[..., None] + offset
        columns = x.floor().long().clamp(0, width - 1)[..., None] + offset
        rows, columns = (
            rows[..., :, None].expand(*rows.shape, 2 * radius + 1).flatten(2),
            columns[..., None, :].expand(*rows.shape, 2 * radius + 1).flatten(2),
        )
        exists = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        flat = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
        picked = output.flatten(2).gather(2, flat.unsqueeze(1).expand(-1, self.channels, -1))
        picked = picked.view(len(output), self.channels, x.shape[1], -1)
        log_p = F.logsigmoid(picked[:, 0] + _RARE_LOGIT)
        mean_x, mean_y, std_x, std_y = _positions(picked, rows, columns)
        deviation_x = (x[..., None] - mean_x) / std_x
        deviation_y = (y[..., None] - mean_y) / std_y
        density = -0.5 * (deviation_x**2 + deviation_y**2) - std_x.log() - std_y.log() - math.log(2 * math.pi)
        if self._axis is not None:
            # In units of half the range, so that the loss does not depend on the unit of length.
            unit = self._axis.half_nm
            mean_z, std_z = self._axis.positions(picked)
            z = emitters.xyz_nm[..., 2, None]
            density = density + _log_normal(z / unit, mean_z / unit, std_z / unit)
        if self._light is not None:
            photons = emitters.photons[..., None].clamp_min(1.0).log()
            density = density + _log_normal(photons, *self._light.photons(picked))
        joint = (log_p + density).masked_fill(~exists, -math.inf)
        return torch.logsumexp(joint, dim=-1).masked_fill(~inside, 0.0)

    def decode(self, output: Tensor, threshold: float) -> Detections:
        """Read one detection per emitter.

        A pixel gives way to the most probable of its eight neighbours that points to the same place; what
        remains are the detections. A detection's confidence is the probability gathered from its followers,
        its position and uncertainty those of their mixture, sharp predictions weighing more than broad ones:
        improbable broad ones stand for what else there may be, and would make all detections look uncertain.
        Returns `Detections`, with ``uncertainty_px``, in 3D also ``z_nm`` and its uncertainty, with photons
        also these, theirs, and the background; by image, then row, then column.

        Parameters
        ----------
        output
            (B, channels, Y, X) network output.
        threshold
            Smallest gathered probability.
        """
        n_images, channels, height, width = output.shape
        flat = output.permute(0, 2, 3, 1).reshape(-1, channels).T
        pixel = torch.arange(flat.shape[1], device=output.device)
        return self.decode_pixels(flat, pixel, (n_images, height, width), threshold)

    def decode_pixels(
        self, output: Tensor, pixel: Tensor, shape: tuple[int, int, int], threshold: float
    ) -> Detections:
        """Read detections from some pixels only: all others are taken to hold nothing.

        Parameters
        ----------
        output
            (channels, M) network output.
        pixel
            (M,) flat index of each pixel, ascending, into images of ``shape``.
        shape
            Images, rows and columns.
        threshold
            See :meth:`decode`.
        """
        _, height, width = shape
        # Of most pixels it is all but certain that they hold nothing.
        least = max(_NEGLIGIBLE * threshold, _FLOOR)
        likely = torch.nonzero(output[0] + _RARE_LOGIT >= math.log(least / (1 - least))).squeeze(1)
        output, pixel = output[:, likely], pixel[likely]
        row = torch.div(pixel, width, rounding_mode="floor")
        image = torch.div(row, height, rounding_mode="floor")
        row, column = row - image * height, pixel % width
        told = _Told.read(output[None], row[None], column[None], self._axis, self._light)
        means = [mean[0] for mean in told.places(self._axis)]
        leader = leaders_of_pixels(
            told.probability[0], means, (image, row, column), shape, self.merge_px, self.merge_z_nm
        )
        return self._gathered(told, leader, image, threshold)

    def _gathered(self, told: _Told, leader: Tensor, image: Tensor, threshold: float) -> Detections:
        """Join what pixels tell with what their leaders do."""
        x, std_x, std_y, probability = told.x, told.std_x, told.std_y, told.probability
        first = [torch.ones_like(x), *(mean for mean, _ in told.mean_std)]
        moments = torch.stack([*first, *(std**2 + mean**2 for mean, std in told.mean_std)])
        moments *= probability * (std_x * std_y) ** -_SHARPNESS
        gathered = torch.zeros_like(moments.flatten(1)).index_add_(1, leader, moments.flatten(1))
        confidence = torch.zeros_like(gathered[0]).index_add_(0, leader, probability.flatten())
        own = torch.arange(leader.numel(), device=leader.device)
        found = torch.nonzero((leader == own) & (confidence >= max(threshold, _FLOOR))).squeeze(1)
        mean, square = (gathered[1:, found] / gathered[0, found]).chunk(2)
        variance = square - mean**2
        lateral = 0.5 * (square[0] - mean[0] ** 2 + square[1] - mean[1] ** 2)
        detections = Detections(
            image[found],
            mean[0],
            mean[1],
            confidence[found].clamp(max=1.0),
            lateral.clamp_min(_MIN_STD_PX**2).sqrt(),
        )
        if self._axis is not None:
            std_z = variance[2].clamp_min(self._axis.min_std_nm**2).sqrt()
            detections = replace(detections, z_nm=mean[2], uncertainty_z_nm=std_z)
        if self._light is not None:
            photons, std_log = mean[-2].exp(), variance[-2].clamp_min(_MIN_STD_LOG**2).sqrt()
            background = mean[-1].expm1().clamp_min(0)
            detections = replace(
                detections, photons=photons, uncertainty_photons=photons * std_log, background=background
            )
        return detections


@dataclass(frozen=True)
class _Told:
    """What pixels tell: probability and positions (B, ...), and every mean with its standard deviation."""

    probability: Tensor
    x: Tensor
    std_x: Tensor
    std_y: Tensor
    mean_std: list[tuple[Tensor, Tensor]]

    @classmethod
    def read(
        cls, output: Tensor, rows: Tensor, columns: Tensor, axis: _Axis | None, light: _Light | None
    ) -> _Told:
        """Read outputs (B, C, ...) of the pixels at rows and columns."""
        x, y, std_x, std_y = _positions(output, rows, columns)
        mean_std = [(x, std_x), (y, std_y)]
        if axis is not None:
            mean_std.append(axis.positions(output))
        if light is not None:
            mean_std += [light.photons(output), light.background(output)]
        return cls(_probability(output), x, std_x, std_y, mean_std)

    def places(self, axis: _Axis | None) -> list[Tensor]:
        """Return x, y and, with an axial range, z."""
        return [mean for mean, _ in self.mean_std[: 2 if axis is None else 3]]


@dataclass(frozen=True)
class _Axis:
    """The axial range: its middle and half of its length, nm."""

    middle_nm: float
    half_nm: float

    @classmethod
    def between(cls, z_min_nm: float | None, z_max_nm: float | None) -> _Axis:
        if z_min_nm is None or z_max_nm is None or not z_max_nm > z_min_nm:
            raise UserError(
                f"representation: z_min_nm={z_min_nm} and z_max_nm={z_max_nm} are no range: give both, rising"
            )
        return cls(0.5 * (z_min_nm + z_max_nm), 0.5 * (z_max_nm - z_min_nm))

    @property
    def min_std_nm(self) -> float:
        return _MIN_STD_Z * self.half_nm

    def positions(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and its standard deviation, nm, of outputs (B, 7, ...)."""
        z = self.middle_nm + self.half_nm * output[:, 5]
        return z, self.half_nm * (F.softplus(output[:, 6]) + _MIN_STD_Z)


@dataclass(frozen=True)
class _Light:
    """Logarithms of photons and of 1 + background, in the channels from ``first`` on."""

    first: int

    def photons(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return log photons and its standard deviation of outputs (B, C, ...)."""
        return self._pair(output, self.first, math.log(_TYPICAL_PHOTONS))

    def background(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return log(1 + background) and its standard deviation of outputs (B, C, ...)."""
        return self._pair(output, self.first + 2, math.log1p(_TYPICAL_BACKGROUND))

    @staticmethod
    def _pair(output: Tensor, first: int, typical: float) -> tuple[Tensor, Tensor]:
        return typical + output[:, first], F.softplus(output[:, first + 1]) + _MIN_STD_LOG


def _log_normal(value: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return -0.5 * ((value - mean) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)


def _probability(output: Tensor) -> Tensor:
    return torch.sigmoid(output[:, 0] + _RARE_LOGIT)


def _positions(output: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x, y and their standard deviations, corner pixels, of the pixels at rows and columns."""
    x = columns + 0.5 + _MAX_OFFSET_PX * torch.tanh(output[:, 1])
    y = rows + 0.5 + _MAX_OFFSET_PX * torch.tanh(output[:, 2])
    return x, y, F.softplus(output[:, 3]) + _MIN_STD_PX, F.softplus(output[:, 4]) + _MIN_STD_PX
