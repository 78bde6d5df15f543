"""Half precision (bfloat16): where processors compute faster with it, and how trainings use it."""

from __future__ import annotations

import torch


def is_faster_in_half(device: torch.device) -> bool:
    """Tell whether a device convolves numbers of bfloat16 faster than those of 32 bits."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Older versions of PyTorch cannot tell.
    tell = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or tell is None:
        return False
    return any(tell().get(unit) for unit in ("amx_bf16", "avx512_bf16"))


def half_where_faster(device: torch.device) -> torch.autocast:
    """Return a context in which networks compute in half precision, on devices that are faster with it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_faster_in_half(device))
