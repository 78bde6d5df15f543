"""The files that travel with the package, in a wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_dir() -> Path:
    """Return the folder of the Hydra configuration groups."""
    return _shipped("conf")


def benchmarks_dir() -> Path | None:
    """Return the folder of the benchmarks, which only a checkout has."""
    folder = _PACKAGE.parent / "benchmarks"
    return folder if (folder / "conf" / "benchmark.yaml").is_file() else None


def config_dirs(config: str) -> tuple[Path, ...]:
    """Return where a configuration and the groups that it may choose from lie, its own folder first."""
    benchmarks = benchmarks_dir()
    if config == "benchmark" and benchmarks is not None:
        return benchmarks / "conf", conf_dir()
    return (conf_dir(),)


def models_dir() -> Path:
    """Return the folder of the pre-trained zoo."""
    return _shipped("models")
