"""Which process left something behind, and whether it still runs."""

from __future__ import annotations

import psutil

#: Processes that start within this many seconds of each other with one number are the same process.
_SAME_START_S = 2.0


def start_time() -> float:
    """Return when this process started, seconds since 1970."""
    return float(psutil.Process().create_time())


def is_alive(pid: int | None, started: float | None) -> bool:
    """Tell whether a process of this machine is running.

    Parameters
    ----------
    pid
        Its number; None when it was never started.
    started
        When it started, from `start_time`: another process that got the same number does not count.
    """
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - started) < _SAME_START_S)
    except psutil.Error:
        return False
