"""Griffe extension: docstrings that are filled in when they are imported are shown as they then are."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe


class FilledIn(griffe.Extension):
    """Replaces the docstrings that hold the mark of `autods.api.documented`."""

    def on_function_instance(self, *, func: Any, **_: Any) -> None:
        """Take the docstring from the imported function."""
        if func.docstring is not None and "{settings}" in func.docstring.value:
            function = getattr(import_module(func.module.path), func.name)
            func.docstring.value = inspect.getdoc(function)
