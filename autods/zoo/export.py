"""Models for other programs: the network as ONNX."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path

import torch
from torch import nn

from autods.core import UserError
from autods.io.atomic import atomic_path
from autods.zoo.card import ModelCard
from autods.zoo.registry import load_model


def export_onnx(card: ModelCard, path: str | Path) -> Path:
    """Write a model's network as ONNX: input ``frames`` (B, C, Y, X), output ``output``, any B, Y and X.

    Frames must be normalised as `autods.networks.normalize` does with the card's ``normalization``; what the
    output means is told by the card's ``representation``. C is 1 for a network that looks at one frame and is
    told nothing else. Returns the file. Raises `UserError` if the packages are missing, the network is one
    that must be told a PSF, or the file cannot be written.

    Parameters
    ----------
    card
        From `autods.zoo.load_card`.
    path
        File to write; replaced in one step.
    """
    if card.family == "universal":
        raise UserError(f"model {card.name} is told a PSF beside the frame: it has no form in ONNX")
    return write_onnx(load_model(card), Path(path))


def write_onnx(network: nn.Module, path: Path) -> Path:
    """Write a network that maps ``frames`` (B, C, Y, X), any B, Y and X, to one tensor ``output``.

    Raises `UserError` if the packages are missing or the file cannot be written.

    Parameters
    ----------
    network
        On the CPU; C is its ``in_channels``, 1 where it has none.
    path
        File to write; replaced in one step.
    """
    if importlib.util.find_spec("onnxscript") is None:
        raise UserError("ONNX needs more packages: pip install onnx onnxscript")
    # Two of each, so that no size is taken for a constant.
    frames = torch.zeros(2, int(getattr(network, "in_channels", 1)), 32, 40)
    batch = torch.export.Dim("batch", min=1)
    height, width = (torch.export.Dim(name, min=8) for name in ("height", "width"))
    with warnings.catch_warnings(), atomic_path(path) as part:
        warnings.simplefilter("ignore")
        quiet = logging.getLogger("torch.onnx")
        quiet.setLevel(logging.ERROR)
        torch.onnx.export(
            network.eval(),
            (frames,),
            str(part),
            input_names=["frames"],
            output_names=["output"],
            dynamic_shapes=({0: batch, 2: height, 3: width},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return path
