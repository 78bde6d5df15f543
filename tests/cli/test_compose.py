"""Settings: defaults from the files, types from the schema, a mistake named in one line."""

from __future__ import annotations

from typing import Any

import pytest

from autods.configuration.compose import compose_checked, load
from autods.configuration.schema import LocalizeConfig
from autods.core import UserError


def localize(*overrides: str) -> LocalizeConfig:
    return load(LocalizeConfig, overrides)


def get(config: LocalizeConfig, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("optics.na=1.4", "optics.na", 1.4),
        ("optics.pixel_size_nm=100", "optics.pixel_size_nm", 100.0),
        ("camera.em_gain=null", "camera.em_gain", None),
        ("camera.offset_adu=100.5", "camera.offset_adu", 100.5),
        ("camera.offset_adu=/my maps (1)/a=b,c.npy", "camera.offset_adu", "/my maps (1)/a=b,c.npy"),
        ("frames=10:20", "frames", "10:20"),
        ("frames=:20", "frames", ":20"),
        ("roi=0:0:32:64", "roi", "0:0:32:64"),
        ("rescale=false", "rescale", False),
        ("selection=density", "selection.rule", "density"),
        ("selection.scope=frame", "selection.scope", "frame"),
        ("selection=fixed:diff_2", "selection.rule", "fixed:diff_2"),
        ("device=cuda:1", "device", "cuda:1"),
        ("processes.per_machine=4", "processes.per_machine", 4),
        ("trainer.devices=4", "processes.per_machine", 4),  # as it was called
    ],
)
def test_settings_are_taken(override: str, key: str, value: object) -> None:
    assert get(localize(override), key) == value


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optics.nna=1.4", "no setting 'optics.nna'.*nearest setting is optics.na"),
        ("pixel_size_nm=100", "nearest setting is optics.pixel_size_nm"),
        ("OPTICS.NA=1.4", "nearest setting is optics.na"),
        ("selection.rule=${oc.env:HOME}", "no setting of this command"),
        ("selection={_target_: os.system}", "no setting of this command"),
        ("+selection._target_=os.system", "no setting of this command"),
        ("hydra.run.dir=x", "no setting of this command"),
        ("optics.pixelsize=100", "nearest setting is optics.pixel_size_nm"),
        ("optics.na=large", "optics.na=large does not fit: it must be a number or null"),
        ("rescale=maybe", "rescale=maybe does not fit: it must be true or false"),
        ("tiling=5", "tiling is a group of settings.*tiling.patch_um"),
        ("tiling=null", "it must be a group of settings"),
        ("tiling.patch_um=5,10", "gives several values"),
        ("camera.em_gain=[1,2]", "camera.em_gain.*must be a number or null"),
    ],
)
def test_a_mistake_is_named(override: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        localize(override)
    assert "\n" not in str(caught.value)


def test_a_part_of_a_suite_is_left_out() -> None:
    words = ["suite=from_movie", "suite.microscopes.wide=null"]
    assert compose_checked("benchmark", words).suite.microscopes.wide is None
