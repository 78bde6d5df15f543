"""What every representation offers to training and to inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from autods.core import EmitterBatch


@dataclass(frozen=True)
class Detections:
    """Emitters found in a batch of images, one entry each.

    Parameters
    ----------
    frame
        (N,) index of the image within the batch, ascending.
    x_px, y_px
        (N,) position in corner pixels of the image given to the network.
    confidence
        (N,) larger is surer, 0 to about 1.
    uncertainty_px
        (N,) predicted lateral standard error per axis, pixels; None where the network does not tell.
    """

    frame: Tensor
    x_px: Tensor
    y_px: Tensor
    confidence: Tensor
    uncertainty_px: Tensor | None = None

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.frame)

    def select(self, rows: Tensor) -> Detections:
        """Return the rows given by a mask or an index."""
        uncertainty = None if self.uncertainty_px is None else self.uncertainty_px[rows]
        return Detections(
            self.frame[rows], self.x_px[rows], self.y_px[rows], self.confidence[rows], uncertainty
        )

    @staticmethod
    def concatenate(parts: list[Detections], first_frames: list[int]) -> Detections:
        """Join detections of consecutive batches, shifting each batch's frames by its first frame."""
        if not parts:
            none = torch.zeros(0)
            return Detections(none.long(), none, none, none)
        uncertainty = [part.uncertainty_px for part in parts if part.uncertainty_px is not None]
        return Detections(
            torch.cat([part.frame + first for part, first in zip(parts, first_frames, strict=True)]),
            torch.cat([part.x_px for part in parts]),
            torch.cat([part.y_px for part in parts]),
            torch.cat([part.confidence for part in parts]),
            torch.cat(uncertainty) if len(uncertainty) == len(parts) else None,
        )


class Representation(Protocol):
    """How emitters are written into a network's output, and read from it."""

    pixel_size_nm: float

    def loss(self, output: Tensor, emitters: EmitterBatch) -> dict[str, Tensor]:
        """Compare outputs (B, C, ...) with the true emitters of the B frames.

        Returns
        -------
        dict of str to Tensor
            Named scalar terms; the loss is their sum.
        """
        ...

    def decode(self, output: Tensor, threshold: float) -> Detections:
        """Read the emitters of confidence of at least ``threshold`` from outputs (B, C, ...)."""
        ...
