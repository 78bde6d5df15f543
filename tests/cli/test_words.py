"""Words are checked before any work starts, whatever the command."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from autods.cli.main import main
from autods.cli.progress import progress_bars

TRAIN = ["train", "experiment=zoo/heatmap"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "give experiment=NAME"),
        ([*TRAIN, "trainer.max_steps=abc"], "trainer.max_steps=abc does not fit: it must be a whole number"),
        (
            [*TRAIN, "module.learning_rate=fast"],
            "module.learning_rate=fast does not fit",
        ),
        ([*TRAIN, "data.simulator.gradient=x"], "data.simulator.gradient=x does not fit"),
        ([*TRAIN, "seed=x"], "seed=x does not fit"),
        ([*TRAIN, "warm_start=weights.safetensors"], "cannot be read as weights"),
        (["localize3d", "m.tif", "psf._target_=os.system"], "psf._target_=os.system is no setting"),
        (["benchmark", "suite=uniform", "suite._target_=os.system"], "is no setting of this command"),
        (["benchmark", "suite=uniform", "suite.size_px=abc"], "suite.size_px=abc does not fit"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_a_wrong_word_is_named(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.tif").touch()
    Path("weights.safetensors").write_bytes(b"rubbish")
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert said in lines[0]
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(("quiet_s", "n_lines"), [(0.05, 2), (10.0, 0)])
def test_without_a_terminal_the_stages_of_long_runs_are_lines(
    quiet_s: float, n_lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("autods.cli.progress._QUIET_S", quiet_s)
    with progress_bars("movie.tif") as progress:
        time.sleep(0.5)
        for done in range(3):
            progress("localize", done, 3)
        progress("report", 0, 1)
    lines = [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["movie.tif: localize", "movie.tif: report"][:n_lines]


def test_a_bare_wheel_says_where_the_benchmarks_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("autods.cli.benchmark.benchmarks_dir", lambda: None)
    assert main(["benchmark", "suite=uniform"]) == 2
    assert "clone the source" in capsys.readouterr().err
