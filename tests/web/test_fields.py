"""Entries become words of a command, or are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.configuration.compose import load
from autods.configuration.schema import LocalizeConfig
from autods.core import UserError
from autods.web.fields import ADVANCED, CAMERA, LOCALIZE, OPTICS, ROI, Field, device_word, words


def field(key: str) -> Field:
    return next(item for item in LOCALIZE if item.key == key)


@pytest.mark.parametrize(
    ("key", "text", "word"),
    [
        ("optics.pixel_size_nm", " 100 ", "optics.pixel_size_nm=100"),
        ("optics.pixel_size_nm", "106,5", "optics.pixel_size_nm=106.5"),
        ("camera.qe", "0.9", "camera.qe=0.9"),
        ("frames", "10:20", "frames=10:20"),
        ("frames", ":20", "frames=:20"),
        ("roi", "0:5:64:128", "roi=0:5:64:128"),
        ("selection.rule", "density", "selection.rule=density"),
        ("refine", "mle", "refine=mle"),
        ("optics.na", "", None),
    ],
)
def test_words(key: str, text: str, word: str | None) -> None:
    assert field(key).word(text) == word


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("optics.pixel_size_nm", "-3"),
        ("optics.pixel_size_nm", "nan"),
        ("optics.pixel_size_nm", "1e9"),
        ("optics.pixel_size_nm", "${oc.env:HOME}"),
        ("camera.qe", "0"),
        ("camera.qe", "1.2"),
        ("selection.rule", "fixed:x"),
        ("selection.rule", "density zoo=/etc"),
        ("frames", "5"),
        ("roi", "5:5:5:9"),
        ("roi", "0:0:9"),
        ("rescale", "maybe"),
    ],
)
def test_what_does_not_fit_is_told(key: str, text: str) -> None:
    assert field(key).problem(text)
    with pytest.raises(UserError):
        field(key).word(text)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=20))
def test_no_text_gets_into_the_grammar_of_the_command(text: str) -> None:
    for item in (*OPTICS, *CAMERA, ROI, *ADVANCED):
        try:
            word = item.word(text)
        except UserError:
            continue
        if word is not None:
            key, _, value = word.partition("=")
            assert key == item.key
            assert not set(value) & set("${}[]()'\",=\\ \n")


def test_every_field_is_a_key_of_the_command() -> None:
    entries = {item.key: "1" for item in LOCALIZE if item.kind in ("number", "whole")}
    entries |= {
        "optics.pixel_size_nm": "100",
        "optics.wavelength_nm": "600",
        "tiling.patch_um": "5",
        "frames": "0:5",
        "roi": "0:0:9:9",
    }
    entries |= {item.key: item.setting.choices[-1][0] for item in LOCALIZE if item.kind == "choice"}
    config = load(LocalizeConfig, words(LOCALIZE, entries))
    assert config.optics.pixel_size_nm == 100
    assert config.camera.em_gain == 1
    assert config.roi == "0:0:9:9"


def test_devices() -> None:
    assert device_word("cuda:1") == "device=cuda:1"
    with pytest.raises(UserError, match="no device"):
        device_word("cuda:1 zoo=/x")
