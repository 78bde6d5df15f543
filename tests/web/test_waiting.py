"""No page waits for a slow disk or a large result, and no click counts twice."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import numpy as np
import pytest

from autods.core import UserError
from autods.io.movie import Choice, Movie
from autods.web import movies
from tests.web.browser import visit
from tests.web.conftest import Server, result_of, simulate, start_server, stop_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: The command, with a reader that takes twenty seconds for some movies.
SLOW = """
import sys, time
import autods.web.movies as movies
real = movies.open_movie
def slow(path, **choice):
    time.sleep(20 if "slow" in path.name else 0)
    return real(path, **choice)
movies.open_movie = slow
from autods.cli.main import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("waiting") / "data"
    data.mkdir()
    movie = simulate(data)
    for number in range(2):
        shutil.copy(movie, data / f"slow{number}.tif")
    running = start_server(data, "--no-token", program=("-c", SLOW))
    yield running
    stop_server(running)


@pytest.mark.slow
def test_slow_movies_hold_nobody_up(browser: Browser, server: Server) -> None:
    slow = [browser.new_page() for _ in range(2)]
    for number, page in enumerate(slow):
        page.goto(server.url(f"/movie?path={server.data / f'slow{number}.tif'}"))
        page.get_by_text("Opening slow").wait_for()
    # A quick movie, the list of runs and the start page come as if nothing was.
    with visit(browser, server.url(f"/movie?path={server.data / 'movie.tif'}")) as page:
        page.get_by_role("button", name="Reconstruct", exact=True).wait_for()
    urlopen(server.url("/runs"), timeout=5)
    assert slow[1].get_by_text("Opening slow").count() == 1
    slow[0].get_by_role("link", name="Cancel").click()
    slow[0].get_by_role("button", name="movie.tif").wait_for()
    slow[1].get_by_role("button", name="Reconstruct", exact=True).wait_for(timeout=60_000)
    for page in slow:
        page.close()


def test_each_movie_waits_for_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("slow.npy", "quick.npy"):
        np.save(tmp_path / name, np.ones((3, 8, 8), np.uint16))
    real = movies.open_movie

    def open_slowly(path: Path, **choice: int | None) -> Movie:
        time.sleep(2 if path.name == "slow.npy" else 0)
        return real(path, **choice)

    monkeypatch.setattr(movies, "open_movie", open_slowly)

    async def visits() -> None:
        opened = movies.Movies()
        slow = asyncio.create_task(opened.facts(tmp_path / "slow.npy"))
        await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(opened.facts(tmp_path / "quick.npy"), 1.5)).shape == (3, 8, 8)
        # Whoever waits longer than the limit is told so; the reading goes on.
        with pytest.raises(UserError, match="takes longer than"):
            await opened.reading(tmp_path / "slow.npy", Choice(), lambda movie, _: movie.shape, 0.2)
        assert not slow.done()
        assert (await slow).shape == (3, 8, 8)
        assert await opened.reading(tmp_path / "slow.npy", Choice(), lambda movie, _: movie.shape) == (
            3,
            8,
            8,
        )

    # In a thread: Playwright's loop runs in this one as long as its browser is open.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, visits()).result()


@pytest.mark.slow
def test_two_clicks_and_two_tabs_start_one_run(browser: Browser, server: Server) -> None:
    address = server.url(f"/movie?path={server.data / 'movie.tif'}")
    before = len(server.runs)
    with visit(browser, address) as page, visit(browser, address) as other:
        for tab in (page, other):
            tab.get_by_text("emitters per µm² and frame").wait_for()
        page.get_by_role("button", name="Reconstruct", exact=True).dblclick()
        other.get_by_role("button", name="Reconstruct", exact=True).click()
        for tab in (page, other):
            tab.wait_for_url("**/run/*")
        assert page.url.partition("?")[0] == other.url.partition("?")[0]
        assert len(server.runs) == before + 1
        stop = page.get_by_role("button", name="Stop")
        done = page.locator(".chip.done")
        stop.or_(done).first.wait_for()


def loaded(page: Page) -> str:
    pane = page.locator(".result .viewer-pane[data-loaded]")
    pane.wait_for()
    return pane.get_attribute("data-loaded") or ""


@pytest.mark.slow
def test_a_result_is_filtered_zoomed_and_kept_over_a_reload(browser: Browser, server: Server) -> None:
    name = result_of(server, 200_000, is_3d=True)
    with visit(browser, server.url(f"/run/{name}")) as page:
        first = loaded(page)
        entry = page.locator('[data-key="view.filter"]')
        entry.fill("photons > 1000 & uncertainty_xy < 10")
        entry.press("Enter")
        page.wait_for_function("text => !document.body.innerText.includes(text)", arg="200,000 of 200,000")
        assert loaded(page) != first
        shown = page.get_by_text("localizations shown").inner_text()
        for _ in range(6):
            page.get_by_role("button", name="Zoom in").first.click()
        loaded(page)
        page.get_by_text("z -5").first.wait_for()
        page.wait_for_url("**box*")
        page.wait_for_timeout(600)
        bar = page.locator(".result .viewer-bar").inner_text()
        page.reload()
        loaded(page)
        assert page.get_by_text("localizations shown").inner_text() == shown
        assert page.locator('[data-key="view.filter"]').input_value().startswith("photons > 1000")
        assert page.locator(".result .viewer-bar").inner_text() == bar
        page.locator(".section .viewer-pane[data-loaded]").wait_for()
        with page.expect_download() as picture:
            page.get_by_role("link", name="PNG").click()
        assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")
        with page.expect_download() as table:
            page.get_by_role("link", name="Filtered table").click()
        lines = Path(table.value.path()).read_text().splitlines()
        assert f"{len(lines) - 1:,} of" in shown
        page.locator('[data-key="view.filter"]').fill("nonsense > 1")
        page.locator('[data-key="view.filter"]').press("Enter")
        page.get_by_text("which is no column").wait_for()


@pytest.mark.slow
def test_a_result_of_five_million_is_seen_at_once(browser: Browser, server: Server) -> None:
    name = result_of(server, 5_000_000)
    with visit(browser, server.url(f"/run/{name}")) as page:
        start = time.monotonic()
        page.get_by_text("The table is sorted for looking at it").wait_for()
        # Meanwhile others are served.
        urlopen(server.url("/"), timeout=5)
        loaded(page)
        assert time.monotonic() - start < 60
        page.reload()
        start = time.monotonic()
        loaded(page)
        assert time.monotonic() - start < 5
