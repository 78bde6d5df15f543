"""One-click deep-learning single-molecule localization microscopy."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("autods-smlm")
except PackageNotFoundError:
    # A checkout on the path that was never installed.
    __version__ = "unknown"
__all__ = ["__version__", "localize", "localize3d"]


def __getattr__(name: str) -> Any:
    """Import the pipelines, and with them torch, only when they are asked for."""
    if name in ("localize", "localize3d"):
        return getattr(import_module("autods.pipelines.api"), name)
    raise AttributeError(f"module 'autods' has no attribute {name!r}")
