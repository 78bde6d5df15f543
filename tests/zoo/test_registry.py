from pathlib import Path

import pytest
import torch
from torch import nn

from autods.core import UserError
from autods.networks import build_network
from autods.zoo import registry
from autods.zoo.card import Component
from tests.zoo.cards import make_card


def saved(root: Path, name: str = "m", width: int = 6) -> nn.Module:
    network = build_network("subpixel", width=width, pairs=1, upsampling=4)
    network(torch.randn(2, 1, 8, 8))
    card = make_card(
        name, 1.0, 5.0, network=Component("subpixel", {"width": width, "pairs": 1, "upsampling": 4})
    )
    registry.save_model(card, network, root / name)
    return network.eval()


def test_saved_model_loads_with_the_same_output(tmp_path: Path) -> None:
    network = saved(tmp_path)
    loaded = registry.load_model(registry.load_card("m", tmp_path))
    frames = torch.randn(1, 1, 9, 9)
    assert not loaded.training
    torch.testing.assert_close(loaded(frames), network(frames), rtol=0, atol=0)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["card.yaml", "weights.safetensors"]


def test_listing_is_in_natural_order_and_ignores_other_folders(tmp_path: Path) -> None:
    for name in ("diff_10", "diff_9", "mix"):
        saved(tmp_path, name)
    (tmp_path / "notes").mkdir()
    assert registry.list_models(tmp_path) == ["diff_9", "diff_10", "mix"]
    assert [card.name for card in registry.load_cards(tmp_path)] == ["diff_9", "diff_10", "mix"]
    assert registry.list_models(tmp_path / "absent") == []
    with pytest.raises(UserError, match="no model of family 'mixture'"):
        registry.load_cards(tmp_path, "mixture")


def test_a_model_is_found_by_the_path_of_its_folder(tmp_path: Path) -> None:
    saved(tmp_path)
    assert registry.load_card(str(tmp_path / "m")).name == "m"
    with pytest.raises(UserError, match=r"no model 'x'.*\(m\)"):
        registry.load_card("x", tmp_path)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_damaged_weights_are_refused(tmp_path: Path, damage: str) -> None:
    saved(tmp_path)
    weights = tmp_path / "m" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    if damage == "remove":
        weights.unlink()
    else:
        data[-1] ^= 1
        weights.write_bytes({"flip": data, "truncate": data[:40], "empty": b""}[damage])
    with pytest.raises(UserError, match=r"weights\.safetensors") as error:
        registry.load_model(registry.load_card("m", tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("width: 5", "do not fit network subpixel"),
        ("colour: 5", r"card\.yaml: network 'subpixel' does not take"),
    ],
)
def test_card_that_does_not_fit_the_weights(tmp_path: Path, change: str, message: str) -> None:
    saved(tmp_path)
    path = tmp_path / "m" / "card.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("width: 6", change), encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        registry.load_model(registry.load_card("m", tmp_path))
    assert "\n" not in str(error.value)


def test_failed_save_keeps_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = saved(tmp_path)

    def fail(tensors: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(registry, "save_tensors", fail)
    with pytest.raises(OSError, match="disk full"):
        registry.save_model(registry.load_card("m", tmp_path), network, tmp_path / "m")
    registry.load_model(registry.load_card("m", tmp_path))
