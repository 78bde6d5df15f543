"""The command, its token, its files; a server that others reach."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from autods.cli.main import main
from autods.io.movie import MOVIE_FORMATS
from tests.web.browser import visit
from tests.web.conftest import Server, start_server, stop_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_without_the_library_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nicegui" else real(name))
    assert main(["web"]) == 2
    assert (
        capsys.readouterr().err
        == "autods: the web page needs more packages: pip install 'nicegui>=3.10,<4'\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "many"], "is no port"),
        (["--port", "99999"], "is no port"),
        (["--data", "/absent/folder"], "no folder that can be read"),
        (["--host", "no.such.host.invalid"], "cannot listen on"),
    ],
)
def test_a_wrong_start_is_told(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = words if "--data" in words else [*words, "--data", str(tmp_path)]
    assert main(["web", *given]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def open_server(data: Path) -> Iterator[Server]:
    """A server on all addresses, as in a lab; only this machine's own is used."""
    folder = data / "autods_runs" / "20260101-000000_movie.tif_0000"
    folder.mkdir(parents=True)
    job = {
        "kind": "localize",
        "movie": "m.tif",
        "arguments": ["m.tif"],
        "device": "cpu",
        "order": "withdrawn",
    }
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "log.txt").write_text("a log\n")
    (folder / ".secret").write_text("hidden")
    (folder / "link.txt").symlink_to("/etc/hostname")
    running = start_server(data, "--host", "0.0.0.0")
    # What was printed is for colleagues.
    assert "0.0.0.0" not in running.address
    running.address = f"http://127.0.0.1:{running.address.rpartition(':')[2]}"
    yield running
    stop_server(running)


def fetch(opener: OpenerDirector, address: str) -> tuple[int, str]:
    try:
        with opener.open(address, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


def test_files_need_the_token_and_stay_in_the_run(open_server: Server) -> None:
    assert len(open_server.token) > 20
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    run = "/api/files/20260101-000000_movie.tif_0000"
    assert fetch(opener, open_server.url(f"{run}/log.txt"))[0] == 401
    assert fetch(opener, open_server.url(f"{run}/log.txt?token=guess"))[0] == 401
    assert fetch(opener, open_server.url(f"{run}/log.txt?token={open_server.token}")) == (200, "a log\n")
    for name in (".secret", "link.txt", "../../movie.tif", "%2e%2e/%2e%2e/movie.tif", "absent", ""):
        assert fetch(opener, open_server.url(f"{run}/{name}"))[0] in (404, 405), name
    outside = "/api/frame?path=/etc/passwd&t=0&low=0&high=1"
    assert fetch(opener, open_server.url(outside))[0] == 400
    inside = f"/api/frame?path={open_server.data / 'movie.tif'}&t=0&low=0&high=1000"
    assert fetch(opener, open_server.url(inside))[0] == 200
    assert fetch(opener, open_server.url(inside.replace("t=0", "t=99")))[0] == 400


def test_the_start_page_names_what_is_read(open_server: Server) -> None:
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    _, start = fetch(opener, open_server.url(f"/?token={open_server.token}"))
    assert MOVIE_FORMATS in start


def test_the_token_is_asked_for_in_the_browser(browser: Browser, open_server: Server) -> None:
    with visit(browser, open_server.url("/runs")) as page:
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("This is not the token").wait_for()
        page.get_by_label("Token").fill(open_server.token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("Choose a movie on the server").wait_for()


def test_the_token_is_in_no_log(open_server: Server) -> None:
    log = (open_server.data.parent / f"{open_server.data.name}.server.log").read_text()
    assert open_server.token not in log
