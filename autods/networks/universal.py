"""A localizer in depth that is told the PSF: one set of weights for every microscope.

The frame, divided by its noise, is correlated with the planes of the PSF, which gives the significance of an
emitter in every voxel whatever the PSF (a matched filter). Convolutions at three resolutions read these. In
the unrolled form a first stage proposes emitters, which are rendered through the PSF and subtracted; the next
stage sees what is left. A code of the PSF may modulate the features besides (FiLM, Perez et al., AAAI 2018).
With `context`, the significances of the frames before and after are read besides: an emitter that is on for
longer is seen more than once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autods.networks.matched_filter import MatchedFilter
from autods.networks.universal_blocks import FilmPair, PsfCode, Stage

#: How a network may be told the PSF; ``none`` and ``code`` are controls.
TELLINGS = ("none", "code", "planes", "both")
#: Numbers are compressed as ``asinh(x / _KNEE)``.
_KNEE = 2.0
#: Logit of the share of a voxel's significance that is first taken for an emitter's.
_FIRST_GATE = -3.0


class UniversalOutput(NamedTuple):
    """What the network tells.

    Parameters
    ----------
    output
        (B, 7, Y, X) as `MixtureRepresentation` reads it, with depths in units of planes.
    explained
        Rendered emitters (B, Y, X) over the noise, one image for each stage but the last.
    """

    output: Tensor
    explained: list[Tensor]


class UniversalNet(nn.Module):
    """The network.

    Raises `ValueError` if ``tell`` is not known, or there are several steps without planes.

    Parameters
    ----------
    planes
        Planes K of the PSF that it is told.
    width
        Channels at full resolution; twice as many at lower ones.
    steps
        Stages; from 2 on, emitters are rendered in between.
    tell
        One of `TELLINGS`.
    depth_shared
        Whether a first layer with the same weights for every plane, looking at its neighbours, precedes.
    channels
        Outputs per pixel.
    context
        Whether the frames before and after are looked at, where they are told.
    """

    #: Distance in pixels from which features matter, besides the radius of the PSF.
    margin_px = 24

    def __init__(
        self,
        planes: int = 16,
        width: int = 48,
        steps: int = 1,
        tell: str = "planes",
        depth_shared: bool = False,
        channels: int = 7,
        context: bool = False,
    ) -> None:
        super().__init__()
        self.planes = planes
        self.has_planes, self.has_code = tell in ("planes", "both"), tell in ("code", "both")
        self.has_context = context
        if tell not in TELLINGS or ((steps > 1 or context) and not self.has_planes):
            raise ValueError(
                f"tell={tell!r} with {steps} steps: choose one of {TELLINGS}, planes for steps or context"
            )
        self.code = PsfCode(planes) if self.has_code else None
        size = PsfCode.size if self.has_code else 0
        n_planes = planes if self.has_planes else 0
        self.shared = _SharedDepth() if depth_shared else None
        first = n_planes * ((_SharedDepth.width if depth_shared else 1) + 2 * context) + 2
        inputs = [first, *([width + 2 * n_planes + 3] * (steps - 1))]
        self.stages = nn.ModuleList(Stage(n, width, size) for n in inputs)
        self.gates = nn.ModuleList(nn.Conv2d(width, planes, 1) for _ in range(steps - 1))
        self.head_pair = FilmPair(width, size)
        self.head = nn.Conv2d(width, channels, 1)
        for gate in self.gates:
            assert isinstance(gate, nn.Conv2d)
            nn.init.normal_(gate.weight, std=0.01)
            nn.init.constant_(gate.bias, _FIRST_GATE)  # type: ignore[arg-type]

    def forward(
        self,
        frames: Tensor,
        weight: Tensor,
        kernels: Tensor,
        length: int = 1,
        own: slice = slice(None),
    ) -> UniversalOutput:
        """Map frames to detections.

        Parameters
        ----------
        frames
            (B, Y, X) light without background, over its noise; 0 where a pixel is not valid.
        weight
            (B, Y, X) see `MatchedFilter`.
        kernels
            (P, K, S, S) planes of P PSFs; B is a multiple of P, consecutive frames share a PSF.
        length
            So many frames in turn follow each other in time; a network without context takes no notice.
        own
            Frames that are mapped, where the others are only looked at.
        """
        height, width = frames.shape[1:]
        grow = (0, -width % 4, 0, -height % 4)
        if any(grow):
            frames, weight = F.pad(frames, grow), F.pad(weight, grow)
        code = None
        if self.code is not None:
            code = self.code(kernels).repeat_interleave(len(frames) // len(kernels), 0)
        output, explained = self._stages(frames, weight, kernels, code, length, own)
        crop = (..., slice(height), slice(width))
        return UniversalOutput(output[crop].float(), [image[crop] for image in explained])

    def _stages(
        self,
        frames: Tensor,
        weight: Tensor,
        kernels: Tensor,
        code: Tensor | None,
        length: int,
        own: slice,
    ) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast(frames.device.type, enabled=False):
            matched = MatchedFilter(kernels, weight) if self.has_planes else None
            significance = None if matched is None else matched.significance(frames)
        images = [_compress(frames)[:, None], weight[:, None]]
        if significance is not None:
            volume = _compress(significance)
            images += [volume if self.shared is None else self.shared(volume)]
            images += _beside(volume, length) if self.has_context else []
        # Later stages subtract what earlier ones found, in all frames.
        looked, wanted = (slice(None), own) if len(self.gates) else (own, slice(None))
        code = None if code is None else code[looked]
        features = self.stages[0](_joined([image[looked] for image in images]), code)
        explained: list[Tensor] = []
        proposal: Tensor | None = None
        for gate, stage in zip(self.gates, list(self.stages)[1:], strict=True):
            assert matched is not None
            assert significance is not None
            share = torch.sigmoid(gate(features)).float()
            taken = share * significance
            proposal = (taken if proposal is None else proposal + taken).clamp_min(0)
            with torch.autocast(frames.device.type, enabled=False):
                image = matched.render(proposal)
                significance = matched.significance(frames - image)
            explained.append(image)
            left = [_compress(frames - image)[:, None], _compress(image)[:, None], weight[:, None]]
            images = [features, _compress(significance), _compress(proposal), *left]
            features = stage(_joined(images), code)
        return self.head(self.head_pair(features, code))[wanted], explained


def _beside(volume: Tensor, length: int) -> list[Tensor]:
    """Return the volumes (B, K, Y, X) of the frames before and after; 0 at the ends of runs of a length."""
    runs = volume.view(-1, length, *volume.shape[1:])
    none = torch.zeros_like(runs[:, :1])
    before, after = torch.cat([none, runs[:, :-1]], 1), torch.cat([runs[:, 1:], none], 1)
    return [before.flatten(0, 1), after.flatten(0, 1)]


class _SharedDepth(nn.Module):
    """Two layers over a volume (B, K, Y, X) with the same weights for every plane."""

    #: Features of a voxel.
    width = 6

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, padding=1)
        self.second = nn.Conv2d(36, self.width, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        """Return features (B, K * width, Y, X)."""
        batch, planes = volume.shape[:2]
        features = F.relu(self.first(_with_neighbours(volume[:, :, None])))
        features = features.view(batch, planes, *features.shape[1:])
        features = F.relu(self.second(_with_neighbours(features)))
        joined: Tensor = features.reshape(batch, planes * self.width, *volume.shape[2:])
        return joined


def _with_neighbours(volume: Tensor) -> Tensor:
    """Return (B * K, 3 C, Y, X) of volumes (B, K, C, Y, X): each plane between the ones beside it."""
    around = F.pad(volume, (0, 0, 0, 0, 0, 0, 1, 1))
    return torch.cat([around[:, :-2], volume, around[:, 2:]], 2).flatten(0, 1)


def _compress(values: Tensor) -> Tensor:
    return torch.asinh(values / _KNEE)


def _joined(images: list[Tensor]) -> Tensor:
    kind = images[0].dtype if not torch.is_autocast_enabled(images[0].device.type) else torch.bfloat16
    joined = torch.cat([image.to(kind) for image in images], 1)
    return joined.contiguous(memory_format=torch.channels_last)
