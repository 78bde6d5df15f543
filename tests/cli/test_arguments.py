"""Paths, options and settings are told apart by one rule."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from autods.cli.arguments import UsageError, parse
from autods.cli.commands import COMMANDS
from autods.cli.help import command_help, overview


def test_words_are_sorted() -> None:
    arguments = parse(["localize", "a.tif", "optics.na=1.4", "--out", "o", "b.tif", "rescale=false"])
    assert arguments.paths == (Path("a.tif"), Path("b.tif"))
    assert arguments.overrides == ("optics.na=1.4", "rescale=false")
    assert arguments.out == Path("o")


def test_an_equals_sign_in_a_path_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("laser=5mW.tif", "A=1.tif"):
        Path(name).write_text("")
    arguments = parse(["localize", "laser=5mW.tif", "/data/run=3/movie.tif", "./x=1.tif", "A=1.tif"])
    assert arguments.overrides == ()
    assert [path.name for path in arguments.paths] == ["laser=5mW.tif", "movie.tif", "x=1.tif", "A=1.tif"]


@pytest.mark.parametrize(
    "words",
    [
        ["optics.na=1.4"],
        ["optics.na = 1.4"],
        ["optics.na", "=", "1.4"],
        ["optics.na=", "1.4"],
        ["optics.na", "=1.4"],
    ],
)
def test_spaces_round_the_equals_sign_are_harmless(words: list[str]) -> None:
    arguments = parse(["localize", "m.tif", *words, "--out", "o"])
    assert arguments.overrides == ("optics.na=1.4",)
    assert arguments.paths == (Path("m.tif"),)


def test_a_word_of_a_command_is_no_setting() -> None:
    assert parse(["psf", "show", "beads.h5"]).paths == (Path("show"), Path("beads.h5"))


def test_a_key_in_capitals_is_a_setting_that_is_checked() -> None:
    assert parse(["localize", "m.tif", "Optics.na=1.4"]).overrides == ("Optics.na=1.4",)


def test_after_two_dashes_all_are_paths() -> None:
    assert parse(["localize", "--", "gain=3", "--out"]).paths == (Path("gain=3"), Path("--out"))


def test_a_path_may_start_with_a_dash_if_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-5C.tif").write_text("")
    assert parse(["localize", "-5C.tif"]).paths == (Path("-5C.tif"),)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["localise", "m"], "did you mean 'localize'"),
        (["localize"], "needs a path"),
        (["localize", "m", "--ot", "x"], "did you mean '--out'"),
        (["localize", "m", "--out"], "--out needs a value"),
        (["localize", "m", "--psf", "x"], "--psf is not an option of autods localize"),
        (["demo", "-m"], "-m is not for autods demo: only localize, train, benchmark can be swept"),
        (["localize", "m", "optics.na:1.4"], "'optics.na:1.4' is no file"),
        (["localize", "m", "Optics.na", "1.4"], "'Optics.na' is no file"),
        (["evaluate", "a", "b", "--truth", "t"], "does not take the argument 'b'"),
        (["doctor", "a.tif", "now"], "does not take the argument 'now'"),
    ],
)
def test_a_wrong_command_line_is_explained(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(words)


def test_research_commands_keep_hydras_own_grammar() -> None:
    arguments = parse(["train", "experiment=zoo/heatmap", "+trainer.x=1", "~light", "network=a,b", "-m"])
    assert arguments.overrides == ("experiment=zoo/heatmap", "+trainer.x=1", "~light", "network=a,b")
    assert arguments.multirun


def test_the_equivalent_command_repeats_the_run(tmp_path: Path) -> None:
    arguments = parse(["localize", "a b.tif", "optics.na=1.4", "--out", str(tmp_path)])
    words = shlex.split(arguments.equivalent())
    assert words[:3] == ["autods", "localize", str(Path("a b.tif").resolve())]
    assert parse(words[1:]).overrides == ("optics.na=1.4",)
    assert parse(words[1:]).out == tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    assert parse([name, "--help"]).help
    assert len(max(command_help(COMMANDS[name]).splitlines(), key=len)) <= 110
    assert f"autods {name}" in overview()
