"""Twenty people look at one running job: the page stays quick, and the job is not slowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
import tifffile

from autods.web.jobs import JobStore, view
from autods.web.roots import Roots
from benchmarks.page_tabs import connect
from tests.web.conftest import Server

VIEWERS = 20
WATCHED_S = 20.0


def job_on_a_long_movie(server: Server) -> str:
    frames = tifffile.imread(server.data / "movie.tif")
    path = server.data / "long.tif"
    tifffile.imwrite(
        path, np.tile(frames, (100, 1, 1)), imagej=True, resolution=(10, 10), metadata={"unit": "um"}
    )
    return JobStore(Roots([server.data])).create("localize", path, [str(path)], "cpu", queue=True).id


async def cpu_share(server: Server, seconds: float) -> float:
    """Measure what the server uses of a core; unlike the job's own speed, other programs do not change it."""
    process = psutil.Process(server.process.pid)
    before, start = sum(process.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - start)


async def watch(server: Server, job: str) -> tuple[list[float], float, list[list[int]]]:
    """Return how long the page took, the server's CPU share, and what each viewer received."""
    address = server.url(f"/run/{job}")
    received: list[list[int]] = [[] for _ in range(VIEWERS)]

    async def fetch() -> tuple[str, float]:
        start = time.perf_counter()
        page = await asyncio.to_thread(lambda: urlopen(address, timeout=60).read().decode())
        return page, time.perf_counter() - start

    clients = [await connect(server.address, (await fetch())[0], seen) for seen in received]
    share = await cpu_share(server, WATCHED_S)
    latencies = []
    for _ in range(10):
        latencies.append((await fetch())[1])
        await asyncio.sleep(0.5)
    for client in clients:
        await client.disconnect()
    return latencies, share, received


@pytest.mark.slow
def test_twenty_viewers(server: Server, record_property: Callable[[str, object], None]) -> None:
    pytest.importorskip("aiohttp")
    job = job_on_a_long_movie(server)
    store = JobStore(Roots([server.data]))
    end = time.monotonic() + 90
    while view(store.load(job)).stage != "localize":
        assert time.monotonic() < end
        time.sleep(0.2)
    latencies, share, received = asyncio.run(watch(server, job))
    assert view(store.load(job)).status == "running", "the job was too short to be watched"
    record_property("page_s", (float(np.median(latencies)), max(latencies)))
    record_property("server_share_of_a_core", share)
    record_property("updates", (min(map(len, received)), max(map(len, received))))
    assert min(map(len, received)) > 3
    assert np.median(latencies) < 1.0
    # What the server takes from a job that uses all cores.
    assert share / (psutil.cpu_count() or 1) < 0.05


async def hold(server: Server, job: str, ended: Callable[[], bool]) -> int:
    """Let twenty viewers look at a job until it has ended; return the fewest updates that one received."""
    received: list[list[int]] = [[] for _ in range(VIEWERS)]
    address = server.url(f"/run/{job}")

    def fetch() -> str:
        return str(urlopen(address, timeout=60).read().decode())

    clients = [await connect(server.address, await asyncio.to_thread(fetch), seen) for seen in received]
    while not await asyncio.to_thread(ended):
        await asyncio.sleep(0.5)
    for client in clients:
        await client.disconnect()
    return min(map(len, received))


def job_seconds(server: Server, *, watched: bool) -> float:
    """Run the same job once more and return how long its process took."""
    job = job_on_a_long_movie(server)
    store = JobStore(Roots([server.data]))

    def status() -> str:
        return view(store.load(job)).status

    end = time.monotonic() + 300
    while status() == "queued":
        assert time.monotonic() < end
        time.sleep(0.1)

    def ended() -> bool:
        assert time.monotonic() < end, "the job did not end in five minutes"
        return status() != "running"

    if watched:
        assert asyncio.run(hold(server, job, ended)) > 3
    while not ended():
        time.sleep(0.2)
    shown = view(store.load(job))
    assert shown.status == "done", shown.message
    return float(sum(stage["seconds"] for stage in shown.run["stages"]))


@pytest.mark.slow
def test_the_job_is_not_slowed(server: Server, record_property: Callable[[str, object], None]) -> None:
    """The job's own seconds, alone and watched in turn: a quiet machine is needed to tell 5 % apart."""
    pytest.importorskip("aiohttp")
    seconds: dict[bool, list[float]] = {False: [], True: []}
    job_seconds(server, watched=False)  # the first run fills the caches of the files
    for _ in range(3):
        for watched, taken in seconds.items():
            taken.append(job_seconds(server, watched=watched))
    record_property("alone_and_watched_s", (seconds[False], seconds[True]))
    ratio = float(np.median(seconds[True]) / np.median(seconds[False]))
    assert ratio < 1.05, f"watched takes {ratio:.3f} of the time alone: {seconds}"
