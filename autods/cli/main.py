"""``autods COMMAND``: finds the command, runs it, and turns what happens into an exit code."""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from autods.cli import faults
from autods.cli.arguments import Arguments, parse
from autods.cli.command import Command
from autods.cli.help import command_help, overview, settings_list


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Returns 0 done; 2 the user can fix it (one line says what); 1 a fault of ours; 130 interrupted.

    Parameters
    ----------
    argv
        Words after the program's name; those of the process when None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _print_any_name()
    arguments: Arguments | None = None
    try:
        if not words:
            print(overview(), file=sys.stderr)
            return faults.USER_ERROR
        if words[0] in {"-h", "--help", "help"}:
            print(overview())
            return faults.DONE
        if words[0] == "--version":
            from autods import __version__

            print(f"autods {__version__}")
            return faults.DONE
        arguments = parse(words)
        if arguments.help:
            print(command_help(arguments.command))
            return faults.DONE
        if arguments.all_settings:
            print(settings_list(arguments.command))
            return faults.DONE
        return _run(arguments)
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return faults.DONE
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 the one place that catches all
        return faults.explain(error, arguments.out if arguments else None)


def _print_any_name() -> None:
    """Let names of files that are no Unicode be printed, with their odd bytes spelt out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: Arguments) -> int:
    command = _entry(arguments.command)
    with _warnings_on_stderr(), _termination_interrupts():
        return command(arguments)


def _entry(command: Command) -> Callable[[Arguments], int]:
    function: Callable[[Arguments], int] = getattr(
        importlib.import_module(f"autods.cli.{command.name}"), command.entry
    )
    return function


class _OneLineHandler(logging.Handler):
    """Print warnings and notices as one line each; errors are printed by whoever ends the command."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print to what standard error is now: a progress bar may stand before it."""
        line = " ".join(record.getMessage().split())
        if record.levelno == logging.WARNING:
            print(f"autods: warning: {line}", file=sys.stderr)
        elif record.levelname == "NOTICE":
            print(f"autods: note: {line}", file=sys.stderr)


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    handler = _OneLineHandler()
    package = logging.getLogger("autods")
    propagate, package.propagate = package.propagate, False
    if package.getEffectiveLevel() > logging.INFO:
        package.setLevel(logging.INFO)
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.propagate = propagate


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Treat SIGTERM (a batch system's time limit) as Ctrl-C: what is done is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


if __name__ == "__main__":
    sys.exit(main())
