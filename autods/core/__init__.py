"""Types that all packages share: optics, camera, emitters, localization tables, coordinates, errors.

A name loads what it needs when it is first used, so that help and forms, which need the quantities alone, do
not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autods.core.camera import Camera
    from autods.core.emitters import EmitterBatch
    from autods.core.errors import Interrupted, UserError
    from autods.core.optical_system import OpticalSystem
    from autods.core.table import LocalizationTable

__all__ = ["Camera", "EmitterBatch", "Interrupted", "LocalizationTable", "OpticalSystem", "UserError"]

_HOMES = {
    "Camera": "camera",
    "EmitterBatch": "emitters",
    "Interrupted": "errors",
    "LocalizationTable": "table",
    "OpticalSystem": "optical_system",
    "UserError": "errors",
}


def __getattr__(name: str) -> Any:
    """Import a shared type when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
