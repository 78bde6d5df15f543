"""Networks by name, as cards and configurations call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from autods.core import UserError
from autods.networks.deepstorm import DeepStorm
from autods.networks.ds3d import DS3D, DilatedNet
from autods.networks.subpixel import PixelNet, SubpixelNet
from autods.networks.universal import UniversalNet

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "deepstorm": DeepStorm,
    "subpixel": SubpixelNet,
    "pixel": PixelNet,
    "ds3d": DS3D,
    "dilated": DilatedNet,
}

#: Networks that are given the PSF and the noise beside the frame.
TOLD_NETWORKS: Mapping[str, Callable[..., nn.Module]] = {"universal": UniversalNet}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build a network with random weights.

    Raises `UserError` if there is no network of that name, or it does not take these arguments.

    Examples
    --------
    >>> import torch
    >>> network = build_network("subpixel", width=8, pairs=1, upsampling=4)
    >>> network(torch.zeros(1, 1, 16, 20)).shape
    torch.Size([1, 1, 64, 80])
    """
    known = {**NETWORKS, **TOLD_NETWORKS}
    if name not in known:
        raise UserError(f"network {name!r} is not known: choose one of {', '.join(known)}")
    try:
        return known[name](**arguments)
    except TypeError as error:
        raise UserError(f"network {name!r} does not take {arguments}: {error}") from error
