"""Chromium, driven by Playwright, with what every page must keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.web.conftest import CHROMIUM, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Milliseconds: a loaded machine with two slow cores starts a run in some seconds.
PATIENCE_MS = 180_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium; skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, address: str, *, width: int = 1280, height: int = 800) -> Iterator[Page]:
    """Open a window; at the end nothing may have come from elsewhere, no script may have failed.

    It must also not be wider than the window.
    """
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    home, foreign, errors = urlsplit(address).netloc, [], []
    page.on(
        "request", lambda request: foreign.append(request.url) if _is_foreign(request.url, home) else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    try:
        yield page
        assert not foreign, f"fetched from elsewhere: {foreign}"
        assert not errors, errors
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        context.close()


def sign_in(server: Server, path: str = "/") -> str:
    """Return an address that signs in and leads to a page."""
    joint = "&" if "?" in path else "?"
    return server.url(f"{path}{joint}token={server.token}") if server.token else server.url(path)


def _is_foreign(address: str, home: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != home
