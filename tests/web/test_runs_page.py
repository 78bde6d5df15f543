"""The list of runs in a browser, and entries that live on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.browser import visit
from tests.web.conftest import Server, result_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.slow
def test_runs_are_named_found_compared_and_removed(browser: Browser, server: Server) -> None:
    first, second = (result_of(server, number) for number in (1000, 2000))
    # As wide as a phone.
    with visit(browser, server.url("/runs"), width=390, height=844) as page:
        page.get_by_text("2,000 localizations").wait_for()
        page.get_by_role("button", name="Rename").first.click()
        page.get_by_label("Title", exact=True).fill("Lines of well 7")
        page.get_by_label("Notes", exact=True).fill("<b>dim</b>")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("link", name="Lines of well 7").wait_for()
        page.get_by_text("<b>dim</b>").wait_for()
        page.get_by_label("Search").fill("well 7")
        page.get_by_text("1 to 1 of 1").wait_for()
        page.get_by_label("Search").fill("")
        page.get_by_text("1 to 2 of 2").wait_for()
        for number in range(2):
            page.get_by_role("checkbox").nth(number).click()
        page.get_by_role("button", name="Compare").click()
        page.wait_for_url("**/compare?*")
        page.locator(".result .viewer-pane[data-loaded]").nth(1).wait_for()
    with visit(browser, server.url("/runs")) as page:
        page.get_by_role("button", name="Remove Lines of well 7").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        page.get_by_text("1 to 1 of 1").wait_for()
    runs = server.data / "autods_runs"
    assert sum((runs / name).exists() for name in (first, second)) == 1
    assert len(list((runs / ".trash").iterdir())) == 1
    with visit(browser, server.url("/trash")) as page:
        page.get_by_text("1 run, ").wait_for()
        page.get_by_role("button", name="Restore").click()
        page.get_by_text("The trash is empty.").wait_for()
    assert all((runs / name).exists() for name in (first, second))
    with visit(browser, server.url(f"/run/{first}"), width=390, height=844) as page:
        page.get_by_text("on disk").wait_for()
        page.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        page.wait_for_url("**/runs")
        page.get_by_role("link", name="Trash").click()
        page.get_by_role("button", name="Empty the trash").click()
        page.get_by_role("button", name="Delete for good").click()
        page.get_by_text("The trash is empty.").wait_for()
    assert not (runs / first).exists()


@pytest.mark.slow
def test_entries_live_on_the_server(browser: Browser, server: Server) -> None:
    address = server.url(f"/movie?path={server.data / 'movie.tif'}")
    entry = '[data-key="camera.qe"]'
    with visit(browser, address) as page, visit(browser, address) as other:
        for tab in (page, other):
            tab.locator(entry).wait_for()
        page.locator(entry).fill("0.8")
        page.locator(entry).blur()
        other.wait_for_function("entry => document.querySelector(entry).value === '0.8'", arg=entry)
        page.reload()
        page.locator(entry).wait_for()
        assert page.locator(entry).input_value() == "0.8"
        page.locator(entry).fill("")
        page.wait_for_timeout(2000)
