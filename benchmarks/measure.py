"""Time and memory of a piece of work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_INTERVAL_S = 0.02
_MB = 2**20


@dataclass
class Measured:
    """Filled when the work is done.

    Parameters
    ----------
    seconds
        Wall time.
    cpu_seconds
        Processor time of this process, all threads: unlike wall time, it does not grow when other programs
        run beside.
    peak_mb
        Highest resident memory of the process during the work, MiB.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measure what happens within the ``with`` block; memory is sampled every 20 ms."""
    result, process, done = Measured(), psutil.Process(), threading.Event()

    def watch() -> None:
        while not done.wait(_INTERVAL_S):
            result.peak_mb = max(result.peak_mb, process.memory_info().rss / _MB)

    watcher = threading.Thread(target=watch, daemon=True)
    result.peak_mb = process.memory_info().rss / _MB
    start, cpu = time.perf_counter(), time.process_time()
    watcher.start()
    try:
        yield result
    finally:
        result.seconds, result.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        done.set()
        watcher.join()
