"""Twenty people look at one running job: the page stays quick, and the job is not slowed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
import tifffile

from autods.runs.record import PROGRESS_FILE
from autods.web.jobs import JobStore, view
from autods.web.roots import Roots
from benchmarks.page_tabs import connect
from tests.web.conftest import Server

VIEWERS = 20
WATCHED_S, ALONE_S = 20.0, 10.0
#: How long the server keeps the pages of viewers who have left.
LEAVING_S = 5.0


@pytest.fixture
def job(server: Server) -> Iterator[str]:
    """A job that localizes for longer than anybody watches; it is stopped then."""
    frames = tifffile.imread(server.data / "movie.tif")
    path = server.data / "long.tif"
    calibration: dict[str, Any] = {"resolution": (10, 10), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, np.tile(frames, (1500, 1, 1)), imagej=True, **calibration)
    store = JobStore(Roots([server.data]))
    made = store.create("localize", path, [str(path)], "cpu", queue=True).id
    end = time.monotonic() + 90
    while view(store.load(made)).stage != "localize":
        assert time.monotonic() < end
        time.sleep(0.2)
    yield made
    shown = view(store.load(made))
    assert shown.stage == "localize", f"too short to be watched: {shown.message or shown.status}"
    assert shown.job.pid is not None
    os.killpg(shown.job.pid, signal.SIGKILL)
    path.unlink()


async def cpu_share(server: Server, seconds: float) -> float:
    """Measure what the server uses of a core; unlike the job's own speed, other programs do not change it."""
    process = psutil.Process(server.process.pid)
    before, start = sum(process.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - start)


def fetch(address: str) -> str:
    return str(urlopen(address, timeout=60).read().decode())


async def watch(server: Server, job: str) -> tuple[list[float], float, list[list[int]]]:
    """Return how long the page took, the server's CPU share, and what each viewer received."""
    address = server.url(f"/run/{job}")
    received: list[list[int]] = [[] for _ in range(VIEWERS)]

    async def timed() -> tuple[str, float]:
        start = time.perf_counter()
        page = await asyncio.to_thread(fetch, address)
        return page, time.perf_counter() - start

    clients = [await connect(server.address, (await timed())[0], seen) for seen in received]
    share = await cpu_share(server, WATCHED_S)
    latencies = []
    for _ in range(10):
        latencies.append((await timed())[1])
        await asyncio.sleep(0.5)
    for client in clients:
        await client.disconnect()
    return latencies, share, received


@pytest.mark.slow
def test_twenty_viewers(server: Server, job: str, record_property: Callable[[str, object], None]) -> None:
    pytest.importorskip("aiohttp")
    latencies, share, received = asyncio.run(watch(server, job))
    record_property("page_s", (float(np.median(latencies)), max(latencies)))
    record_property("server_share_of_a_core", share)
    record_property("updates", (min(map(len, received)), max(map(len, received))))
    assert min(map(len, received)) > 3
    assert np.median(latencies) < 1.0
    # What the server takes from a job that uses all cores.
    assert share / (psutil.cpu_count() or 1) < 0.05


async def speed(
    progress: Path, seconds: float, viewers: Callable[[], Awaitable[None]] | None = None
) -> float:
    """Return the frames that a job does a second, from one writing of its progress to another."""

    async def written() -> tuple[int, float]:
        before = progress.stat().st_mtime
        while progress.stat().st_mtime == before:
            await asyncio.sleep(0.02)
        return json.loads(progress.read_text())["done"], progress.stat().st_mtime

    done, start = await written()
    if viewers is not None:
        await viewers()
    await asyncio.sleep(max(0.0, start + seconds - time.time()))
    done_then, end = await written()
    return (done_then - done) / (end - start)


async def alone_and_watched(server: Server, job: str) -> tuple[list[float], list[float]]:
    """Return how fast a job is alone and while twenty people open its page and look at it, in turn."""
    progress = server.data / "autods_runs" / job / PROGRESS_FILE
    clients: list[Any] = []
    received: list[list[int]] = []

    async def come() -> None:
        received[:] = [[] for _ in range(VIEWERS)]
        for seen in received:
            page = await asyncio.to_thread(fetch, server.url(f"/run/{job}"))
            clients.append(await connect(server.address, page, seen))

    alone, watched = [await speed(progress, ALONE_S)], []
    for _ in range(3):
        watched.append(await speed(progress, WATCHED_S, come))
        assert min(map(len, received)) > 3
        while clients:
            await clients.pop().disconnect()
        await asyncio.sleep(LEAVING_S)
        alone.append(await speed(progress, ALONE_S))
    return alone, watched


@pytest.mark.slow
def test_the_job_is_not_slowed(
    server: Server, job: str, record_property: Callable[[str, object], None]
) -> None:
    """Frames a second of one job, watched, before and after; only a quiet machine tells 5 % apart."""
    pytest.importorskip("aiohttp")
    alone, watched = asyncio.run(alone_and_watched(server, job))
    record_property("alone_and_watched_frames_per_s", (alone, watched))
    around = [(before + after) / 2 for before, after in itertools.pairwise(alone)]
    ratio = float(np.median([of / seen for of, seen in zip(around, watched, strict=True)]))
    assert ratio < 1.05, f"watched takes {ratio:.3f} of the time alone: {alone} and {watched} frames/s"
