"""A setting is the same wherever it is told of: command line, Python, help, the page and the report."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

import autods
from autods.cli.arguments import parse
from autods.cli.commands import COMMANDS
from autods.configuration.compose import compose_checked, load
from autods.configuration.convert import localize_settings
from autods.configuration.meanings import by_python_name, meaning, own_keys
from autods.configuration.registry import defaults_of
from autods.configuration.schema import LocalizeConfig
from autods.core import UserError
from autods.core.resources import conf_dir
from autods.estimation.scene import METHODS
from autods.pipelines import definitions
from autods.pipelines.settings import CameraSettings, FinishSettings, LocalizeSettings, OpticsSettings
from autods.pipelines.settings3d import Localize3DSettings, SnrSettings, TrainingSettings
from autods.pipelines.simulate import SimulationSettings
from autods.web.fields import CAMERA, LOCALIZE, Field, text_of
from autods.web.steps3d import STEPS
from autods.zoo.selection import SELECTION_RULES
from tests.cli.settings3d import localize3d_settings

STEP_FIELDS = [field for step in STEPS for field in step.fields]


def test_command_and_python_have_the_same_defaults_in_2d() -> None:
    assert localize_settings(load(LocalizeConfig, [])) == LocalizeSettings()


def test_command_and_python_have_the_same_defaults_in_3d(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match="from 0"):
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
    assert field.default == default
    if default is None:
        assert field.usual == (field.setting.usual or field.setting.unset), "a form must say what empty means"
        return
    assert field.problem(text_of(default)) is None
    if field.setting.usual:
        # Another setting's choice or the device decides.
        return
    if field.kind == "choice":
        assert field.choices[""] == f"default ({dict(field.setting.choices)[text_of(default)]})"
    if field.kind in ("number", "whole"):
        assert float(field.usual) == float(str(default))


@pytest.mark.parametrize("command", ["localize", "localize3d"])
def test_label_unit_and_limits_of_the_page_are_those_of_help_and_checks(command: str) -> None:
    known = {"localize": definitions.LOCALIZE, "localize3d": definitions.LOCALIZE3D}[command]
    form = {"localize": LOCALIZE, "localize3d": STEP_FIELDS}[command]
    told = COMMANDS[command].keys
    for field in form:
        setting = known[field.key]
        assert field.setting is setting
        assert field.caption.startswith(setting.label)
        if field.key != "selection.rule":  # `selection` for short
            assert field.key in told
            assert meaning(command, field.key) == setting.meaning
        if field.kind in ("number", "whole") and not math.isinf(setting.low):
            wrong = setting.low - 1
            assert field.problem(f"{wrong:g}")
            with pytest.raises(UserError, match=re.escape(field.key)):
                setting.require(wrong)


def test_the_settings_objects_check_what_is_defined() -> None:
    for key, make in {
        "optics.na": lambda value: OpticsSettings(na=value),
        "camera.qe": lambda value: CameraSettings(qe=value),
        "link.gap": lambda value: FinishSettings(link_gap=value),
        "tiling.patch_um": lambda value: LocalizeSettings(patch_um=value),
        "decode.threshold": lambda value: LocalizeSettings(threshold=value),
        "render.pixel_size_nm": lambda value: LocalizeSettings(render_pixel_size_nm=value),
        "snr.size_px": lambda value: SnrSettings(size_px=value),
        "trainer.max_minutes": lambda value: TrainingSettings(max_minutes=value),
    }.items():
        setting = {**definitions.LOCALIZE3D, **definitions.LOCALIZE}[key]
        with pytest.raises(UserError, match=re.escape(key)):
            make(setting.low - 1)
    with pytest.raises(UserError, match="use mle or none"):
        LocalizeSettings(refine="both")  # type: ignore[arg-type]


def test_choices_are_those_that_there_are() -> None:
    choices = {key: dict(setting.choices) for key, setting in definitions.LOCALIZE.items()}
    assert set(choices["selection.rule"]) == set(SELECTION_RULES)
    assert set(choices["background"]) == set(METHODS)
    presets = {path.stem for path in (conf_dir() / "preset").glob("*.yaml")}
    assert set(dict(definitions.LOCALIZE3D["preset"].choices)) == presets
    assert set(choices["rescale"]) == {text_of(True), text_of(False)}


@pytest.mark.parametrize("name", ["localize", "localize3d", "simulate", "profile", "calibrate", "evaluate"])
def test_python_says_of_a_setting_what_the_command_says(name: str) -> None:
    function = getattr(autods, name)
    said, written = by_python_name(name), inspect.getsource(function)
    told = " ".join(str(inspect.getdoc(function)).split())
    filled = [key for key in inspect.signature(function).parameters if f"{key} {said.get(key)}" in told]
    by_hand = [key for key in inspect.signature(function).parameters if key not in filled]
    assert len(filled) >= 5
    assert all(re.search(rf"^    (\w+, )*{key}(, \w+)*$", written, re.MULTILINE) for key in by_hand)
    assert all(said[key] not in written for key in filled)


def test_what_a_setting_is_stands_once() -> None:
    """In the definitions of the one-clicks or among the meanings; not in commands, schemas or docstrings."""
    sentences = {
        meaning(command.config, key) for command in COMMANDS.values() for key in own_keys(command.config)
    }
    sentences |= {
        text
        for setting in (*definitions.LOCALIZE.values(), *definitions.LOCALIZE3D.values())
        for text in (setting.label, setting.about)
    }
    homes = ("meanings.py", "definitions.py")
    package = Path(autods.__file__).parent
    told = {
        path: path.read_text(encoding="utf-8")
        for folder in ("api", "cli", "configuration", "pipelines", "web")
        for path in sorted((package / folder).rglob("*.py"))
    }
    long = [text for text in sentences if len(text.split()) >= 5]
    assert len(long) > 40
    again = [
        f"{path.name}: {text}"
        for text in long
        for path, source in told.items()
        if path.name not in homes and text.lower() in source.lower()
    ]
    assert not again
    assert not [text for text in long if sum(told[path].count(f'"{text}"') for path in told) > 1]


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


def test_a_simulation_in_python_has_the_defaults_of_its_settings() -> None:
    own = {"out", "optics", "camera"}  # a folder, and what the settings must be given
    stated = inspect.signature(autods.simulate).parameters
    assert len(stated) > len(own) + 10
    for key in set(stated) - own:
        assert stated[key].default == getattr(SimulationSettings, key), key
