"""The configurations and groups that are made of the program's own classes and functions, for Hydra."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from autods.configuration.schema import CameraConfig, defaults
from autods.optics.registry import PSF_MODELS, psf_configuration
from autods.pipelines.settings import OpticsSettings

#: The classes of the commands' settings; other configurations are files.
_SCHEMAS = {
    "localize": "autods.configuration.schema:LocalizeConfig",
    "localize3d": "autods.configuration.schema3d:Localize3DConfig",
    "profile": "autods.configuration.schema:ProfileConfig",
    "calibrate": "autods.configuration.schema3d:CalibrateConfig",
    "psf_show": "autods.configuration.schema:PsfShowConfig",
    "simulate": "autods.configuration.schema:SimulateConfig",
    "demo": "autods.configuration.schema:DemoConfig",
    "evaluate": "autods.configuration.schema:EvaluateConfig",
    "finish": "autods.configuration.schema:FinishConfig",
    "combine": "autods.configuration.schema:CombineConfig",
    "doctor": "autods.configuration.schema:DoctorConfig",
    "web": "autods.configuration.schema:WebConfig",
}
#: Groups that are made of the program's own definitions, with their choices.
MADE_GROUPS = {
    "psf": {name: psf_configuration(name) for name in PSF_MODELS},
    "optics": {"default": dataclasses.asdict(OpticsSettings())},
    "camera": {"default": dataclasses.asdict(CameraConfig())},
}


def schema_of(config: str) -> type | None:
    """Return the class of a command's settings; None where they are a file of ``conf/``."""
    if config not in _SCHEMAS:
        return None
    module, _, name = _SCHEMAS[config].partition(":")
    found: type = getattr(import_module(module), name)
    return found


@cache
def defaults_of(config: str) -> dict[str, object]:
    """Return what a command takes when nothing is given, by key; a group's key has the name of its choice.

    Raises `KeyError` if the command's settings are a file of ``conf/``.
    """
    schema = schema_of(config)
    if schema is None:
        raise KeyError(config)
    content = defaults(schema)
    chosen = [entry for entry in content.pop("defaults") if isinstance(entry, dict)]
    groups = {group: name for entry in chosen for group, name in entry.items()}
    return groups | dict(leaves(OmegaConf.create(content)))


def store_made(config: str) -> None:
    """Tell Hydra of a command's configuration, and of the groups, that are made of classes."""
    store, schema = ConfigStore.instance(), schema_of(config)
    for group, choices in MADE_GROUPS.items():
        for name, node in choices.items():
            store.store(group=group, name=name, node=node)
    if schema is not None:
        store.store(name=config, node=defaults(schema))


def config_of(schema: type) -> str:
    """Return the configuration that a class of `schema_of` belongs to."""
    names = {home: name for name, home in _SCHEMAS.items()}
    return names[f"{schema.__module__}:{schema.__name__}"]


def leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values; lists and empty mappings count as values."""
    for name in map(str, config):
        key = f"{prefix}{name}"
        if OmegaConf.is_missing(config, name):
            yield key, "???"
            continue
        value = config[name]
        if isinstance(value, DictConfig) and value:
            yield from leaves(value, f"{key}.")
        else:
            yield key, value
