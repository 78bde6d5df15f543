"""TensorBoard beside the page, for those on the same machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_HOST = "127.0.0.1"
_PATIENCE_S = 60.0


class TensorBoard:
    """One TensorBoard for all runs, started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._lock = threading.Lock()

    def address(self) -> str:
        """Return its address, once it answers."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
        return f"http://localhost:{self._port}/"

    def _start(self) -> None:
        with socket.socket() as free:
            free.bind((_HOST, 0))
            self._port = free.getsockname()[1]
        words = ["--logdir", str(self._folder), "--host", _HOST, "--port", str(self._port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((_HOST, self._port)) == 0:
                    return
            time.sleep(0.2)

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
