"""Bad input: one clear line, exit code 2, and nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from autods.cli.main import main

RESULTS = ("localizations.csv", "localizations.hdf5", "reconstruction.tif", "preview.png", "report.html")


def text_file(path: Path, movie: Path) -> None:
    path.write_text("this is no image")


def empty_file(path: Path, movie: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path, movie: Path) -> None:
    content = movie.read_bytes()
    path.write_bytes(content[:300])  # before the end of the first frame


def rgb(path: Path, movie: Path) -> None:
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path, "TIFF")


def constant(path: Path, movie: Path) -> None:
    tifffile.imwrite(path, np.full((6, 24, 24), 100, np.uint16))


def all_nan(path: Path, movie: Path) -> None:
    tifffile.imwrite(path, np.full((6, 24, 24), np.nan, np.float32))


def tiny(path: Path, movie: Path) -> None:
    tifffile.imwrite(path, np.arange(24, dtype=np.uint16).reshape(6, 2, 2))


def empty_folder(path: Path, movie: Path) -> None:
    path.mkdir()


def absent(path: Path, movie: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (text_file, "not a movie"),
        (empty_file, "empty"),
        (truncated, "bad.tif"),
        (rgb, "bad.tif"),
        (constant, "constant"),
        (all_nan, "NaN"),
        (tiny, "too small"),
        (empty_folder, "holds no movie"),
        (absent, "does not exist"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_movie(
    make: Callable[[Path, Path], None],
    said: str,
    movie: Path,
    zoo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad.tif"
    make(bad, movie)
    words = ["localize", str(bad), "--out", str(tmp_path / "run"), f"zoo={zoo}", "optics.pixel_size_nm=100"]
    assert main(words) == 2
    assert_one_line(capsys, said)
    assert_nothing_written(tmp_path / "run")


def test_a_single_frame_works_with_a_warning(
    frames: np.ndarray, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "one.tif", frames[0])
    words = ["localize", str(tmp_path / "one.tif"), "--out", str(tmp_path / "run"), f"zoo={zoo}"]
    assert main([*words, "optics.pixel_size_nm=100"]) == 0
    assert "single frame" in capsys.readouterr().err
    assert "single frame" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optics.pixelsize_nm=100"], "nearest setting is optics.pixel_size_nm"),
        (["optics.pixel_size_nm=-1"], "optics.pixel_size_nm is -1"),
        (["optics.na=1.6"], "optics.na=1.6"),
        (["camera.qe=3"], "camera.qe is 3"),
        (["camera.offset_adu=map.tif"], "map of shape (5, 5)"),
        (["camera.offset_adu=absent.tif"], "there is no such file"),
        (["frames=5"], "START:STOP"),
        (["frames=100:200"], "within 0:12"),
        (["roi=1:2:3"], "Y0:X0:Y1:X1"),
        (["roi=0:0:500:500"], "within 0:0:24:32"),
        (["selection=best"], "use one of auto"),
        (["selection=fixed:nothing"], "level_1"),
        (["selection.scope=weekly"], "use movie or frame"),
        (["tiling.patch_um=0.1"], "tiling.patch_um"),
        (["decode.threshold=-1"], "decode.threshold"),
        (["device=abacus"], "device=abacus"),
        (["zoo=nowhere"], "nowhere"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_bad_setting(
    words: list[str],
    said: str,
    movie: Path,
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("map.tif", np.zeros((5, 5), np.float32))
    given = [f"zoo={zoo}"] if not words[0].startswith("zoo") else []
    assert main(["localize", str(movie), "--out", "run", *given, *words]) == 2
    assert_one_line(capsys, said)
    assert_nothing_written(tmp_path / "run")


def test_a_missing_pixel_size_is_asked_for_by_name(
    frames: np.ndarray, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "m.tif", frames)
    assert main(["localize", str(tmp_path / "m.tif"), "--out", str(tmp_path / "run"), f"zoo={zoo}"]) == 2
    assert_one_line(capsys, "optics.pixel_size_nm")
    assert_nothing_written(tmp_path / "run")


def test_corrupted_weights_are_refused(
    movie: Path, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(zoo, tmp_path / "zoo")
    for weights in (tmp_path / "zoo").glob("*/weights.safetensors"):
        content = bytearray(weights.read_bytes())
        content[-5] ^= 1
        weights.write_bytes(content)
    words = ["localize", str(movie), "--out", str(tmp_path / "run"), f"zoo={tmp_path / 'zoo'}"]
    assert main(words) == 2
    assert_one_line(capsys, "weights.safetensors")
    assert_nothing_written(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(movie: Path, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert main(["localize", str(movie), "--out", str(locked / "run"), f"zoo={zoo}"]) == 2
    assert_one_line(capsys, "permission")


def test_a_file_in_the_way_of_the_folder(
    movie: Path, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("precious")
    assert main(["localize", str(movie), "--out", str(tmp_path / "run"), f"zoo={zoo}"]) == 2
    assert_one_line(capsys, "run")
    assert (tmp_path / "run").read_text() == "precious"


@pytest.mark.parametrize("function", ["savez", "hdf5", "imwrite"])
def test_a_full_disk(
    function: str,
    movie: Path,
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {"savez": "numpy.savez", "hdf5": "h5py.File", "imwrite": "tifffile.imwrite"}[function]
    monkeypatch.setattr(target, full)
    assert main(["localize", str(movie), "--out", str(tmp_path / "run"), f"zoo={zoo}"]) == 2
    assert_one_line(capsys, "disk is full")
    left = {path.name for path in (tmp_path / "run").rglob("*")}
    assert not [name for name in left if ".part" in name and name != ".partial"]
    assert "report.html" not in left
    if function == "savez":
        monkeypatch.undo()
        assert main(["localize", str(movie), "--out", str(tmp_path / "run"), f"zoo={zoo}"]) == 0


def assert_one_line(capsys: pytest.CaptureFixture[str], said: str) -> None:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autods: ")]
    lines = [line for line in lines if not line.startswith("autods: warning:")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("autods: ")
    assert said in lines[0]
    assert "Traceback" not in lines[0]


def assert_nothing_written(folder: Path) -> None:
    if folder.exists():
        left = {path.name for path in folder.rglob("*")}
        assert left <= {"run.json", "log.txt", ".lock"}, left
