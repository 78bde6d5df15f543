"""What a command takes, as data: its help and its dispatch are made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command."""

    #: As typed.
    name: str
    #: One line for the list of commands.
    summary: str
    #: Its arguments, after the name.
    usage: str
    #: Name of its Hydra configuration.
    config: str
    #: Name of ``function(arguments) -> int`` in `autods.cli`'s module of the command's name.
    entry: str = "run"
    #: Options it takes beside ``--help``.
    options: tuple[str, ...] = ()
    #: Fewest and most plain arguments; None for no upper limit.
    paths: tuple[int, int | None] = (0, 0)
    #: Main settings; `autods.configuration.meanings` says what each is.
    keys: tuple[str, ...] = ()
    #: Further lines of its help.
    details: str = ""
    #: Options without a value that it takes.
    flags: tuple[str, ...] = ()
    #: Whether everything that is no option goes to Hydra as it is (research commands).
    overrides_only: bool = False
    #: Whether ``-m`` runs it once for each combination of comma-separated values.
    is_swept: bool = False
