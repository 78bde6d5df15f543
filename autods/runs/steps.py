"""A piece of work that is not repeated while nothing that changes its numbers has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autods.io.atomic import write_json
from autods.runs.provenance import fingerprint, to_json

#: Raised with every change of the program that changes results: what older versions left is computed anew.
NUMBERS_VERSION = 36


def step_key(*inputs: object) -> str:
    """Return what identifies numbers that are computed from these inputs by this version of the algorithms.

    Machine, device and versions of libraries are not part of it: they are recorded, not compared.

    Parameters
    ----------
    inputs
        All that changes the numbers: digests of files, settings, digests of weights, keys of earlier steps.
    """
    return fingerprint(NUMBERS_VERSION, *inputs)


class Step:
    """A piece of work with a file that says which inputs it belongs to and, once finished, what came out.

    Parameters
    ----------
    file
        JSON file: ``key``, ``inputs`` and, once finished, ``results``.
    inputs
        All that changes the numbers, as plain values or anything that `to_json` takes.
    outputs
        Files that must be there for the step to count as finished.
    """

    def __init__(self, file: Path, inputs: object, outputs: Sequence[Path] = ()) -> None:
        self.file, self.outputs = file, tuple(outputs)
        self.inputs = to_json(inputs)
        self.key = step_key(self.inputs)

    @property
    def is_begun(self) -> bool:
        """Whether the file belongs to the same inputs; other files of the step may be there or not."""
        return self._read().get("key") == self.key

    def results(self) -> dict[str, Any] | None:
        """Return the results if the step was finished with the same inputs and its outputs are there."""
        content = self._read()
        if content.get("key") != self.key or not all(path.exists() for path in self.outputs):
            return None
        results: dict[str, Any] | None = content.get("results")
        return results

    def begin(self) -> None:
        """Mark the folder as this step's; what was finished with other inputs no longer counts."""
        self._write({"key": self.key, "inputs": self.inputs})

    def finish(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the results, and return them as they will be read."""
        plain: dict[str, Any] = to_json(results)
        self._write({"key": self.key, "inputs": self.inputs, "results": plain})
        return plain

    def differences(self) -> list[str]:
        """Name the inputs that differ from those in the file, with both values: ``seed=0, now 1``."""
        before, now = _flat(self._read().get("inputs")), _flat(self.inputs)
        names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        return [f"{name}={before.get(name, 'none')}, now {now.get(name, 'none')}" for name in names]

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, content: dict[str, Any]) -> None:
        write_json(self.file, content)


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """Return nested mappings as one with dotted names."""
    if not isinstance(value, Mapping):
        return {prefix or "inputs": value} if value is not None or prefix else {}
    flat: dict[str, object] = {}
    for name, item in value.items():
        flat |= _flat(item, f"{prefix}.{name}" if prefix else str(name))
    return flat
