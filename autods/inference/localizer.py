"""A trained network that localizes: network, normaliser and decoder in one, for frames of any size."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from autods.core import UserError
from autods.inference.rescaling import Rescaling
from autods.networks import context_frames, needs_photons, normalize
from autods.representation import Detections, Representation, build_representation
from autods.zoo import ModelCard, load_model

logger = logging.getLogger(__name__)

#: Pixels that go through the network at once. On a CPU, activations that stay in the cache are up to
#: twice as fast as large batches (measured with 116 px patches); a GPU wants to be filled.
CPU_BATCH_PX, GPU_BATCH_PX = 32_768, 2_097_152


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``; ``auto`` is the first of cuda, mps, cpu that works.

    Raises
    ------
    UserError
        If there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={name} cannot be used here: use auto, cpu, or a device of `autods doctor`"
        ) from error
    return device


class Localizer:
    """Finds emitters in frames of any size and any linear unit.

    Parameters
    ----------
    network
        Maps normalised frames (B, C, Y, X) to what the representation decodes; it is copied. Its attribute
        ``margin_px`` is how far an output pixel looks, its optional ``multiple`` what the sides must be a
        multiple of, its optional ``in_channels`` how many consecutive frames, of which the middle one is
        localized, and what the normalization adds.
    representation
        Decoder of the output.
    normalization
        Kind for :func:`autods.networks.normalize`.
    threshold
        Smallest confidence of a detection.
    device
        Where to compute.
    """

    def __init__(
        self,
        network: nn.Module,
        representation: Representation,
        normalization: str,
        threshold: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.representation = representation
        self.normalization = normalization
        self.threshold = threshold
        self.margin_px = int(getattr(network, "margin_px", 0))
        self.multiple = int(getattr(network, "multiple", 1))
        self.context = context_frames(int(getattr(network, "in_channels", 1)), normalization)
        self.needs_photons = needs_photons(normalization)
        fused = fuse_batch_norms(copy.deepcopy(network).eval())
        self.network = fused.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._batch_px = CPU_BATCH_PX if self.device.type == "cpu" else GPU_BATCH_PX

    @classmethod
    def from_card(
        cls, card: ModelCard, *, threshold: float | None = None, device: torch.device | str = "cpu"
    ) -> Localizer:
        """Load a model of the zoo; its weights are verified.

        Parameters
        ----------
        card
            From :func:`autods.zoo.load_card`.
        threshold
            Smallest confidence; None for the card's own.

        Raises
        ------
        UserError
            If the weights are missing, corrupted or do not fit.
        """
        representation = build_representation(card.representation.name, **card.representation.args)
        wanted = card.threshold if threshold is None else threshold
        return cls(load_model(card), representation, card.normalization, wanted, device)

    @torch.inference_mode()
    def localize(
        self,
        frames: Tensor,
        rescaling: Rescaling | None = None,
        wanted: Tensor | None = None,
        psf_sigma_px: float | None = None,
    ) -> Detections:
        """Find the emitters.

        Parameters
        ----------
        frames
            (T, Y, X) of any type, on any device: photons where `needs_photons` says so, else of any linear
            unit; consecutive ones where the network looks at neighbours, and the first and the last are their
            own outer neighbours.
        rescaling
            How the frames are brought to the network's optics; None for as they are.
        wanted
            (B,) indices of the frames to localize; None for all.
        psf_sigma_px
            PSF standard deviation of the frames, px, for frames in units of their noise: it tells what
            rescaling makes of the noise, and some networks are told it. None for frames of unknown noise.

        Returns
        -------
        Detections
            On the CPU, by frame, which counts in ``wanted``; positions (and uncertainties) in corner pixels
            of the frames given, the background per pixel of these.

        Raises
        ------
        UserError
            If the device cannot hold one image; batches that do not fit are halved.
        """
        rescaling = rescaling or Rescaling()
        scaled_px = frames.shape[-2] * frames.shape[-1] * rescaling.zoom**2
        per_batch = max(1, int(self._batch_px / max(scaled_px, 1.0)))
        windows = self._windows(len(frames), wanted).to(frames.device)
        waiting = [windows[start : start + per_batch] for start in range(0, len(windows), per_batch)]
        parts, starts, done = [], [], 0
        while waiting:
            batch = waiting.pop(0)
            try:
                found = self._find(frames[batch], rescaling, psf_sigma_px)
            except RuntimeError as error:
                if not _is_too_large(error):
                    raise
                if len(batch) == 1:
                    raise UserError(
                        f"the device's memory does not hold one image of {frames.shape[-2]} x"
                        f" {frames.shape[-1]} px: use a smaller patch_um, a roi, or device=cpu"
                    ) from error
                # What fits is known only when tried: other programs share the device.
                self._batch_px //= 2
                logger.info("batches are too large here and halved to %d px", self._batch_px)
                waiting = [*batch.chunk(2), *waiting]
                continue
            parts.append(found)
            starts.append(done)
            done += len(batch)
        return Detections.concatenate(parts, starts)

    def _find(self, frames: Tensor, rescaling: Rescaling, psf_sigma_px: float | None) -> Detections:
        """Localize one batch (B, C, Y, X)."""
        scaled = rescaling.apply(frames.to(self.device, torch.float32), multiple=self.multiple)
        if self.needs_photons:
            scaled = scaled / rescaling.zoom**2  # a larger pixel holds the photons of several
        floor, seen_px = 0.0, None
        if psf_sigma_px is not None:
            floor, seen_px = rescaling.noise_std(psf_sigma_px), rescaling.seen_sigma_px(psf_sigma_px)
        normal = normalize(scaled, self.normalization, noise_floor=floor, psf_sigma_px=seen_px)
        normal = normal.contiguous(memory_format=torch.channels_last)
        found = self.representation.decode(self.network(normal), self.threshold)
        return _to_movie(found, rescaling.zoom)

    def _windows(self, n_frames: int, wanted: Tensor | None) -> Tensor:
        """Return (B, C) the frames that the network is shown for each wanted one."""
        middle = torch.arange(n_frames) if wanted is None else wanted.cpu()
        around = torch.arange(self.context) - self.context // 2
        return (middle.unsqueeze(1) + around).clamp(0, max(n_frames - 1, 0))


def _is_too_large(error: RuntimeError) -> bool:
    """Tell whether a batch did not fit: the memory is short, or a kernel counts elements in 32 bits."""
    return isinstance(error, torch.OutOfMemoryError) or "INT_MAX" in str(error)


def _to_movie(found: Detections, zoom: float) -> Detections:
    """Return detections on the CPU, those of rescaled frames in pixels of the movie."""
    found = found.map(Tensor.cpu)
    std, z, std_z, background = found.uncertainty_px, found.z_nm, found.uncertainty_z_nm, found.background
    scale = 1 / zoom
    return replace(
        found,
        x_px=found.x_px.double() * scale,
        y_px=found.y_px.double() * scale,
        uncertainty_px=None if std is None else std.double() * scale,
        z_nm=None if z is None else z.double(),
        uncertainty_z_nm=None if std_z is None else std_z.double(),
        background=None if background is None else background * zoom**2,
    )


def fuse_batch_norms(module: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution before it in a Sequential; changes and returns the module.

    The result is the same up to rounding; with channels-last memory it is 1.2 to 1.7 times faster on a CPU.
    """
    for child in module.children():
        fuse_batch_norms(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            first, second = module[index], module[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(first, second)
                module[index + 1] = nn.Identity()
    return module
