"""Checkpoints that are written whole or not at all, and what is done with damaged ones."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from autods.io.atomic import atomic_path

_LOG = logging.getLogger(__name__)

#: What reading a damaged checkpoint raises.
UNREADABLE = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it: who is killed leaves the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises `UserError` if the disk is full or not writable.
        """
        del storage_options
        with atomic_path(path) as part:
            torch.save(checkpoint, part)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that can be read, and the optimizer step that it holds."""

    path: Path
    step: int


def readable_checkpoint(candidates: Sequence[Path]) -> Checkpoint | None:
    """Return the first of several checkpoints that can be read; damaged ones are told.

    Parameters
    ----------
    candidates
        The wanted one first; those that are not there are passed over.
    """
    for path in candidates:
        if not path.is_file():
            continue
        try:
            return Checkpoint(path, int(read_checkpoint(path)["global_step"]))
        except UNREADABLE as error:
            _LOG.warning("%s is damaged (%s): the next best is taken", path, " ".join(str(error).split()))
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's plain values on the CPU."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
