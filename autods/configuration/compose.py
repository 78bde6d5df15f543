"""Settings of a command: its Hydra configuration with the ``key=value`` words of the command line, checked.

Some configurations and groups are made of the program's classes (`autods.configuration.registry`), the others
are the YAML files in ``conf/``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autods.configuration.registry import MADE_GROUPS, config_of, leaves, store_made
from autods.configuration.type_checks import expected
from autods.core import UserError
from autods.core.resources import config_dirs

Schema = TypeVar("Schema")

#: Keys of `localize` and `localize3d` that had another name, so that old commands can be repeated.
_EARLIER = {"trainer.devices": "processes.per_machine", "trainer.num_nodes": "processes.machines"}
#: Settings that name where the conditions of a training are measured, and the groups that then are measured.
_MEASURED_ON, _MEASURED = ("movie", "profile"), ("conditions", "cameras")
#: Ending of the files of a calibrated PSF.
_PSF_ENDINGS = (".h5", ".hdf5", ".mat")


def load(schema: type[Schema], overrides: Sequence[str]) -> Schema:
    """Return the settings of a command: its configuration with what was typed, checked.

    Raises `UserError` naming the key, if a setting is unknown (with the nearest known one) or of a wrong
    type.
    """
    refuse_code(overrides)
    merged = _writable(OmegaConf.structured(schema))
    for key, value in leaves(compose_checked(config_of(schema), overrides)):
        _assign(merged, key, value, schema)
    result = OmegaConf.to_object(merged)
    assert isinstance(result, schema)
    return result


def refuse_code(overrides: Sequence[str]) -> None:
    """Refuse settings that name code, and values that Hydra would look up.

    Raises `UserError` naming the setting.
    """
    for word in overrides:
        if "${" in word or re.search(r"(^|[.{,\s'\"])_\w+_\b", word) or re.match(r"[+~]*hydra[./]", word):
            raise UserError(f"{word} is no setting of this command: see its --help")


def _writable(node: DictConfig) -> DictConfig:
    """Lift the write protection that frozen classes give to their nodes, while a configuration is filled."""
    OmegaConf.set_readonly(node, False)
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_missing():
            _writable(child)
    return node


def _assign(merged: DictConfig, key: str, value: object, schema: type) -> None:
    try:
        OmegaConf.update(merged, key, value)
    except OmegaConfBaseException as error:
        raise UserError(f"{key}={value} does not fit: it must be {expected(schema, key)}") from error


def compose_checked(config: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a configuration, every override checked to name an existing key or group.

    Raises `UserError` if an override cannot be read, names no key (the nearest is told), or no choice of its
    group.
    """
    store_made(config)
    homes = config_dirs(config)
    parsed = [_parse(word) for word in expand_shorthands(config, overrides)]
    for item in parsed:
        if item.is_sweep_override():
            raise UserError(f"{_line(item)} gives several values: give one, or quote it if it is a text")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(homes[0]), version_base="1.3"):
        groups = [item for item in parsed if _choices(item, homes) is not None]
        for item in groups:
            _check_choice(item, _choices(item, homes) or [])
        keyed = [item for item in parsed if item not in groups and not item.is_add()]
        for item in keyed:
            _check_key(item, _known_keys(config, tuple(_line(group) for group in groups)))
        return _compose(config, [_line(item) for item in parsed])


