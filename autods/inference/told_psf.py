"""The localizer that is told the PSF: network, planes and scene in one, for frames of any size."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from autods.core import UserError
from autods.inference.execution import prepare
from autods.inference.localizer import CPU_BATCH_PX, GPU_BATCH_PX
from autods.networks.universal import UniversalNet
from autods.optics import PSFModel
from autods.optics.field import FieldPSF
from autods.optics.planes import psf_planes
from autods.representation import Detections, MixtureRepresentation, build_representation
from autods.zoo import ModelCard, load_model

#: Side of the widest region that is looked at, px: beyond, even a deep Tetrapod has little light.
WIDEST_PX = 61
#: The removed background is a low percentile of noisy values: it lies at most so many deviations too low.
_MOST_REST = 1.7
_LEAST_VARIANCE = 1e-3


class ToldPsfLocalizer:
    """Finds emitters of one PSF with a network that was trained for none in particular.

    Parameters
    ----------
    network
        Trained network; it is copied.
    representation
        Decoder of its output, in pixels and planes.
    psf
        The PSF that it is told.
    z_range_nm
        Depths, nm.
    size_px
        Side of the region that holds most of the PSF's light, odd, px.
    threshold
        Smallest confidence.
    device
        Where to compute.
    """

    def __init__(
        self,
        network: UniversalNet,
        representation: MixtureRepresentation,
        psf: PSFModel,
        z_range_nm: tuple[float, float],
        size_px: int,
        threshold: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device, self.threshold, self.representation = torch.device(device), threshold, representation
        self.network = prepare(network, self.device)
        side = min(size_px, WIDEST_PX)
        self._field = psf if isinstance(psf, FieldPSF) else None
        self._shape = (*z_range_nm, side, network.planes)
        self.planes = psf_planes(psf, *self._shape).to(self.device)
        self._at: dict[int, ToldPsfLocalizer] = {}
        #: Context that a tile needs, px, and a block, frames before and after.
        self.margin_px, self.neighbours = side // 2 + network.margin_px // 2, int(network.has_context)

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        psf: PSFModel,
        z_range_nm: tuple[float, float],
        size_px: int,
        *,
        threshold: float | None = None,
        device: torch.device | str = "cpu",
    ) -> ToldPsfLocalizer:
        """Load the network of a card of the family ``universal``; other arguments as above.

        Raises `UserError` if the card is of another family, or its weights do not fit.
        """
        network = load_model(card)
        representation = build_representation(card.representation.name, **card.representation.args)
        if not isinstance(network, UniversalNet) or not isinstance(representation, MixtureRepresentation):
            raise UserError(f"{card.name}: a model of family {card.family} cannot be told a PSF")
        wanted = card.threshold if threshold is None else threshold
        return cls(network, representation, psf, z_range_nm, size_px, wanted, device)

    @torch.inference_mode()
    def find(self, frames: Tensor, variance: Tensor, own: slice | None = None) -> Detections:
        """Find the emitters.

        Returns `Detections`, on the CPU, by frame, from the first that is searched; positions in corner
        pixels of the frames, depths in nm.

        Parameters
        ----------
        frames
            (T, Y, X) photons without background.
        variance
            (T, Y, X) of their noise.
        own
            Frames that are searched, where all follow each other in time; None for all, each by itself.
        """
        most = CPU_BATCH_PX if self.device.type == "cpu" else GPU_BATCH_PX
        count = max(1, most // (frames.shape[1] * frames.shape[2]))
        reach = 0 if own is None else self.neighbours
        first, last, _ = (own or slice(None)).indices(len(frames))
        parts, starts = [], list(range(first, last, count))
        for start in starts:
            stop = min(start + count, last)
            low, high = max(start - reach, 0), min(stop + reach, len(frames))
            seen = frames[low:high].to(self.device), variance[low:high].to(self.device)
            parts.append(self._find(*seen, slice(start - low, stop - low), follow=own is not None))
        return Detections.concatenate(parts, [start - first for start in starts])

    def with_threshold(self, threshold: float) -> ToldPsfLocalizer:
        """Return the same localizer with another smallest confidence."""
        other = copy.copy(self)
        other.threshold, other._at = threshold, {}
        return other

    def at(self, x_nm: float, y_nm: float) -> ToldPsfLocalizer:
        """Return the localizer for a place of the full frame: it is told the PSF there."""
        if self._field is None:
            return self
        node = int(self._field.node(torch.tensor(x_nm), torch.tensor(y_nm)))
        if node not in self._at:
            other = copy.copy(self)
            other.planes = psf_planes(self._field.at(x_nm, y_nm), *self._shape).to(self.device)
            self._at[node] = other
        return self._at[node]

    def _find(self, frames: Tensor, variance: Tensor, own: slice, *, follow: bool) -> Detections:
        normal, weight = told_scene(frames, variance)
        length = len(frames) if follow else 1
        output = self.network(normal, weight, self.planes.kernels, length, own).output
        found = self.representation.decode(output, self.threshold)
        assert found.z_nm is not None
        assert found.uncertainty_z_nm is not None
        z_nm, unit_nm = self.planes.to_nm(found.z_nm[None])
        std_z = found.uncertainty_z_nm * unit_nm[0]
        return replace(found, z_nm=z_nm[0], uncertainty_z_nm=std_z).on_host()


def told_scene(frames: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Turn photons without background, and their variance, into the input of `UniversalNet`.

    Returns ``frames, weight``: (T, Y, X), see `UniversalNet.forward`.

    Parameters
    ----------
    frames, variance
        (T, Y, X); a variance that is not finite marks a pixel as not valid.
    """
    valid = variance.isfinite()
    noise = torch.where(valid, variance, 1.0).clamp_min(_LEAST_VARIANCE).sqrt()
    normal = torch.where(valid, frames / noise, torch.nan)
    rest = normal.flatten(1).nanmedian(1).values.clamp(0, _MOST_REST)
    normal = torch.nan_to_num(normal - rest[:, None, None])
    weight = torch.where(valid, 1 / noise, 0.0)
    return normal, weight / weight.mean((1, 2), keepdim=True).clamp_min(1e-9)
