"""Where the files that travel with the package lie: in a wheel, or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_dir() -> Path:
    """Return the folder of the Hydra configuration groups."""
    return _shipped("conf")


def models_dir() -> Path:
    """Return the folder of the pre-trained zoo."""
    return _shipped("models")
