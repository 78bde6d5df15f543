import copy
from pathlib import Path

import pytest
import yaml

from autods.core import UserError
from autods.zoo.card import card_from_dict, card_to_dict, read_card, write_card
from tests.zoo.cards import make_card

SHA = "0123456789abcdef" * 4


def test_round_trip_through_the_file(tmp_path: Path) -> None:
    card = make_card(
        "diff_1",
        0.5,
        8.0,
        metrics={"jaccard": 0.8},
        training={"seed": 3, "camera": ["emccd", "scmos"]},
        weights_sha256=SHA,
        description="Sparse, bright: µ-scale text.",
    )
    write_card(card, tmp_path / "card.yaml")
    read = read_card(tmp_path / "card.yaml")
    assert read == card
    assert read.folder == tmp_path
    assert "folder" not in yaml.safe_load((tmp_path / "card.yaml").read_text(encoding="utf-8"))


def test_integers_are_read_as_numbers_and_unknown_optics_as_none() -> None:
    values = card_to_dict(make_card("m", 1.0, 5.0))
    values["threshold"] = 12
    values["optics"]["wavelength_nm"] = None
    card = card_from_dict(values, "card.yaml")
    assert card.threshold == 12.0
    assert card.optics.wavelength_nm is None
    assert card.optics.psf_sigma_px == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("family", "unet", "family is 'unet'"),
        ("threshold", "high", "threshold is 'high'"),
        ("threshold", True, "threshold is True"),
        ("threshold", float("nan"), "threshold is nan"),
        ("optics.pixel_size_nm", None, "optics.pixel_size_nm is None"),
        ("optics.pixel_size_nm", -5.0, "optics.pixel_size_nm is -5.0"),
        ("network.args", [1], "network.args"),
        ("network.naem", "x", "unknown key network.naem"),
        ("density_per_um2", 1.0, "density_per_um2 must be a mapping"),
        ("density_per_um2.low", 9.0, "density_per_um2 must have 0 <= low"),
        ("metrics.jaccard", "good", "metrics.jaccard is 'good'"),
        ("colour", "red", "unknown key colour"),
        ("name", "../x", "name is '../x'"),
        ("generalist", 1.0, "generalist is 1.0: it must be true or false"),
    ],
)
def test_wrong_value_is_named_with_file_and_key(path: str, value: object, message: str) -> None:
    values = copy.deepcopy(card_to_dict(make_card("m", 1.0, 5.0)))
    target = values
    *parents, key = path.split(".")
    for parent in parents:
        target = target[parent]
    target[key] = value
    with pytest.raises(UserError) as error:
        card_from_dict(values, "zoo/m/card.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("zoo/m/card.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["network", "optics.pixel_size_nm", "snr.high", "threshold"])
def test_missing_key_is_named(path: str) -> None:
    values = copy.deepcopy(card_to_dict(make_card("m", 1.0, 5.0)))
    target = values
    *parents, key = path.split(".")
    for parent in parents:
        target = target[parent]
    del target[key]
    with pytest.raises(UserError, match=f"key {path} is missing"):
        card_from_dict(values, "card.yaml")


@pytest.mark.parametrize("text", ["a: [", "just text", "- 1\n- 2\n"])
def test_a_file_that_is_no_card(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"card\.yaml"):
        read_card(path)


def test_absent_file_and_absent_checksum(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_card(tmp_path / "card.yaml")
    write_card(make_card("m", 1.0, 5.0), tmp_path / "card.yaml")
    with pytest.raises(UserError, match="weights_sha256"):
        read_card(tmp_path / "card.yaml")
