"""Dispatch, exit codes, and one line for every mistake."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autods.cli import commands
from autods.cli import main as cli
from autods.cli.arguments import Arguments
from autods.cli.commands import Command
from autods.core import UserError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | int]:
    """A command `fail` that returns or raises what the list holds."""
    outcome: list[BaseException | int] = []

    def run(_: Arguments) -> int:
        result = outcome[0]
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setitem(
        commands.COMMANDS,
        "fail",
        Command("fail", "fails", "", "doctor", options=("--out",)),
    )
    monkeypatch.setattr(cli, "_entry", lambda _: run)
    return outcome


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (0, 0, ""),
        (UserError("the movie is empty:\n  give another"), 2, "autods: the movie is empty: give another\n"),
        (OSError(errno.ENOSPC, "No space left on device", "x.tif"), 2, "x.tif: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "x: Permission denied"),
        (MemoryError(), 2, "memory is used up"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyError("oops"), 1, "a fault of autods (KeyError: 'oops')"),
    ],
)
def test_exit_codes(
    command: list[BaseException | int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    outcome: BaseException | int,
    code: int,
    said: str,
) -> None:
    # Where a traceback goes that has no run folder.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command.append(outcome)
    assert cli.main(["fail"]) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == (0 if code == 0 else 1)
    assert "Traceback" not in captured.err


def test_a_fault_of_ours_leaves_its_traceback_in_the_log(
    command: list[BaseException | int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.append(ZeroDivisionError("division by zero"))
    (tmp_path / "log.txt").write_text("start\n")
    assert cli.main(["fail", "--out", str(tmp_path)]) == 1
    assert str(tmp_path / "log.txt") in capsys.readouterr().err
    log = (tmp_path / "log.txt").read_text()
    assert log.startswith("start\n")
    assert "Traceback" in log
    assert "ZeroDivisionError" in log


def test_a_batch_systems_end_counts_as_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "_entry", lambda _: lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert cli.main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "autods localize" in capsys.readouterr().out
    assert cli.main(["localize", "--help"]) == 0
    out = capsys.readouterr().out
    assert "optics.pixel_size_nm" in out
    assert "nm" in out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("autods 0.")
    assert cli.main([]) == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from autods.cli.main import main; main(['localize', '--help']);"
        "print([m for m in ('torch', 'hydra', 'omegaconf', 'scipy', 'rich') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
