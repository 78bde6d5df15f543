"""A trained network that localizes: network, normaliser and decoder in one, for frames of any size."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from autods.core import UserError
from autods.inference.execution import prepare, without_padding
from autods.inference.linear_fit import pick
from autods.inference.places import Places
from autods.inference.rescaling import Rescaling
from autods.networks import (
    context_frames,
    level_and_noise,
    needs_photons,
    normalize,
    sees_pixels_alone,
)
from autods.representation import (
    Detections,
    MixtureRepresentation,
    Representation,
    build_representation,
)
from autods.zoo import ModelCard, load_model

logger = logging.getLogger(__name__)

#: Pixels that go through the network at once. On a CPU, activations that stay in the cache are up to
#: twice as fast as large batches (measured with 116 px patches); a GPU wants to be filled.
CPU_BATCH_PX, GPU_BATCH_PX = 32_768, 2_097_152
#: Half side of the part of a window whose output is used, px.
CORE_PX = 4
#: Kinds of devices whose numbers have no more than 32 bits.
_SINGLE_PRECISION = ("mps",)


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


def fitting_device(device: torch.device) -> torch.device:
    """Return where fits run beside networks on a device: the CPU where it lacks numbers of 64 bits."""
    return torch.device("cpu") if device.type in _SINGLE_PRECISION else device


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
        self.network = prepare(network, self.device)
        self._bare = without_padding(self.network)
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
        device
            Where to compute.

        Raises
        ------
        UserError
            If the weights are missing, corrupted or do not fit.
        """
        representation = build_representation(card.representation.name, **card.representation.args)
        wanted = card.threshold if threshold is None else threshold
        return cls(load_model(card), representation, card.normalization, wanted, device)

    def with_threshold(self, threshold: float) -> Localizer:
        """Return the same localizer with another smallest confidence; they share the network."""
        other = copy.copy(self)
        other.threshold = threshold
        return other

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

    @property
    def window_px(self) -> int:
        """Side of the windows of `localize_at`, px."""
        return 2 * (CORE_PX + self.margin_px) + 1

    def sees_windows(self, rescaling: Rescaling, shape_px: tuple[int, int]) -> bool:
        """Whether `localize_at` can take the place of `localize` for frames of a size."""
        return (
            self._bare is not None
            and isinstance(self.representation, MixtureRepresentation)
            and sees_pixels_alone(self.normalization)
            and rescaling.is_identity
            and self.multiple == 1
            and min(shape_px) >= self.window_px
        )

    def measure(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return level and noise (T,), on the localizer's device, that the normalization measures in frames
        (T, Y, X) on any.
        """
        frames = frames.to(self.device, torch.float32)
        if self.normalization != "noise":
            return frames.new_zeros(len(frames)), frames.new_ones(len(frames))
        level, noise = level_and_noise(frames[:, None])
        return level.flatten(), noise.flatten()

    @torch.inference_mode()
    def localize_at(
        self,
        frames: Tensor,
        places: Places,
        psf_sigma_px: float,
        measured: tuple[Tensor, Tensor] | None = None,
    ) -> Detections:
        """Find the emitters round some places only: what `localize` finds there, for less.

        Parameters
        ----------
        frames
            (T, Y, X) in units of their noise, see `localize`.
        places
            Middles of the windows that are looked at; frames count in ``frames``.
        psf_sigma_px
            PSF standard deviation of the frames, px.
        measured
            (N, T) level and noise of all frames round each place, see `measure`; None measures whole frames.

        Returns
        -------
        Detections
            See `localize`; by frame, which counts in ``frames``.
        """
        assert isinstance(self.representation, MixtureRepresentation)
        assert self._bare is not None
        frames = frames.to(self.device, torch.float32)
        shape = (int(frames.shape[0]), int(frames.shape[1]), int(frames.shape[2]))
        middle = torch.from_numpy(np.stack([places.frame, places.row, places.column])).to(self.device)
        level, noise = measured or (values.expand(len(places), -1) for values in self.measure(frames))
        half, core = self.window_px // 2, CORE_PX
        corner = torch.stack([(middle[1 + a] - half).clamp(0, shape[1 + a] - 2 * half - 1) for a in (0, 1)])
        moved = (corner != middle[1:] - half).any(0)
        outputs, pixels = [], []
        per_batch = max(1, self._batch_px // self.window_px**2)
        kinds = [torch.nonzero(chosen).squeeze(1) for chosen in (~moved, moved)]
        for rows in [part for kind in kinds for part in torch.split(kind, per_batch)]:
            if not len(rows):
                continue
            normal = self._window_input(
                frames, middle[0, rows], corner[:, rows], psf_sigma_px, (level[rows], noise[rows])
            )
            if bool(moved[rows[0]]):
                # At the border the layers see its zeros: the whole window is computed.
                output, first = self.network(normal), corner[:, rows]
            else:
                output, first = self._bare(normal), middle[1:, rows] - core
            flat, used = _used_pixels(output.shape[-1], first, middle[:, rows], shape)
            outputs.append(output.permute(0, 2, 3, 1)[used])
            pixels.append(flat[used])
        if not outputs:
            return self.localize(frames[:0])
        pixel, first_of = _unique_first(torch.cat(pixels))
        output = torch.cat(outputs)[first_of].T
        return _to_movie(self.representation.decode_pixels(output, pixel, shape, self.threshold), 1.0)

    def _window_input(
        self,
        frames: Tensor,
        frame: Tensor,
        corner: Tensor,
        psf_sigma_px: float,
        measured: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Cut and normalise windows (N, C, W, W)."""
        n_frames, height, width = frames.shape
        side = torch.arange(self.window_px, device=frames.device)
        inside = (corner[0][:, None, None] + side[:, None]) * width + corner[1][:, None, None] + side
        around = torch.arange(self.context, device=frames.device) - self.context // 2
        seen = (frame[:, None] + around).clamp(0, n_frames - 1)
        windows = pick(frames, seen[:, :, None, None] * (height * width) + inside[:, None])
        level, noise = (values.gather(1, seen)[..., None, None] for values in measured)
        normal = normalize(
            windows, self.normalization, noise_floor=1.0, psf_sigma_px=psf_sigma_px, measured=(level, noise)
        )
        return normal.contiguous(memory_format=torch.channels_last)

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


def _used_pixels(
    side: int, first: Tensor, middle: Tensor, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Return (N, S, S) the flat index of each output pixel, and whether it is near the window's middle."""
    grid = torch.arange(side, device=first.device)
    row, column = first[0][:, None] + grid, first[1][:, None] + grid
    flat = (middle[0][:, None, None] * shape[1] + row[:, :, None]) * shape[2] + column[:, None, :]
    near = (
        (position - centre[:, None]).abs() <= CORE_PX
        for position, centre in zip((row, column), middle[1:], strict=True)
    )
    down, across = near
    return flat, down[:, :, None] & across[:, None, :]


def _unique_first(pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different values in rising order, and where one of each stands."""
    value, order = pixel.sort(stable=True)
    new = torch.ones_like(value, dtype=torch.bool)
    new[1:] = value[1:] != value[:-1]
    return value[new], order[new]


def _is_too_large(error: RuntimeError) -> bool:
    """Tell whether a batch did not fit: the memory is short, or a kernel counts elements in 32 bits."""
    return isinstance(error, torch.OutOfMemoryError) or "INT_MAX" in str(error)


def _to_movie(found: Detections, zoom: float) -> Detections:
    """Return detections on the CPU as double numbers, those of rescaled frames in pixels of the movie."""
    if found.background is not None:
        found = replace(found, background=found.background * zoom**2)
    found = found.on_host()
    std, scale = found.uncertainty_px, 1 / zoom
    return replace(
        found,
        x_px=found.x_px * scale,
        y_px=found.y_px * scale,
        uncertainty_px=None if std is None else std * scale,
    )
