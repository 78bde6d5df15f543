"""What many tabs on a run in progress cost the page: ``python -m benchmarks.page_tabs [N ...]``.

A server watches a movie that grows, in a process of its own; each tab fetches the run's page and keeps its
live connection, as a browser does. Told are the time of the page while the tabs are open, the processor time
of the server and its memory. Needs python-socketio with aiohttp.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import psutil
import tifffile

from autods.web.jobs import JobStore, view
from autods.web.roots import Roots

_SECONDS = 15.0
_HEADER = "| tabs | page, median | page, longest | processor | updates a tab | memory |"


async def connect(address: str, page: str, received: list[int]) -> Any:
    """Open the live connection of a page that was fetched; ``received`` grows with each update.

    Parameters
    ----------
    address
        Of the server.
    page
        HTML of the page.
    received
        Told of updates.
    """
    import socketio

    client_id = re.search(r"client_id'?\"?: '?\"?([0-9a-f-]{36})", page)
    assert client_id is not None
    query = {
        "client_id": client_id[1],
        "document_id": str(uuid.uuid4()),
        "tab_id": str(uuid.uuid4()),
        "next_message_id": 0,
        "implicit_handshake": "true",
    }
    client = socketio.AsyncClient(reconnection=False)
    client.on("update", lambda _: received.append(1))
    await client.connect(
        f"{address}?{urlencode(query)}", socketio_path="/_nicegui_ws/socket.io", transports=["websocket"]
    )
    return client


@contextmanager
def growing_movie(path: Path) -> Iterator[None]:
    """Let a small movie of blinking spots grow by fifty frames a second."""
    rng, ended = np.random.default_rng(0), threading.Event()
    y, x = np.mgrid[:64, :64]

    def append() -> None:
        with tifffile.TiffWriter(path, bigtiff=True, append=path.exists()) as writer:
            for _ in range(50):
                at = rng.uniform(8, 56, (5, 2))
                light = sum(800 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 3) for u, v in at)
                frame = rng.poisson(100 + light).astype(np.uint16)
                writer.write(frame, contiguous=False, metadata=None, photometric="minisblack")

    def grow() -> None:
        while not ended.wait(1.0):
            append()

    for _ in range(5):
        append()
    camera = threading.Thread(target=grow, daemon=True)
    camera.start()
    yield
    ended.set()
    camera.join()


@contextmanager
def watched_run(folder: Path) -> Iterator[tuple[str, str, psutil.Process]]:
    """Start a server and a run on a growing movie; yield its address, the run's name and the server."""
    movie = folder / "growing.tif"
    words = [
        sys.executable,
        "-m",
        "autods.cli.main",
        "web",
        "--data",
        str(folder),
        "--port",
        "0",
        "--no-token",
    ]
    with growing_movie(movie):
        store = JobStore(Roots([folder]))
        arguments = [str(movie), "optics.pixel_size_nm=100", "--follow"]
        job = store.create("localize", movie, arguments, "cpu", queue=True)
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r"http://[^/\s]+", process.stdout.readline())
            assert found is not None, "the server did not start"
            end = time.monotonic() + 120
            while view(store.load(job.id)).stage != "follow":
                assert time.monotonic() < end, view(store.load(job.id))
                time.sleep(0.2)
            yield found[0], job.id, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)
            # A run outlives its server.
            if (pid := store.load(job.id).pid) is not None and psutil.pid_exists(pid):
                runner = psutil.Process(pid)
                runner.kill()
                runner.wait(30)


async def measure(address: str, job: str, server: psutil.Process, tabs: int) -> str:
    """Return the line of the table for a number of tabs."""

    def fetch() -> tuple[str, float]:
        start = time.perf_counter()
        with urlopen(f"{address}/run/{job}", timeout=60) as answer:
            return answer.read().decode(), 1000 * (time.perf_counter() - start)

    received: list[list[int]] = [[] for _ in range(tabs)]
    clients = [await connect(address, (await asyncio.to_thread(fetch))[0], seen) for seen in received]
    # The first pictures are drawn once for all.
    await asyncio.sleep(4.0)
    before, start = sum(server.cpu_times()[:2]), time.monotonic()
    for seen in received:
        seen.clear()
    await asyncio.sleep(_SECONDS)
    share = (sum(server.cpu_times()[:2]) - before) / (time.monotonic() - start)
    updates = np.mean([len(seen) for seen in received]) / (time.monotonic() - start)
    times = [(await asyncio.to_thread(fetch))[1] for _ in range(10)]
    memory = server.memory_full_info().uss / 2**20
    for client in clients:
        await client.disconnect()
    return (
        f"| {tabs} | {np.median(times):.0f} ms | {max(times):.0f} ms | {100 * share:.1f} % of a core"
        f" | {updates:.1f} a second | {memory:.0f} MB |"
    )


def main(words: Sequence[str], say: Callable[[str], object]) -> None:
    """Print a line for each number of tabs, each with a server of its own."""
    say(f"{_HEADER}\n|{'---|' * 6}\n")
    for tabs in map(int, words or ("1", "20", "100")):
        with tempfile.TemporaryDirectory(prefix="autods-tabs-") as place, watched_run(Path(place)) as found:
            say(asyncio.run(measure(*found, tabs)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout.write)
