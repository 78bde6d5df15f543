"""Every configuration composes, and the help of each command names settings that exist."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from autods.cli.commands import COMMANDS
from autods.cli.help import settings_list
from autods.configuration.compose import compose_checked, load
from autods.configuration.convert import psf_formula
from autods.configuration.registry import leaves, schema_of
from autods.core.resources import conf_dir, config_dirs
from autods.optics import PSF_MODELS

GROUPS = sorted(
    (str(folder.relative_to(conf_dir())), path.stem)
    for folder in conf_dir().iterdir()
    if folder.is_dir() and folder.name != "experiment"
    for path in folder.glob("*.yaml")
)
EXPERIMENTS = sorted(
    str(path.relative_to(conf_dir() / "experiment").with_suffix(""))
    for path in (conf_dir() / "experiment").rglob("*.yaml")
)
SUITES = sorted(
    str(path.relative_to(config_dirs("benchmark")[0] / "suite").with_suffix(""))
    for path in (config_dirs("benchmark")[0] / "suite").rglob("*.yaml")
)
TOP_LEVEL = sorted(path.stem for path in conf_dir().glob("*.yaml"))
WITH_SETTINGS = [command for command in COMMANDS.values() if command.config is not None]
WITH_SCHEMA = [command for command in WITH_SETTINGS if schema_of(command.config) is not None]


@pytest.mark.parametrize("command", WITH_SCHEMA, ids=lambda command: command.name)
def test_what_is_composed_fits_the_types(command: Any) -> None:
    load(schema_of(command.config), ())


@pytest.mark.parametrize("command", WITH_SCHEMA, ids=lambda command: command.name)
def test_every_setting_has_a_line_of_help(command: Any) -> None:
    lines = settings_list(command).splitlines()
    composed = dict(leaves(compose_checked(command.config, ())))
    assert len(lines) >= len(composed)
    for key in composed:
        (line,) = [line for line in lines if line.startswith(f"{key}=")]
        assert re.fullmatch(r"\S+ +\S.*", line), line


@pytest.mark.parametrize("command", WITH_SETTINGS, ids=lambda command: command.name)
def test_the_main_settings_exist(command: Any) -> None:
    composed = compose_checked(command.config, ())
    absent = object()
    # A group is chosen, not set.
    groups = {"psf", "preset", "selection", "experiment", "suite"}
    for key in command.keys:
        if key not in groups:
            assert OmegaConf.select(composed, key, default=absent) is not absent, key


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(experiment: str) -> None:
    composed = compose_checked("train", [f"experiment={experiment}"])
    assert isinstance(composed, DictConfig)
    OmegaConf.resolve(composed)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_composes(suite: str) -> None:
    OmegaConf.resolve(compose_checked("benchmark", [f"suite={suite}"]))


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_every_file_composes(name: str) -> None:
    OmegaConf.resolve(compose_checked(name, []))


@pytest.mark.parametrize(("group", "name"), GROUPS)
def test_every_file_of_a_group_is_valid(group: str, name: str) -> None:
    assert isinstance(OmegaConf.load(conf_dir() / group / f"{name}.yaml"), DictConfig)


@pytest.mark.parametrize("name", sorted(PSF_MODELS))
def test_every_psf_is_composed_with_the_numbers_of_its_builder(name: str) -> None:
    psf = dict(compose_checked("simulate", [f"psf={name}"]).psf)
    formula: Any = psf_formula({key: psf[key] for key in psf if key not in ("z_min_nm", "z_max_nm")})
    assert formula.func is PSF_MODELS[name]
    usual = inspect.signature(PSF_MODELS[name]).parameters
    assert formula.keywords == {key: usual[key].default for key in list(usual)[1:]}