@cache
def _known_keys(config: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that a configuration has with choices of its groups; composing takes a while."""
    return tuple(key for key, _ in leaves(_compose(config, list(groups))))


def _compose(config: str, lines: list[str]) -> DictConfig:
    try:
        return compose(config, [*search_path(config), *lines])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"the settings do not fit together: {error}") from error


def expand_shorthands(config: str, overrides: Sequence[str]) -> Iterator[str]:
    """Write short words as what they mean, earlier keys as today's.

    ``selection=RULE`` is ``selection.rule``, ``model=DIR`` of `localize` a zoo of one model; for those of
    `train` see `_expand_train`.
    """
    if config == "train":
        yield from _expand_train(overrides)
        return
    for word in overrides:
        if word.startswith("selection="):
            yield f"selection.rule={word.partition('=')[2]}"
        elif config == "localize" and word.startswith("model="):
            yield f"zoo={word.partition('=')[2]}"
        elif config.startswith("localize") and word.startswith(tuple(_EARLIER)):
            key, equals, value = word.partition("=")
            yield f"{_EARLIER[key]}{equals}{value}" if key in _EARLIER else word
        else:
            yield word


def _expand_train(overrides: Sequence[str]) -> Iterator[str]:
    """Write ``movie=``, ``profile=`` and ``psf=FILE`` of a training as the choices that they mean."""
    named = {word.lstrip("+").partition("=")[0] for word in overrides}
    if named & set(_MEASURED_ON):
        if "experiment" not in named:
            yield "experiment=from_movie"
        else:
            yield from (f"{group}=measured" for group in _MEASURED if group not in named)
    for word in overrides:
        key, _, value = word.partition("=")
        if key == "psf" and value.endswith(_PSF_ENDINGS):
            yield "light=file"
            yield f"light.path={value}"
        else:
            yield word


def _parse(word: str) -> Override:
    """Read one override; a value that Hydra's grammar cannot read (a path with spaces, say) is a text."""
    parser = OverridesParser.create()
    try:
        return parser.parse_override(word)
    except HydraException as error:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"cannot read the setting {word!r}: write key=value") from error
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    try:
        return parser.parse_override(f"{key}='{quoted}'")
    except HydraException as error:
        raise UserError(f"cannot read the setting {word!r}: write key=value") from error


def _line(item: Override) -> str:
    assert item.input_line is not None
    return item.input_line


def search_path(config: str) -> list[str]:
    """Return the word that tells Hydra where else a configuration's groups lie."""
    return [f"hydra.searchpath=[{','.join(f'file://{home}' for home in config_dirs(config)[1:])}]"]


def _choices(item: Override, homes: Sequence[Path]) -> list[str] | None:
    """Return the choices of the group that an override names; None when it names no group."""
    if item.key_or_group in MADE_GROUPS:
        return sorted(MADE_GROUPS[item.key_or_group])
    folders = [home.joinpath(*item.key_or_group.split("/")) for home in homes]
    if "." in item.key_or_group or not any(folder.is_dir() for folder in folders):
        return None
    return sorted(
        str(path.relative_to(folder).with_suffix("")) for folder in folders for path in folder.rglob("*.yaml")
    )


def _check_choice(item: Override, choices: list[str]) -> None:
    value: Any = item.value()
    for choice in map(str, value if isinstance(value, list) else [value]):
        if choice not in choices:
            raise UserError(f"{item.key_or_group}={choice} is no choice: use one of {', '.join(choices)}")


def _check_key(item: Override, known: Sequence[str]) -> None:
    key = item.key_or_group
    if re.match(r"hydra[./]", key):
        return
    inner = [name for name in known if name.startswith(f"{key}.")]
    if inner and not isinstance(item.value(), dict | None):
        raise UserError(f"{key} is a group of settings: give one of them, for instance {inner[0]}=...")
    if inner or key in known:
        return
    near = max(known, key=lambda name: _likeness(key.lower(), name))
    raise UserError(f"there is no setting {key!r} and no file {_line(item)!r}: the nearest setting is {near}")


def _likeness(typed: str, known: str) -> float:
    """Compare two keys, 0 to 1: whole, and by their last words, for a prefix left out or mistaken."""
    whole = difflib.SequenceMatcher(None, typed, known).ratio()
    last = difflib.SequenceMatcher(None, typed.rpartition(".")[2], known.rpartition(".")[2]).ratio()
    return max(whole, 0.95 * last)
