"""The text of ``autods COMMAND --settings``: every setting with its default and what it is."""

from __future__ import annotations

from typing import Any

from autods.cli.command import Command
from autods.cli.help import entry
from autods.configuration.compose import compose_checked
from autods.configuration.registry import leaves, schema_of
from autods.configuration.schema import meanings
from autods.pipelines.definitions import LOCALIZE, LOCALIZE3D


def settings_list(command: Command) -> str:
    """Return a line ``key=default`` with what it is for each setting of a command."""
    assert command.config is not None
    schema = schema_of(command.config)
    said = {} if schema is None else meanings(schema)
    defined = {**LOCALIZE3D, **LOCALIZE} if command.name != "localize3d" else {**LOCALIZE, **LOCALIZE3D}
    for key, text in said.items():
        known = defined.get(key) or defined.get(key.partition(".")[2])  # a group of `demo` is `simulate`
        if not text and known is not None:
            said[key] = known.meaning
    said |= dict(command.keys)
    values = dict(leaves(compose_checked(command.config, ())))
    words = {key: f"{key}={_text(value)}" for key, value in values.items()}
    width = min(max(map(len, words.values())), 40)
    groups = [(key, text) for key, text in said.items() if key not in values and text]
    settings = [(word, said.get(key, "")) for key, word in words.items()]
    return "\n".join(line for word, text in [*groups, *settings] for line in entry(word, text, width))


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
