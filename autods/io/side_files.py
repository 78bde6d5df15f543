"""Side files in YAML that other programs wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from autods.io.foreign import read_by_library

#: A description of a movie has some KB; parsing more takes minutes.
_MAX_BYTES = 2**20


class _PlainLoader(yaml.SafeLoader):
    """A safe loader to which objects of other programs are the numbers and texts that they are made of."""


def _foreign(loader: _PlainLoader, _tag: str, node: yaml.Node) -> Any:
    """Build what an unknown tag stands on: a text, a list or a mapping."""
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


def _numpy_scalar(loader: _PlainLoader, _suffix: str, node: yaml.Node) -> Any:
    """Read NumPy's scalars, ``numpy._core.multiarray.scalar`` of [dtype, bytes], without running anything."""
    import numpy as np

    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    parts = loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else []
    kind = parts[0] if parts else None
    if isinstance(kind, dict):  # numpy.dtype, with its arguments
        kind = (kind.get("args") or [None])[0]
    elif isinstance(kind, list):
        kind = kind[0] if kind else None
    raw = parts[1] if len(parts) > 1 else None
    if isinstance(kind, str) and isinstance(raw, bytes):
        dtype = np.dtype(kind)
        if dtype.kind in "uif" and dtype.itemsize == len(raw):
            return np.frombuffer(raw, dtype)[0].item()
    return None


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/object/apply:numpy", _numpy_scalar)
_PlainLoader.add_multi_constructor("", _foreign)


def read_yaml(path: Path) -> dict[str, Any]:
    """Join the documents of a YAML file, UTF-8 or Latin-1; later ones win, foreign objects are plain values.

    Raises `UserError` if it is no YAML.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES)
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, name: str) -> dict[str, Any]:
    """Join the documents of YAML in memory; see `read_yaml`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    info: dict[str, Any] = {}
    with read_by_library(f"{name} is not readable YAML: save the movie or table again"):
        for document in yaml.load_all(text, _PlainLoader):
            info.update(document if isinstance(document, dict) else {})
    return info
