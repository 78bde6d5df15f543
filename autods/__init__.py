"""One-click deep-learning single-molecule localization microscopy, in two and three dimensions.

The names in ``__all__`` are stable. Importing the package is cheap; a name loads what it needs when it is
first used. Lengths are nm, positions count from the outer corner of pixel (0, 0), frames from 0; movies are
(T, Y, X). Whatever a user can mend is raised as `UserError`, whose message is one line.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autods.api.localization import localize, localize3d
    from autods.api.measurement import calibrate, profile
    from autods.api.simulation import Simulated, simulate
    from autods.api.tables import evaluate, open_movie, read_table, write_table
    from autods.api.training import load_model, train
    from autods.core import Camera, LocalizationTable, OpticalSystem, UserError

try:
    __version__ = version("autods-smlm")
except PackageNotFoundError:
    # A checkout on the path that was never installed.
    __version__ = "unknown"

__all__ = [
    "Camera",
    "LocalizationTable",
    "OpticalSystem",
    "Simulated",
    "UserError",
    "__version__",
    "calibrate",
    "evaluate",
    "load_model",
    "localize",
    "localize3d",
    "open_movie",
    "profile",
    "read_table",
    "simulate",
    "train",
    "write_table",
]

_HOMES = {
    "autods.api.localization": ("localize", "localize3d"),
    "autods.api.measurement": ("calibrate", "profile"),
    "autods.api.simulation": ("Simulated", "simulate"),
    "autods.api.tables": ("evaluate", "open_movie", "read_table", "write_table"),
    "autods.api.training": ("load_model", "train"),
    "autods.core": ("Camera", "LocalizationTable", "OpticalSystem", "UserError"),
}


def __getattr__(name: str) -> Any:
    """Import what a public name needs, torch above all, only when it is asked for."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'autods' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
