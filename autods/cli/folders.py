"""Names of run folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def run_folders(movies: Sequence[Path], out: Path | None, *, is_batch: bool) -> list[Path]:
    """Return the run folder of each movie; always the same for the same movies, so that runs resume.

    Parameters
    ----------
    movies
        The movies.
    out
        Folder of ``--out``.
    is_batch
        Whether each movie gets a folder below ``out`` even when there is only one.
    """
    if out is not None and not is_batch:
        return [out for _ in movies]
    names = [_short_name(movie) for movie in movies]
    clashing = {name for name, count in Counter(names).items() if count > 1}
    names = [
        f"{movie.resolve().parent.name}_{movie.name}" if name in clashing else name
        for movie, name in zip(movies, names, strict=True)
    ]
    if len(set(names)) < len(names):
        names = ["_".join(movie.resolve().parts[1:]) for movie in movies]
    return [Path(f"{name}_autods") if out is None else out / name for name in names]


def default_folder(movie: Path) -> Path:
    """Return the run folder of one movie without ``--out``: in the current folder."""
    return run_folders([movie], None, is_batch=False)[0]


def _short_name(movie: Path) -> str:
    name = movie.resolve().name
    for ending in (".ome.tif", ".ome.tiff", ".ome.zarr"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem
