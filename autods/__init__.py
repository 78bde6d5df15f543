"""One-click deep-learning single-molecule localization microscopy."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("autods")
__all__ = ["__version__", "localize"]


def __getattr__(name: str) -> Any:
    """Import the pipeline, and with it torch, only when it is asked for."""
    if name == "localize":
        return import_module("autods.pipelines.api").localize
    raise AttributeError(f"module 'autods' has no attribute {name!r}")
