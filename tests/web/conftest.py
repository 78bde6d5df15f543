"""A real server on a small movie, and a real Chromium to look at it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pytest

from autods.core import Camera, LocalizationTable, OpticalSystem
from autods.io.tables import write_parquet
from autods.pipelines.simulate import SimulationSettings, simulate_to_folder
from autods.web.security import Access

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The key that signs jobs is the user's: tests have their own, which goes with the last of them.
_STATE = tempfile.TemporaryDirectory(prefix="autods_state_")
os.environ["XDG_STATE_HOME"] = _STATE.name
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Server:
    """A running ``autods web``."""

    process: subprocess.Popen[str]
    address: str
    token: str
    data: Path

    @property
    def cookie(self) -> str:
        """What a browser that is signed in sends."""
        port = urlsplit(self.address).port
        access = Access(self.token or None, port or 0)
        return f"{access.cookie_name}={access.cookie}"

    def url(self, path: str = "/") -> str:
        return self.address + path

    @property
    def runs(self) -> list[Path]:
        return sorted(path.parent for path in (self.data / "autods_runs").glob("*/job.json"))


def start_server(
    data: Path, *options: str, log: Path | None = None, program: tuple[str, ...] = ("-m", "autods.cli.main")
) -> Server:
    """Start ``autods web`` on a free port and wait until it tells its address."""
    # NiceGUI behaves differently when it believes to be in a test.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NICEGUI"))
    }
    words = [sys.executable, *program, "web", "--data", str(data), "--port", "0", *options]
    with (log or data.parent / f"{data.name}.server.log").open("w") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"(http://[^/\s]+)/(?:\?token=(\S+))?", line)
    if found is None:
        process.kill()
        pytest.fail(f"autods web printed {line!r}")
    return Server(process, found[1], found[2] or "", data)


def stop_server(server: Server) -> None:
    """End the server as Ctrl-C does."""
    server.process.terminate()
    try:
        server.process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


def simulate(folder: Path, n_frames: int = 20) -> Path:
    """Return a small movie that states its pixel size."""
    optics = OpticalSystem(100.0, 660.0, 1.4)
    settings = SimulationSettings(optics, Camera(), n_frames=n_frames, size_px=64)
    movie = simulate_to_folder(settings, folder / "simulated")
    return movie.rename(folder / "movie.tif")


def result_of(server: Server, number: int, *, is_3d: bool = False) -> str:
    """Make a finished run of so many localizations on lines, and return its name."""
    rng = np.random.default_rng(0)
    line, along = rng.integers(0, 40, number), rng.uniform(0, 40_000, number)
    x, y = along, (1000.0 * line + 0.3 * along + rng.normal(0, 10, number)) % 40_000
    columns = {"photons": rng.lognormal(7, 0.5, number), "uncertainty_xy_nm": rng.uniform(5, 20, number)}
    if is_3d:
        columns["z_nm"] = 500 * np.sin(along / 5000)
    run = server.data / "autods_runs" / f"20260101-000000_lines.tif_{number:08d}{'z' * is_3d}"
    run.mkdir(parents=True)
    table = LocalizationTable.build(rng.integers(0, 1000, number), x, y, **columns)
    write_parquet(table, run / "localizations.parquet")
    region = {"pixel_size_nm": 100.0, "origin_px": [0, 0], "shape": [1000, 400, 400]}
    found = {"status": "done", "seconds": 1.0, "results": {"localizations": number, "region": region}}
    (run / "run.json").write_text(json.dumps(found))
    movie = str(server.data / "movie.tif")
    job = {"kind": "localize", "movie": movie, "arguments": [movie], "device": "cpu", "queued_at": 1.0}
    (run / "job.json").write_text(json.dumps(job))
    return run.name


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "data"
    folder.mkdir()
    simulate(folder)
    shutil.rmtree(folder / "simulated")
    return folder


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Server]:
    running = start_server(data, "--no-token")
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file."""
    from tests.web.browser import chromium

    with chromium() as opened:
        yield opened
