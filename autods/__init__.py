"""One-click deep-learning single-molecule localization microscopy."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autods.pipelines.api import localize

__version__ = version("autods")
__all__ = ["__version__", "localize"]


def __getattr__(name: str) -> Any:
    """Import the pipeline, and with it torch, only when it is asked for."""
    if name == "localize":
        from autods.pipelines.api import localize

        return localize
    raise AttributeError(f"module 'autods' has no attribute {name!r}")
