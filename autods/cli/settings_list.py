"""The text of ``autods COMMAND --settings``: every setting with its default and what it is."""

from __future__ import annotations

from typing import Any

from autods.cli.command import Command
from autods.cli.help import entry
from autods.configuration.compose import compose_checked
from autods.configuration.meanings import meaning, own_keys
from autods.configuration.registry import leaves


def settings_list(command: Command) -> str:
    """Return a line ``key=default`` with what it is for each setting of a command, groups first."""
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
