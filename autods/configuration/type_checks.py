"""Numbers and texts of a configuration against the types of what takes them."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from autods.core import UserError

#: How a type is named to people.
_TYPE_NAMES = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


def check_calls(config: DictConfig, prefix: str = "") -> None:
    """Check the numbers and texts of everything that a configuration calls against its signature.

    Raises `UserError` naming the key of a value of a wrong type.
    """
    if "_target_" in config:
        check_call(get_object(config["_target_"]), config, prefix)
    for name in map(str, config):
        if not OmegaConf.is_missing(config, name) and isinstance(config[name], DictConfig):
            check_calls(config[name], f"{prefix}{name}.")


def check_call(function: Any, arguments: DictConfig, prefix: str) -> None:
    """Check numbers and texts against the signature of what is to be called with them.

    Raises `UserError` naming the key of a value of a wrong type.
    """
    constructor: Any = getattr(function, "__init__") if isinstance(function, type) else function  # noqa: B009
    hints = typing.get_type_hints(constructor)
    for name, hint in hints.items():
        if name not in arguments or OmegaConf.is_missing(arguments, name):
            continue
        value, options = arguments[name], _options(hint)
        plain = {float: (int, float), int: (int,), bool: (bool,), str: (str,), type(None): (type(None),)}
        if any(option not in plain for option in options) or isinstance(value, DictConfig):
            continue
        fits = any(type(value) in plain[option] for option in options)
        if not fits:
            raise UserError(f"{prefix}{name}={value} does not fit: it must be {_named(options)}")


def expected(schema: type, key: str) -> str:
    """Name the type that a key of a schema must have."""
    hint: Any = schema
    for name in key.split("."):
        if not dataclasses.is_dataclass(hint):
            return "a known setting"
        hint = typing.get_type_hints(hint).get(name)
    return _named(_options(hint))


def _options(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type."""
    return typing.get_args(hint) if typing.get_origin(hint) in {typing.Union, types.UnionType} else (hint,)


def _named(options: tuple[Any, ...]) -> str:
    """Name types to people."""
    names = [_type_name(option) for option in options]
    if float in options and int in options:
        names.remove(_TYPE_NAMES[int])
    return " or ".join(names)


def _type_name(option: Any) -> str:
    if option is type(None):
        return "null"
    return "a group of settings" if dataclasses.is_dataclass(option) else _TYPE_NAMES.get(option, str(option))
