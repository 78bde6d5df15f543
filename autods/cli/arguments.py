"""Sorting the arguments of a command into paths, options and settings."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autods.cli.command import Command
from autods.cli.commands import COMMANDS, FLAGS, OPTIONS

_KEY = re.compile(r"(hydra/)?[A-Za-z_][\w.]*(@[\w.]+)?")
_SETTING = re.compile(_KEY.pattern + r"\s*=")


class UsageError(Exception):
    """A command line that cannot be understood; the message is one line, as of a ``UserError``.

    It stands apart from ``core.UserError`` because importing that imports torch, which takes seconds.
    """


@dataclass(frozen=True)
class Arguments:
    """The command line, sorted."""

    #: The command.
    command: Command
    #: Plain arguments.
    paths: tuple[Path, ...] = ()
    #: ``key=value`` settings, as typed.
    overrides: tuple[str, ...] = ()
    #: Values of the options, by name with the dashes.
    options: dict[str, Path] = field(default_factory=dict)
    #: Folders of ``--data``, which may be given more than once.
    data: tuple[Path, ...] = ()
    #: Whether ``-m`` was given.
    multirun: bool = False
    #: Options without a value that were given.
    flags: tuple[str, ...] = ()
    #: Whether ``--help`` was given.
    help: bool = False
    #: Whether ``--settings`` was given.
    all_settings: bool = False

    @property
    def out(self) -> Path | None:
        """The folder of ``--out``."""
        return self.options.get("--out")

    def equivalent(self, *, paths: Sequence[Path] | None = None, out: Path | None = None) -> str:
        """Return the shell line that repeats the command, with absolute paths.

        Parameters
        ----------
        paths
            Instead of the paths given: one movie of a batch.
        out
            Instead of the folder given.
        """
        options = dict(self.options)
        if out is not None:
            options["--out"] = out
        words = ["autods", self.command.name, *(str(path.resolve()) for path in paths or self.paths)]
        for name, value in options.items():
            words += [name, str(value.resolve())]
        words += self.flags
        return shlex.join([*words, *self.overrides])


def find_command(name: str) -> Command:
    """Look a command up.

    Raises `UsageError` if there is no such command.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    raise UsageError(f"there is no command {name!r}{nearest(name, COMMANDS)}: see autods --help")


def parse(argv: Sequence[str]) -> Arguments:
    """Sort a command line; the first word is the command.

    Raises `UsageError` if the command or an option is unknown, an option's value is missing, or the number of
    paths is wrong.
    """
    command = find_command(argv[0])
    paths: list[Path] = []
    overrides: list[str] = []
    options: dict[str, Path] = {}
    data: list[Path] = []
    flags: list[str] = []
    multirun = False
    words = iter(_joined(argv[1:]))
    for word in words:
        if word == "--":
            paths += [Path(rest) for rest in words]
        elif word in {"-h", "--help"}:
            return Arguments(command, help=True)
        elif word == "--settings":
            return Arguments(command, all_settings=True)
        elif word in {"-m", "--multirun"}:
            multirun = True
        elif word in command.flags:
            flags.append(word)
        elif word.startswith("-") and len(word) > 1 and not Path(word).exists():
            name, value = _option(command, word, words)
            if name == "--data":
                data.append(value)
            else:
                options[name] = value
        elif command.overrides_only or _is_setting(word):
            overrides.append("=".join(part.strip() for part in word.split("=", 1)))
        else:
            paths.append(Path(word))
    if multirun and not command.is_swept:
        swept = ", ".join(name for name, other in COMMANDS.items() if other.is_swept)
        raise UsageError(f"-m is not for autods {command.name}: only {swept} can be swept")
    _check_count(command, paths)
    return Arguments(
        command, tuple(paths), tuple(overrides), options, tuple(data), multirun=multirun, flags=tuple(flags)
    )


def nearest(word: str, known: Sequence[str] | dict[str, Command] | dict[str, tuple[str, str]]) -> str:
    """Return `` (did you mean 'X'?)`` for the known word nearest to ``word``, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Yield the words, those of a setting with spaces round its ``=`` as one."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if rest and _KEY.fullmatch(word) and rest[0].startswith("=") and not Path(word).exists():
            word += rest.pop(0)
        if rest and _SETTING.fullmatch(word) and not rest[0].startswith("-") and not _is_setting(rest[0]):
            word += "" if Path(word).exists() or Path(rest[0]).exists() else rest.pop(0)
        yield word


def _is_setting(word: str) -> bool:
    return _SETTING.match(word) is not None and not Path(word).exists()


def _option(command: Command, word: str, words: Iterator[str]) -> tuple[str, Path]:
    name, equals, value = word.partition("=")
    advice = f"see autods {command.name} --help"
    if name not in {**OPTIONS, **FLAGS}:
        raise UsageError(f"there is no option {name}{nearest(name, [*OPTIONS, *FLAGS])}: {advice}")
    if name not in command.options:
        raise UsageError(f"{name} is not an option of autods {command.name}: {advice}")
    if not equals:
        value = next(words, "")
    if not value:
        raise UsageError(f"{name} needs a value: {name} {OPTIONS[name][0]}")
    return name, Path(value)


def _check_count(command: Command, paths: Sequence[Path]) -> None:
    groups = {key.partition(".")[0] for key in command.keys if "." in key}
    for path in map(str, paths):
        # ``optics.na:1.4`` or ``optics.na 1.4``: without a word the movie would be localized without it.
        head, dot, _ = path.partition(".")
        if dot and head.lower() in groups and not Path(path).exists():
            raise UsageError(f"{path!r} is no file, and a setting is written key=value")
    fewest, most = command.paths
    usage = f"use: autods {command.name} {command.usage}".rstrip()
    if len(paths) < fewest:
        raise UsageError(f"autods {command.name} needs a path: {usage}")
    if most is not None and len(paths) > most:
        extra = str(paths[most])
        raise UsageError(f"autods {command.name} does not take the argument {extra!r}: {usage}")
