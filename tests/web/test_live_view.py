"""A run in progress in a real browser: a movie that is still acquired, localized as it grows."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from autods.web.jobs import JobStore, view
from autods.web.roots import Roots
from tests.web.browser import chromium, visit
from tests.web.conftest import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAMES_AT_ONCE = 50


class Camera:
    """Appends frames to a file until it is told to stop."""

    def __init__(self, frames: np.ndarray, path: Path) -> None:
        self._frames, self._path = frames, path
        self._done = threading.Event()
        self._append(5)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _append(self, times: int) -> None:
        with tifffile.TiffWriter(self._path, bigtiff=True, append=self._path.exists()) as writer:
            for frame in np.resize(self._frames, (times * FRAMES_AT_ONCE, *self._frames.shape[1:])):
                writer.write(frame, contiguous=False, metadata=None, photometric="minisblack")

    def _run(self) -> None:
        while not self._done.wait(1.0):
            self._append(1)

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def frames_shown(page: Page) -> int:
    """Return how far the page says that the run is; 0 before it does."""
    found = re.search(r"in the first ([\d,]+) frames of a movie that still grows", page.inner_text("body"))
    return int(found[1].replace(",", "")) if found else 0


@pytest.mark.slow
def test_the_picture_grows_with_the_movie(server: Server) -> None:
    path = server.data / "growing.tif"
    camera = Camera(tifffile.imread(server.data / "movie.tif"), path)
    store = JobStore(Roots([server.data]))
    words = [str(path), "optics.pixel_size_nm=100", "--follow"]
    job = store.create("localize", path, words, "cpu", queue=True)
    try:
        with chromium() as browser, visit(browser, server.url(f"/run/{job.id}")) as page:
            pane = page.get_by_role("img", name="Found so far")
            page.locator(".viewer-pane[data-loaded]").first.wait_for()
            first, drawn = frames_shown(page), pane.get_attribute("data-loaded")
            assert first > 0
            # What is looked at stays while the picture grows.
            page.get_by_role("button", name="Zoom in").click()
            bar = page.locator(".viewer-bar").first.bounding_box()
            end = time.monotonic() + 120
            while frames_shown(page) < first + 2 * FRAMES_AT_ONCE or _version(pane) == _version_of(drawn):
                assert time.monotonic() < end, page.inner_text("body")
                page.wait_for_timeout(500)
            assert page.locator(".viewer-bar").first.bounding_box() == bar
            assert view(store.load(job.id)).status == "running"
            page.get_by_role("button", name="Stop", exact=True).click()
            page.get_by_text("stopped: what was finished is kept").wait_for()
    finally:
        camera.stop()


def _version(pane: object) -> str:
    return _version_of(pane.get_attribute("data-loaded"))  # type: ignore[attr-defined]


def _version_of(loaded: str | None) -> str:
    """Return which of the run's pictures a pane shows."""
    found = re.search(r"version=([\d.]+)", loaded or "")
    return found[1] if found else ""
