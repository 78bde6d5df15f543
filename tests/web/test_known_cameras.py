"""What is confirmed of a camera is there for its next movie, and only for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autods.core import UserError
from autods.web.known_cameras import KnownCameras

CAMERA = "Andor iXon, serial 1234; Output_Amplifier Conventional"


def test_confirmed_values_belong_to_camera_and_mode(tmp_path: Path) -> None:
    known = KnownCameras(tmp_path / "cameras.json")
    assert known.get(CAMERA).values == {}
    known.confirm(CAMERA, {"camera.e_per_adu": "4.2", "camera.qe": "0.9"})
    again = KnownCameras(tmp_path / "cameras.json")
    assert again.get(CAMERA).values == {"camera.e_per_adu": "4.2", "camera.qe": "0.9"}
    assert len(again.get(CAMERA).day) == 10
    assert again.get(CAMERA.replace("Conventional", "Electron Multiplying")).values == {}
    assert again.get("").values == {}


def test_nothing_said_is_nothing_kept(tmp_path: Path) -> None:
    known = KnownCameras(tmp_path / "cameras.json")
    with pytest.raises(UserError, match="nothing is entered"):
        known.confirm(CAMERA, {})
    with pytest.raises(UserError, match="does not name"):
        known.confirm("", {"camera.qe": "0.9"})
    assert not (tmp_path / "cameras.json").exists()


def test_a_planted_file_gives_no_more_than_fits_the_form(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    values = {"camera.qe": "7", "camera.offset_adu": "100", "device": "cpu", "camera.em_gain": ["x"]}
    path.write_text(json.dumps({CAMERA: {"values": values, "day": "2026-01-01"}, "other": 3}))
    assert KnownCameras(path).get(CAMERA).values == {"camera.offset_adu": "100"}
    assert KnownCameras(path).get("other").values == {}
