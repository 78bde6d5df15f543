"""`autods simulate`: movie and truth belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autods.cli.main import main
from autods.io.movie import open_movie
from autods.io.tables import read_table


def test_movie_and_truth_belong_together(tmp_path: Path) -> None:
    words = [
        "n_frames=120",
        "size_px=24",
        "structure=uniform",
        "density_per_um2=0.3",
        "photons=20000",
        "on_frames=1",
    ]
    assert main(["simulate", "--out", str(tmp_path), "background=0", "optics.pixel_size_nm=120", *words]) == 0
    truth = read_table(tmp_path / "truth.csv")
    with open_movie(tmp_path / "movie.tif") as movie:
        assert movie.shape == (120, 24, 24)
        assert movie.metadata.pixel_size_nm == pytest.approx(120)
        frames = movie.read(0, 120).astype(float) - 100
    assert truth.frame.max() < 120
    assert len(truth) == pytest.approx(0.3 * 2.88**2 * 120, rel=0.3)
    light = frames.sum((1, 2))
    photons = np.bincount(truth.frame, truth.photons, 120)
    assert np.corrcoef(light, photons)[0, 1] > 0.95
    brightest = int(truth.photons.argmax())
    y, x = np.unravel_index(frames[truth.frame[brightest]].argmax(), (24, 24))
    assert abs((x + 0.5) * 120 - truth.x_nm[brightest]) < 150
    assert abs((y + 0.5) * 120 - truth.y_nm[brightest]) < 150


def test_the_seed_decides(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        small = ["n_frames=5", "size_px=16", f"seed={seed}"]
        assert main(["simulate", "--out", str(tmp_path / name), *small]) == 0
    a, b, c = ((tmp_path / name / "truth.csv").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --out DIR"),
        (["--out", "o", "structure=foo"], "use one of uniform, filaments"),
        (["--out", "o", "n_frames=0"], "n_frames=0"),
        (["--out", "o", "optics.na=null"], "optics.na"),
        (["--out", "o", "optics.na=1.6"], "optics.na=1.6"),
        (["--out", "o", "camera.qe=2"], "camera.qe is 2: it must be greater than 0 and up to 1"),
        (["--out", "o", "camera.offset_adu=absent.tif"], "there is no such file"),
        (["--out", "file/o"], "file"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert main(["simulate", *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not Path("o").exists()
