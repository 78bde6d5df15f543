"""The interface of a representation: what training and inference need of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from autods.core import EmitterBatch


@dataclass(frozen=True)
class Detections:
    """Emitters found in a batch of images, one entry each."""

    #: (N,) index of the image within the batch, ascending.
    frame: Tensor
    #: (N,) position in corner pixels of the image given to the network.
    x_px: Tensor
    y_px: Tensor
    #: (N,) larger is surer, 0 to about 1.
    confidence: Tensor
    #: (N,) predicted lateral standard error per axis, pixels; None where the network does not tell.
    uncertainty_px: Tensor | None = None
    #: (N,) axial position, nm; None in 2D.
    z_nm: Tensor | None = None
    #: (N,) predicted axial standard error, nm; None where the network does not tell.
    uncertainty_z_nm: Tensor | None = None
    #: (N,) photons of the emitter in this image, and their standard error; None where it does not tell.
    photons: Tensor | None = None
    uncertainty_photons: Tensor | None = None
    #: (N,) photons per pixel there without the emitters; None where the network does not tell.
    background: Tensor | None = None

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.frame)

    def select(self, rows: Tensor) -> Detections:
        """Return the rows given by a mask (N,) or indices (M,)."""
        return self.map(lambda column: column[rows])

    def map(self, change: Callable[[Tensor], Tensor]) -> Detections:
        """Apply a function to every column (N,) that is present."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return Detections(**{name: change(column) for name, column in columns.items() if column is not None})

    @staticmethod
    def concatenate(parts: list[Detections], first_frames: list[int]) -> Detections:
        """Join detections of consecutive batches, shifting each batch's frames by its first frame.

        A column that is missing from one part is missing from the result.
        """
        if not parts:
            none = torch.zeros(0)
            return Detections(none.long(), none, none, none)
        joined: dict[str, Tensor] = {}
        for field in fields(Detections):
            columns = [getattr(part, field.name) for part in parts]
            if all(column is not None for column in columns):
                joined[field.name] = torch.cat(columns)
        shift = [torch.full_like(part.frame, first) for part, first in zip(parts, first_frames, strict=True)]
        return Detections(**{**joined, "frame": joined["frame"] + torch.cat(shift)})


class Representation(Protocol):
    """How emitters are written into a network's output, and read from it."""

    pixel_size_nm: float

    def loss(
        self, output: Tensor, emitters: EmitterBatch, background: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compare outputs (B, C, ...) with the truth of the B frames.

        Returns named scalar terms; the loss is their sum.

        Parameters
        ----------
        output
            Network output.
        emitters
            True emitters.
        background
            (B, Y, X) true photons per pixel without them, for representations that tell it.
        """
        ...

    def decode(self, output: Tensor, threshold: float) -> Detections:
        """Read the emitters of confidence of at least ``threshold`` from outputs (B, C, ...)."""
        ...
