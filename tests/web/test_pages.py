"""The page in a real browser: from choosing a file to the picture, and what can go wrong on the way."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import tifffile

from tests.web.browser import visit
from tests.web.conftest import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def job_of(page: Page, server: Server) -> Path:
    page.wait_for_url("**/run/*")
    return server.data / "autods_runs" / page.url.rsplit("/", 1)[1]


def wait_for_status(page: Page, status: str) -> None:
    page.locator(".chip", has_text=status).first.wait_for()


def open_movie(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()
    page.wait_for_url("**/movie?*")
    page.get_by_role("button", name="Reconstruct", exact=True).wait_for()


@pytest.mark.slow
def test_from_choosing_a_file_to_the_picture(browser: Browser, server: Server, tmp_path: Path) -> None:
    with visit(browser, server.url()) as page:
        open_movie(page, "movie.tif")
        # What was measured, and the form filled in with its source.
        page.get_by_text("emitters per µm² and frame").wait_for()
        assert page.locator('[data-key="optics.pixel_size_nm"]').input_value() == "100"
        page.get_by_text("from the file").first.wait_for()
        page.get_by_text("guess: default").first.wait_for()
        page.get_by_role("button", name="Reconstruct", exact=True).click()
        folder = job_of(page, server)
        wait_for_status(page, "done")
        page.locator(".result .viewer-pane[data-loaded]").wait_for()
        assert brightest(page) > 100, "the picture is black"
        command = page.locator("code.command").inner_text()
        check_filters(page)
    check_same_bytes(command, folder, tmp_path)


def brightest(page: Page) -> int:
    """Return the largest value of a pixel that the result's viewer shows."""
    found: int = page.evaluate("""() => {
        const canvas = document.querySelector('.result canvas'), pen = canvas.getContext('2d');
        const bytes = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        return bytes.reduce((most, value, i) => (i % 4 < 3 && value > most ? value : most), 0);
    }""")
    return found


def check_filters(page: Page) -> None:
    """Moving a filter draws another picture of fewer localizations."""
    before = page.locator(".result .viewer-pane").get_attribute("data-loaded")
    page.locator('[data-filter="photons"] .q-slider__thumb').first.focus()
    for _ in range(6):
        page.keyboard.press("PageUp")
    page.wait_for_function(
        "before => document.querySelector('.result .viewer-pane').dataset.loaded !== before", arg=before
    )
    shown, total = (
        page.get_by_text("localizations shown").inner_text().split(" localizations")[0].split(" of ")
    )
    assert 0 < int(shown) < int(total)


def check_same_bytes(command: str, folder: Path, tmp_path: Path) -> None:
    """The shown command, run by hand, gives the very same table."""
    words = shlex.split(command)
    assert words[0] == "autods"
    words[words.index("--out") + 1] = str(tmp_path / "by_hand")
    subprocess.run([sys.executable, "-m", "autods.cli.main", *words[1:]], check=True, capture_output=True)
    by_hand = (tmp_path / "by_hand" / "localizations.csv").read_bytes()
    assert by_hand == (folder / "localizations.csv").read_bytes()


@pytest.mark.slow
def test_a_trial_shows_what_is_found_and_follows_the_threshold(browser: Browser, server: Server) -> None:
    with visit(browser, server.url(f"/movie?path={server.data / 'movie.tif'}")) as page:
        page.get_by_role("button", name="Try").click()
        found = page.get_by_text("in the frames tried")
        found.wait_for()
        text = found.inner_text()
        before = int(text.split(" ")[0])
        assert before > 0
        page.get_by_role("slider", name="Threshold of the confidence").locator("[tabindex='0']").focus()
        for _ in range(8):
            page.keyboard.press("PageUp")
        page.wait_for_function("before => !document.body.innerText.includes(before)", arg=text)
        assert int(found.inner_text().split(" ")[0]) <= before
        page.get_by_role("button", name="Use this threshold").click()
        page.get_by_text("Advanced").click()
        page.locator('[data-key="decode.threshold"]').wait_for()
        assert float(page.locator('[data-key="decode.threshold"]').input_value()) > 0.25


