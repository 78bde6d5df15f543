"""The texts of ``autods --help``, ``autods COMMAND --help`` and ``autods COMMAND --settings``."""

from __future__ import annotations

import textwrap
from typing import Any

from autods.cli.command import Command
from autods.cli.commands import COMMANDS, FLAGS, OPTIONS
from autods.configuration.meanings import meaning, own_keys

_LINE = 104
RULE = """\
An argument is an option when it starts with "-", a setting when it looks like key=value (a word, dots
allowed, then "=") and no file of that name exists, and a path otherwise; a file whose name looks like a
setting is therefore taken as a file. After "--" every argument is a path."""

EXIT_CODES = (
    "Exit codes: 0 done; 2 something to correct, told in one line; 1 a fault of autods; 130 interrupted."
)


def overview() -> str:
    """Return the text of ``autods --help``."""
    width = max(len(name) for name in COMMANDS)
    lines = [f"  autods {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: autods COMMAND [paths] [--out DIR] [key=value ...]",
            "",
            "One-click deep-learning single-molecule localization microscopy.",
            "",
            *lines,
            "",
            "autods COMMAND --help shows the settings of a command; autods --version the version.",
            "",
            RULE,
            "",
            EXIT_CODES,
        ]
    )


def entry(word: str, text: str, width: int) -> list[str]:
    """Return the lines of a word with what it is beside it, in columns."""
    return textwrap.wrap(
        f"{word:<{width}}  {text}",
        _LINE,
        subsequent_indent=" " * (width + 2),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def command_help(command: Command) -> str:
    """Return the text of ``autods COMMAND --help``."""
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    lines = [f"Usage: autods {command.name} {command.usage}".rstrip(), "", summary]
    if command.details:
        lines += ["", command.details]
    if command.options:
        lines += ["", "Options:"]
        lines += [f"  {name} {OPTIONS[name][0]:<6} {OPTIONS[name][1]}" for name in command.options]
        lines += [f"  {name:<12} {FLAGS[name]}" for name in command.flags]
    if command.keys:
        width = max(map(len, command.keys))
        lines += ["", "Main settings (key=value):"]
        told = {key: meaning(command.config, key) for key in command.keys}
        lines += [f"  {line}" for key, text in told.items() for line in entry(key, text, width)]
    lines += ["", f"All settings with their defaults: autods {command.name} --settings"]
    if not command.overrides_only:
        lines += ["", RULE]
    return "\n".join([*lines, "", EXIT_CODES])


def settings_list(command: Command) -> str:
    """Return a line ``key=default`` with what it is for each setting of a command, groups first."""
    from autods.configuration.compose import compose_checked
    from autods.configuration.registry import leaves

    values = dict(leaves(compose_checked(command.config, ())))
    words = {key: f"{key}={_text(value)}" for key, value in values.items()}
    groups = [key for key in dict.fromkeys([*own_keys(command.config), *command.keys]) if key not in values]
    width = min(max(map(len, words.values())), 40)
    lines = {key: key for key in groups} | words
    return "\n".join(
        line for key, word in lines.items() for line in entry(word, meaning(command.config, key), width)
    )


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
