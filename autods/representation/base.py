"""The interface of a representation: what training and inference need of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autods.core import EmitterBatch


@dataclass(frozen=True)
class Detections:
    """Emitters found in a batch of images or a block of frames, one row each, in pixels.

    Networks tell some columns, fits others; the rest is None. What comes of them is an
    `autods.core.LocalizationTable`, in nm.
    """

    #: (N,) index of the image within the batch; a network's are ascending.
    frame: Tensor
    #: (N,) position in corner pixels of the image given to the network, or of the field.
    x_px: Tensor
    y_px: Tensor
    #: (N,) larger is surer, 0 to about 1.
    confidence: Tensor
    #: (N,) lateral standard error per axis, pixels; NaN where it is not known.
    uncertainty_px: Tensor | None = None
    #: (N,) axial position, nm; None in 2D.
    z_nm: Tensor | None = None
    #: (N,) axial standard error, nm; NaN where it is not known.
    uncertainty_z_nm: Tensor | None = None
    #: (N,) photons of the emitter in this image, and their standard error.
    photons: Tensor | None = None
    uncertainty_photons: Tensor | None = None
    #: (N,) photons per pixel there without the emitters, and the standard deviation of their noise.
    background: Tensor | None = None
    background_std: Tensor | None = None
    #: (N,) photons over the bound of their standard error.
    significance: Tensor | None = None
    #: (N,) index of the tile of the field that the image was.
    tile: Tensor | None = None

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.frame)

    def columns(self) -> dict[str, Tensor]:
        """Return the columns present, (N,) each, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: column for name, column in values.items() if column is not None}

    def select(self, rows: Tensor | NDArray[np.generic]) -> Detections:
        """Return the rows given by a mask (N,) or indices (M,)."""
        chosen = torch.as_tensor(rows)
        return self.map(lambda column: column[chosen])

    def map(self, change: Callable[[Tensor], Tensor]) -> Detections:
        """Apply a function to every column (N,) that is present."""
        return Detections(**{name: change(column) for name, column in self.columns().items()})

    def on_host(self) -> Detections:
        """Return them on the CPU, in double precision."""
        # Some devices know no double precision.
        host = self.map(Tensor.cpu)
        return host.map(lambda column: column.double() if column.is_floating_point() else column)

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return frame, x and y (N,) of detections on the CPU."""
        return self.frame.numpy(), self.x_px.double().numpy(), self.y_px.double().numpy()

    @staticmethod
    def concatenate(parts: Sequence[Detections], first_frames: Sequence[int] | None = None) -> Detections:
        """Join detections.

        What one part does not tell and another does is NaN there; a tile that is not known of all is left
        out.

        Parameters
        ----------
        parts
            An empty list gives no detections.
        first_frames
            Of consecutive batches: added to the frames of each; None for those of one block.
        """
        if not parts:
            none = torch.zeros(0)
            return Detections(none.long(), none, none, none, tile=none.long())
        joined: dict[str, Tensor] = {}
        for field in fields(Detections):
            columns = [getattr(part, field.name) for part in parts]
            if field.name != "tile" and any(column is not None for column in columns):
                unknown = (torch.full_like(part.x_px, torch.nan) for part in parts)
                columns = [b if a is None else a for a, b in zip(columns, unknown, strict=True)]
            if all(column is not None for column in columns):
                joined[field.name] = torch.cat(columns)
        if first_frames is not None:
            counts = torch.tensor([len(part) for part in parts])
            shift = torch.repeat_interleave(torch.tensor(first_frames), counts)
            joined["frame"] = joined["frame"] + shift.to(joined["frame"].device)
        return Detections(**joined)


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
