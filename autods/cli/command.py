"""What a command takes, as data: its help and its dispatch are made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command.

    Parameters
    ----------
    name
        As typed.
    summary
        One line for the list of commands.
    usage
        Its arguments, after the name.
    entry
        ``module:function`` of ``function(arguments) -> int``.
    config
        Name of its Hydra configuration; None when it takes no settings.
    options
        Options it takes beside ``--help``.
    paths
        Fewest and most plain arguments; None for no upper limit.
    keys
        Main settings with units.
    details
        Further lines of its help.
    flags
        Options without a value that it takes.
    overrides_only
        Whether everything that is no option goes to Hydra as it is (research commands).
    is_swept
        Whether ``-m`` runs it once for each combination of comma-separated values.
    """

    name: str
    summary: str
    usage: str
    entry: str
    config: str | None = None
    options: tuple[str, ...] = ()
    paths: tuple[int, int | None] = (0, 0)
    keys: tuple[tuple[str, str], ...] = ()
    details: str = ""
    flags: tuple[str, ...] = ()
    overrides_only: bool = False
    is_swept: bool = False
