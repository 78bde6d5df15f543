"""Every configuration composes, and the help of each command names settings that exist."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from autods.cli import schema
from autods.cli.commands import COMMANDS
from autods.cli.compose import compose_checked, load
from autods.cli.convert import psf_formula
from autods.core.resources import conf_dir, config_dirs
from autods.optics import PSF_MODELS

SCHEMAS: dict[str, type] = {
    "localize": schema.LocalizeConfig,
    "profile": schema.ProfileConfig,
    "evaluate": schema.EvaluateConfig,
    "simulate": schema.SimulateConfig,
    "demo": schema.DemoConfig,
}
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


@pytest.mark.parametrize("name", SCHEMAS)
def test_file_and_schema_agree(name: str) -> None:
    config = load(name, (), SCHEMAS[name])
    assert OmegaConf.missing_keys(OmegaConf.structured(config)) == set()


@pytest.mark.parametrize("command", WITH_SETTINGS, ids=lambda command: command.name)
def test_the_main_settings_exist(command: Any) -> None:
    homes = config_dirs(command.config)
    assert (homes[0] / f"{command.config}.yaml").is_file()
    composed = compose_checked(command.config, ())
    absent = object()
    for key, _ in command.keys:
        if not any((home / key).is_dir() for home in homes):  # a group is chosen, not set
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
