"""``autods benchmark``: the suites that lie beside the package, in a clone of its source."""

from __future__ import annotations

import importlib

from autods.cli.arguments import Arguments, UsageError
from autods.core.resources import benchmarks_dir


def command(arguments: Arguments) -> int:
    """Run ``autods benchmark``.

    Raises `UsageError` if this is an installed package without its source.
    """
    if benchmarks_dir() is None:
        raise UsageError(
            "the benchmarks are not part of the installed package: clone the source and repeat this there,"
            " installed with pip install -e ."
        )
    code: int = importlib.import_module("benchmarks.command").command(arguments)
    return code
