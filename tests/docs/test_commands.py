"""Every command of README and docs is one that the program, the Makefile or the packaging knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autods.cli.arguments import parse
from autods.configuration.compose import compose_checked
from tests.docs.pages import ALL, BASH, INLINE_COMMANDS, PAGES, ROOT, Block, commands
from tests.docs.running import CANNOT_RUN, INSTALL_PAGES, INSTALLERS, LONG_TARGETS, NAMES

#: Programs that belong to others; their words are looked at by `others`.
PROGRAMS = {*INSTALLERS, *CANNOT_RUN, "bash", "hadolint", "python", "tensorboard"}


def without_sweep(words: list[str]) -> list[str]:
    """Take the first of comma-separated values, as one job of a sweep has."""
    if "-m" not in words:
        return words
    return [re.sub(r"=([^\[{'(,]*),.*$", r"=\1", word) for word in words if word != "-m"]


@pytest.mark.parametrize("block", BASH, ids=lambda block: block.id)
def test_every_command_is_known(block: Block) -> None:
    for words in commands(block):
        known(words)


@pytest.mark.parametrize("words", [words for words in INLINE_COMMANDS if words not in NAMES], ids=" ".join)
def test_every_command_of_the_running_text_is_known(words: tuple[str, ...]) -> None:
    known([re.sub("^(only=.)NAME", r"\1diff_1", word) for word in words])


def known(words: list[str]) -> None:
    program, *rest = words
    if program.removeprefix(".venv/bin/") == "autods":
        if not {"--help", "--version"} & set(rest):
            known_to_autods(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in rest if "=" not in word} <= set(targets), f"make {rest}"
    elif program.startswith("scripts/"):
        assert list(ROOT.glob(program)), f"{program} is not there"
    else:
        assert program in PROGRAMS, f"what is {program}?"
        others(program, rest)


def test_what_cannot_run_is_still_on_a_page() -> None:
    told = {word for block in BASH for words in commands(block) for word in words}
    told |= {word for words in INLINE_COMMANDS for word in words}
    assert set(CANNOT_RUN) <= told


def known_to_autods(words: list[str]) -> None:
    arguments = parse(without_sweep(words))
    config = arguments.command.config
    if arguments.overrides:
        if arguments.command.name == "localize3d" and not any(w.startswith("preset=") for w in words):
            compose_checked(config, [*arguments.overrides, "preset=instant"])
        compose_checked(config, arguments.overrides)


def others(program: str, words: list[str]) -> None:
    for word in words:
        top = word.partition("/")[0]
        if (
            "/" in word
            and "*" not in word
            and (ROOT / top).is_dir()
            and top in ("packaging", "scripts", "conf")
        ):
            assert (ROOT / word).exists(), f"{program} names {word}, which is not there"
    if program == "pip" and words[:1] == ["install"]:
        for word in words[1:]:
            installable(word)


def installable(word: str) -> None:
    """Check that a requirement is one that the project states, or a tool of its pages."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    stated = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    names = {re.split(r"[ \[<>=;]", line)[0].lower() for line in stated}
    if word.startswith("."):
        assert set(re.findall(r"\w+", word)) <= set(extras)
    elif not word.startswith(("-", "http")):
        assert re.split(r"[\[<>=]", word)[0].lower() in {*names, "uv", "pipx", "smappy-smlm"}, (
            f"pip install {word}"
        )


def test_shell_words_survive_zsh() -> None:
    """Unquoted brackets and signs of comparison mean something else to zsh."""
    for block in BASH:
        for line in block.text.splitlines():
            bare = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", line)
            assert not re.search(r"pip install [^\n]*[\[<>]", bare), f"{block.id}: quote {line}"


def test_links_lead_somewhere() -> None:
    for page in sorted({ROOT / block.page for block in ALL} | {ROOT / "README.md"}):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not re.match(r"\w+:", target):
                assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


def test_the_readme_is_short() -> None:
    assert len(Path(ROOT / "README.md").read_bytes()) <= 8_000


def test_the_pages_of_the_models_are_those_of_their_cards(tmp_path: Path) -> None:
    from scripts.model_cards import main

    main(tmp_path, figures=False)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.md"))
    assert len(made) > 10
    for name in made:
        assert (tmp_path / name).read_text() == (ROOT / "docs" / name).read_text()
    cards = {f"model_{path.stem}.png" for path in (ROOT / "docs" / "models").glob("*.md")}
    assert cards == {path.name for path in (ROOT / "docs" / "figures").glob("model_*.png")}


def test_every_target_that_is_named_is_typed_by_a_test_or_long() -> None:
    calls = [words for block in BASH if block.page in INSTALL_PAGES for words in commands(block)]
    typed = {word for program, *rest in calls if program == "make" for word in rest if "=" not in word}
    named = {
        word for program, *rest in INLINE_COMMANDS if program == "make" for word in rest if "=" not in word
    }
    assert named <= typed | set(LONG_TARGETS)
    assert not typed & set(LONG_TARGETS)


def test_paths_that_pages_name_are_there() -> None:
    """Those that begin with a folder of the source; results of runs, and what a reader makes, are others."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {
        "runs"
    }
    named = {
        (page.name, word)
        for page in PAGES
        for word in re.findall(r"`([\w.*-]+/[\w./*-]*)`", page.read_text(encoding="utf-8"))
        if word.partition("/")[0] in tops
    }
    assert len(named) > 50
    assert not sorted((page, word) for page, word in named if not list(ROOT.glob(word.rstrip("/"))))
