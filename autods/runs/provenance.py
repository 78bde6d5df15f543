"""What a result was made from and with: digests of files, versions, the fingerprint of a computation."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

#: Files above this size are not read whole for their digest, so that a digest takes seconds at most.
WHOLE_FILE_BYTES = 256 * 2**20
_SAMPLES = 64
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class FileDigest:
    """What identifies a file or folder."""

    #: Absolute path.
    path: str
    #: Size in bytes; of all files below, for a folder.
    n_bytes: int
    #: Hex digest; of the size and 64 evenly spaced blocks of 1 MiB where ``sampled``.
    sha256: str
    #: Whether the file was too large to read whole.
    sampled: bool


def digest_file(path: Path) -> FileDigest:
    """Identify a file by its content; a folder (Zarr) by the names and sizes of the files below it.

    Raises `OSError` if the file cannot be read.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file())
        sizes = [item.stat().st_size for item in files]
        for item, size in zip(files, sizes, strict=True):
            digest.update(f"{item.relative_to(path)}\0{size}\0{item.stat().st_mtime_ns}\0".encode())
        return FileDigest(str(path.resolve()), sum(sizes), digest.hexdigest(), sampled=True)
    size = path.stat().st_size
    sampled = size > WHOLE_FILE_BYTES
    with path.open("rb") as file:
        if sampled:
            digest.update(str(size).encode())
            for index in range(_SAMPLES):
                file.seek((size - _BLOCK) * index // (_SAMPLES - 1))
                digest.update(file.read(_BLOCK))
        else:
            while block := file.read(_BLOCK):
                digest.update(block)
    return FileDigest(str(path.resolve()), size, digest.hexdigest(), sampled)


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    names = ("autods", "torch", "pytorch-lightning", "numpy", "scipy", "tifffile", "h5py")
    found = [(name, _version(name)) for name in names]
    found = [("python", platform.python_version()), ("platform", platform.platform()), *found]
    return tuple((name, number) for name, number in found if number)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform, autods and the libraries that decide the numbers."""
    return dict(_versions())


def fingerprint(*parts: object) -> str:
    """Return 16 hex digits that change when any part changes.

    Parameters
    ----------
    parts
        Dataclasses, mappings, sequences, numbers, texts, paths: what the result depends on.
    """
    text = json.dumps(to_json(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_json(value: Any) -> Any:
    """Return a value as plain JSON types: dataclasses as mappings, arrays as lists, NaN and infinity as null.

    Raises `TypeError` if a value has no JSON counterpart.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [to_json(item) for item in items]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, slice):
        return [value.start, value.stop, value.step]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON counterpart")
