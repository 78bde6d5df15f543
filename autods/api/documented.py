"""Docstrings of the public functions: what a setting is stands with its command, and is taken from there."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import TypeVar

from autods.configuration.meanings import by_python_name

Function = TypeVar("Function", bound=Callable[..., object])

_HERE = "{settings}"


def documented(command: str) -> Callable[[Function], Function]:
    """Fill in ``{settings}`` of a docstring: what a command says of the arguments not described there.

    Parameters
    ----------
    command
        Name of the command's configuration.
    """

    def fill(function: Function) -> Function:
        text = inspect.cleandoc(function.__doc__ or "")
        described = re.findall(r"^(\w+(?:, \w+)*)$", text, re.MULTILINE)
        own = {name for names in described for name in names.split(", ")}
        said = by_python_name(command)
        lines = [
            f"{name}\n{textwrap.fill(said[name], 100, initial_indent='    ', subsequent_indent='    ')}"
            for name in inspect.signature(function).parameters
            if name not in own
        ]
        function.__doc__ = text.replace(_HERE, "\n".join(lines))
        return function

    return fill
