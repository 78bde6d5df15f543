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
from autods.optics.binned import BinnedPSF, summed
from autods.optics.field import FieldPSF
from autods.optics.planes import PsfPlanes, psf_planes
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
    bin_px
        Side of the squares in which the camera's pixels are summed, px: a wide PSF may be found more easily
        in larger pixels.
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
        bin_px: int = 1,
    ) -> None:
        self.device, self.threshold, self.representation = torch.device(device), threshold, representation
        self.network = prepare(network, self.device)
        self.bin_px, side = bin_px, binned_side_px(size_px, bin_px)
        self._field = psf if isinstance(psf, FieldPSF) else None
        self._shape = (*z_range_nm, side, network.planes)
        self.planes = self._planes(psf)
        self._at: dict[int, ToldPsfLocalizer] = {}
        #: Context that a tile needs, px, and a block, frames before and after.
        self.margin_px = self.bin_px * (side // 2 + network.margin_px // 2)
        self.neighbours = int(network.has_context)

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
        bin_px: int = 1,
    ) -> ToldPsfLocalizer:
        """Load the network of a card of the family ``universal``; other arguments as above.

        Raises `UserError` if the card is of another family, or its weights do not fit.
        """
        network = load_model(card)
        representation = build_representation(card.representation.name, **card.representation.args)
        if not isinstance(network, UniversalNet) or not isinstance(representation, MixtureRepresentation):
            raise UserError(f"{card.name}: a model of family {card.family} cannot be told a PSF")
        wanted = card.threshold if threshold is None else threshold
        return cls(network, representation, psf, z_range_nm, size_px, wanted, device, bin_px)

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
        frames, variance = _in_squares(frames, variance, self.bin_px)
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
        found = Detections.concatenate(parts, [start - first for start in starts])
        std_px = None if found.uncertainty_px is None else self.bin_px * found.uncertainty_px
        return replace(
            found, x_px=self.bin_px * found.x_px, y_px=self.bin_px * found.y_px, uncertainty_px=std_px
        )

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
            other.planes = self._planes(self._field.at(x_nm, y_nm))
            self._at[node] = other
        return self._at[node]

    def _planes(self, psf: PSFModel) -> PsfPlanes:
        seen = psf if self.bin_px == 1 else BinnedPSF(psf, self.bin_px)
        return psf_planes(seen, *self._shape).to(self.device)

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


def binned_side_px(size_px: int, bin_px: int) -> int:
    """Return the side (odd), in squares, of the region that is looked at, for one of ``size_px``, px."""
    side = -(-min(size_px, bin_px * WIDEST_PX) // bin_px)
    return side + 1 - side % 2


def _in_squares(frames: Tensor, variance: Tensor, bin_px: int) -> tuple[Tensor, Tensor]:
    """Sum pixels; a square with one that is not valid is not."""
    if bin_px == 1:
        return frames, variance
    return summed(torch.where(variance.isfinite(), frames, 0.0), bin_px), summed(variance, bin_px)


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
