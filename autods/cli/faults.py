"""Exit codes: turning what went wrong into one line, and a fault of ours into a traceback in ``log.txt``."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from pathlib import Path

DONE, OUR_FAULT, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

#: Failures of the operating system that the user can fix, and how.
_FIXABLE = {
    errno.ENOSPC: "free some space or choose another folder with --out",
    errno.EDQUOT: "free some space or choose another folder with --out",
    errno.EACCES: "correct the permissions or choose another folder with --out",
    errno.EPERM: "correct the permissions or choose another folder with --out",
    errno.EROFS: "choose another folder with --out",
    errno.ENOENT: "correct the path",
    errno.ENOTDIR: "correct the path",
    errno.EISDIR: "give a file, not a folder",
    errno.EEXIST: "choose another folder with --out",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "close other programs or raise the limit of open files (ulimit -n)",
}


def explain(error: BaseException, folder: Path | None = None, *, prefix: str = "autods") -> int:
    """Print one line about an error to standard error and return the exit code.

    Returns 2 when the user can fix it, 130 for Ctrl-C, 1 for a fault of ours.

    Parameters
    ----------
    error
        What was raised.
    folder
        The run folder; a fault of ours leaves its traceback in ``log.txt`` there, or in a temporary folder.
    prefix
        Start of the line.
    """
    if isinstance(error, KeyboardInterrupt):
        cause = f"{_one_line(str(error))}: " if str(error) else ""
        kept = "what was finished is kept, the same command goes on"
        print(f"{prefix}: interrupted: {cause}{kept}", file=sys.stderr)
        return INTERRUPTED
    message = user_message(error)
    if message is not None:
        print(f"{prefix}: {message}", file=sys.stderr)
        return USER_ERROR
    log = _write_traceback(error, folder)
    summary = _one_line(f"{type(error).__name__}: {error}")
    print(f"{prefix}: a fault of autods ({summary}): please report it with {log}", file=sys.stderr)
    return OUR_FAULT


def user_message(error: BaseException) -> str | None:
    """Return the one line for an error that the user can fix; None for a fault of ours."""
    from autods.cli.arguments import UsageError

    if isinstance(error, UsageError):
        return _one_line(str(error))
    from autods.core import UserError

    if isinstance(error, UserError):
        return _one_line(str(error))
    if isinstance(error, OSError) and error.errno in _FIXABLE:
        where = f"{error.filename}: " if error.filename else ""
        return _one_line(f"{where}{error.strerror}: {_FIXABLE[error.errno]}")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "the memory is used up: close other programs, take a region (roi=Y0:X0:Y1:X1) or device=cpu"
    return None


def _write_traceback(error: BaseException, folder: Path | None) -> Path:
    """Leave the traceback in the run's log, unless its record did so already; return where it is."""
    text = "".join(traceback.format_exception(error))
    log = folder / "log.txt" if folder is not None else None
    try:
        if log is not None and log.exists():
            if "Traceback" not in log.read_text(encoding="utf-8", errors="replace"):
                with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
            return log
    except OSError:
        text += f"({log} could not be written)\n"
    spare = Path(tempfile.mkdtemp(prefix="autods-")) / "log.txt"
    spare.write_text(text, encoding="utf-8", errors="backslashreplace")
    return spare


def _one_line(text: str) -> str:
    return " ".join(text.split())
