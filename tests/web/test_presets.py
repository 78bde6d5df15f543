"""Saved microscopes and cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from autods.core import UserError
from autods.web.presets import Presets


def test_presets_are_kept_and_replaced(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets.json")
    assert presets.names("optics") == []
    presets.save("optics", " Nikon 100x ", {"optics.na": "1.49"})
    presets.save("camera", "Prime", {"camera.qe": "0.9"})
    presets.save("optics", "Nikon 100x", {"optics.na": "1.45"})
    again = Presets(tmp_path / "presets.json")
    assert again.names("optics") == ["Nikon 100x"]
    assert again.get("optics", "Nikon 100x") == {"optics.na": "1.45"}
    assert again.get("camera", "absent") == {}


@pytest.mark.parametrize("name", ["", "  ", "x" * 61])
def test_a_preset_needs_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="needs a name"):
        Presets(tmp_path / "presets.json").save("optics", name, {})