@pytest.mark.slow
def test_reload_stop_and_resume(browser: Browser, server: Server) -> None:
    frames = tifffile.imread(server.data / "movie.tif")
    tifffile.imwrite(
        server.data / "long.tif",
        np.tile(frames, (40, 1, 1)),
        imagej=True,
        resolution=(10, 10),
        metadata={"unit": "um"},
    )
    with visit(browser, server.url()) as page:
        open_movie(page, "long.tif")
        page.get_by_role("button", name="Reconstruct", exact=True).click()
        folder = job_of(page, server)
        page.get_by_text("localize: ").wait_for()
        first = json.loads((folder / "job.json").read_text())["pid"]
        page.reload()
        page.get_by_text("localize: ").wait_for()
        page.get_by_role("button", name="Stop").click()
        wait_for_status(page, "interrupted")
        run = json.loads((folder / "run.json").read_text())
        assert run["status"] == "interrupted"
        assert run["process"] == first
        page.get_by_role("button", name="Go on").click()
        wait_for_status(page, "running")
        page.get_by_role("button", name="Stop").click()
        wait_for_status(page, "interrupted")
        assert json.loads((folder / "job.json").read_text())["pid"] != first


def test_a_bad_file_is_told_in_words(browser: Browser, server: Server) -> None:
    (server.data / "notes.tif").write_text("no movie")
    with visit(browser, server.url()) as page:
        page.get_by_role("button", name="notes.tif").click()
        page.get_by_text("not a movie").wait_for()
        page.get_by_role("link", name="Back to the start page").click()
        page.get_by_role("button", name="movie.tif").wait_for()


def test_a_small_file_can_be_uploaded(browser: Browser, server: Server) -> None:
    upload = {"name": "../mine.tif", "mimeType": "image/tiff"}
    with visit(browser, server.url()) as page:
        content = (server.data / "movie.tif").read_bytes()
        page.locator(".q-uploader__input").set_input_files({**upload, "buffer": content})
        page.wait_for_url("**/movie?*")
        page.get_by_role("button", name="Reconstruct", exact=True).wait_for()
    (stored,) = (server.data / "autods_uploads").iterdir()
    assert stored.name.endswith("_mine.tif")
    assert stored.read_bytes() == content


def test_a_path_outside_the_folders_is_refused(browser: Browser, server: Server) -> None:
    outside = server.data.parent / "secret.tif"
    outside.write_bytes((server.data / "movie.tif").read_bytes())
    (server.data / "link.tif").symlink_to(outside)
    for path in (str(outside), "../secret.tif", str(server.data / "link.tif")):
        with pytest.raises(HTTPError) as refused:
            urlopen(server.url(f"/api/frame?path={path}&t=0&low=0&high=1"), timeout=60)
        assert refused.value.code == 400
        assert "outside of the folders" in refused.value.read().decode()
    with visit(browser, server.url(f"/movie?path={outside}")) as page:
        page.get_by_text("outside of the folders").wait_for()
        page.get_by_role("link", name="Back to the start page").click()
        page.get_by_role("button", name="movie.tif").wait_for()
        assert page.get_by_text("link.tif").count() == 0


def test_a_wrong_number_is_told_while_typing(browser: Browser, server: Server) -> None:
    from playwright.sync_api import expect

    with visit(browser, server.url(f"/movie?path={server.data / 'movie.tif'}")) as page:
        size = page.locator('[data-key="optics.pixel_size_nm"]')
        size.fill("-3")
        page.get_by_text("must be from 10 to 1000 nm").first.wait_for()
        expect(page.get_by_role("button", name="Reconstruct", exact=True)).to_be_disabled()


def test_the_list_of_runs_fits_a_tablet(browser: Browser, server: Server) -> None:
    with visit(browser, server.url("/runs"), width=768, height=1024) as page:
        page.get_by_text("One run at a time").wait_for()


def test_a_channel_is_chosen_on_the_page(browser: Browser, server: Server) -> None:
    one = tifffile.imread(server.data / "movie.tif")
    both = np.ascontiguousarray(np.stack([np.full_like(one, 7), one], 1))
    path = server.data / "two.tif"
    options = {"resolution": (10, 10), "metadata": {"axes": "TCYX", "unit": "um"}}
    tifffile.imwrite(path, both, imagej=True, **options)
    with visit(browser, server.url(f"/movie?{urlencode({'path': str(path)})}")) as page:
        page.get_by_text("holds 2 channels").wait_for()
        page.get_by_role("link", name="Channel 1").click()
        page.get_by_role("button", name="Reconstruct", exact=True).wait_for()
        assert page.locator('[data-key="channel"]').input_value() == "1"
        # What was measured is that channel: the other one is constant.
        page.get_by_text("emitters per µm² and frame").wait_for()
    query = {"path": str(path), "t": 0, "low": 0, "high": 300}
    pictures = [
        urlopen(server.url(f"/api/frame?{urlencode(query | {'channel': channel})}")).read()
        for channel in (0, 1)
    ]
    assert pictures[0] != pictures[1]
