"""A setting is the same wherever it is told of: YAML, Python, help, the page and the report."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path

import pytest

import autods
from autods.cli.arguments import parse
from autods.cli.compose import compose_checked, load
from autods.cli.convert import localize_settings
from autods.cli.localize3d import localize3d_settings
from autods.cli.schema import LocalizeConfig
from autods.core import UserError
from autods.pipelines.settings import LocalizeSettings
from autods.pipelines.settings3d import Localize3DSettings, TrainingSettings
from autods.web.fields import CAMERA, LOCALIZE, Field, defaults_of
from autods.web.steps3d import STEPS

STEP_FIELDS = [field for step in STEPS for field in step.fields]


def test_yaml_and_python_have_the_same_defaults_in_2d() -> None:
    assert localize_settings(load("localize", [], LocalizeConfig)) == LocalizeSettings()


def test_yaml_and_python_have_the_same_defaults_in_3d(tmp_path: Path) -> None:
    beads = tmp_path / "beads.tif"
    beads.touch()
    # Where a training is asked for: without a GPU the command line trains nothing by itself.
    words = ["localize3d", "m.tif", "--beads", str(beads), "device=cpu"]
    assert localize3d_settings(parse(words)).training.family == "universal"
    composed = localize3d_settings(parse([*words, "preset=cpu_quick"]))
    assert replace(composed, device="auto") == Localize3DSettings(composed.psf)
    assert composed.psf.calibration == Localize3DSettings(composed.psf).psf.calibration


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_a_preset_states_what_it_changes(preset: str) -> None:
    config = compose_checked("localize3d", [f"preset={preset}"])
    usual = TrainingSettings()
    assert config.network.args.width == 64
    assert config.trainer.max_minutes != usual.max_minutes


def test_null_means_the_same_in_2d_and_3d(tmp_path: Path) -> None:
    beads = tmp_path / "beads.tif"
    beads.touch()
    words = ["localize3d", "m.tif", "--beads", str(beads), "device=cpu"]
    found = {
        value: localize3d_settings(parse([*words, f"decode.min_significance={value}"]))
        for value in ("null", "0", "2.5")
    }
    assert found["null"].min_significance is None
    assert [each.significance for each in found.values()] == [3.0, 0.0, 2.5]
    with pytest.raises(UserError, match="at least 0"):
        localize3d_settings(parse([*words, "decode.min_significance=-1"]))


@pytest.mark.parametrize(
    ("command", "field"),
    [("localize", field) for field in LOCALIZE] + [("localize3d", field) for field in STEP_FIELDS],
    ids=lambda value: value.key if isinstance(value, Field) else value,
)
def test_the_page_states_the_default_and_takes_it(command: str, field: Field) -> None:
    defaults = defaults_of(command)
    assert field.key in defaults, "there is no such setting"
    default = defaults[field.key]
    if default is None:
        return
    text = str(default).lower() if isinstance(default, bool) else str(default)
    assert field.problem(text) is None
    if field.kind == "choice" and field.key != "preset":
        assert dict(field.choices)[""] == f"default ({dict(field.choices)[text]})"
    if field.kind in ("number", "whole") and not field.usual.startswith("the "):
        assert float(field.usual) == float(str(default))


def test_the_page_refuses_what_the_command_refuses() -> None:
    patch = next(field for field in LOCALIZE if field.key == "tiling.patch_um")
    assert patch.problem("2.4") == "Patch side must be from 2.5 to 1000 µm"
    assert patch.problem("2.5") is None


def test_python_offers_both_pipelines_with_the_settings_defaults() -> None:
    usual = LocalizeSettings()
    offered = inspect.signature(autods.localize).parameters
    for item in fields(LocalizeSettings):
        if item.name in offered:
            assert offered[item.name].default == getattr(usual, item.name), item.name
    assert {field.key.partition(".")[2] for field in CAMERA} <= set(offered)
    assert {"beads", "psf", "run", "z_min_nm", "z_max_nm"} <= set(
        inspect.signature(autods.localize3d).parameters
    )
