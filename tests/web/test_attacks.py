"""What someone who may write into the data folder, or owns another site, can try; nothing may succeed."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from autods.web.jobs import JobStore, log_text, view
from autods.web.queue import Queue
from autods.web.roots import Roots
from tests.web.browser import sign_in, visit
from tests.web.conftest import Server, start_server, stop_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECRET = "the secret of another user"
RUN = "20260101-000000_movie.tif_0000"
LINKS = (
    "log.txt",
    "console.txt",
    "run.json",
    "progress.json",
    "localizations.csv",
    "sub/deep.txt",
    "free.png",
)
#: Documents that a browser would run scripts of.
ACTIVE = (
    "a.svg",
    "a.htm",
    "a.html",
    "a.xhtml",
    "a.xml",
    "a.mht",
    "a.js",
    "a.pdf",
    "report.html",
    "stages/a.svg",
)
SCRIPT = "<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='owned'</script></svg>"
HTML_NAME = "<img src=x onerror=document.title='owned'>.tif"


def planted_job(folder: Path, mark: Path, **changes: object) -> None:
    """Write the ``job.json`` of a job that nobody submitted."""
    folder.mkdir(parents=True, exist_ok=True)
    job = {"kind": "simulate", "movie": "m.tif", "arguments": ["--out", str(mark)], "device": "cpu"}
    job |= {"order": "queued", "queued_at": 1.0, "pid": None, "pid_started": None, **changes}
    (folder / "job.json").write_text(json.dumps(job))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    top = tmp_path_factory.mktemp("attacked")
    data, outside = top / "data", top / "outside"
    runs = data / "autods_runs"
    (runs / RUN / "sub").mkdir(parents=True)
    (runs / RUN / "stages").mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    planted_job(runs / RUN, top, kind="localize", arguments=["m.tif"], order="withdrawn")
    for name in LINKS:
        (runs / RUN / name).symlink_to(outside / "secret.txt")
    for name in ACTIVE:
        (runs / RUN / name).write_text(SCRIPT)
    os.mkfifo(runs / RUN / "pipe.txt")
    (runs / RUN / ".hidden").write_text(SECRET)
    (runs / "linked").symlink_to(outside)
    planted_job(outside, top, order="withdrawn")
    planted_job(runs / "planted1", top / "mark1")
    planted_job(runs / "planted2", top / "mark2", kind="localize", arguments=["/etc/hostname", "zoo=/evil"])
    (data / HTML_NAME).write_text("x")
    (data / "movie_link.tif").symlink_to(outside / "secret.txt")
    (data / os.fsdecode(b"caf\xe9.tif")).write_text("x")
    running = start_server(data)
    yield running
    stop_server(running)


def request(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask as a signed-in browser; headers named without one (``cookie=""``) replace its own."""
    place = urlsplit(server.address)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=20)
    sent = {"cookie": server.cookie} | {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, body, {name: text for name, text in sent.items() if text})
    answer = connection.getresponse()
    return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()


@pytest.mark.parametrize(
    "name",
    [
        *LINKS,
        ".hidden",
        "pipe.txt",
        "sub",
        "",
        "../linked/secret.txt",
        "..%2flinked%2fsecret.txt",
        "%2e%2e/%2e%2e/%2e%2e/outside/secret.txt",
        "/etc/hostname",
        "log.txt%00.png",
        "..\\..\\outside\\secret.txt",
    ],
)
def test_files_outside_of_a_run_are_not_served(server: Server, name: str) -> None:
    status, _, body = request(server, f"/api/files/{RUN}/{name}")
    assert status != 200
    assert SECRET.encode() not in body


@pytest.mark.parametrize("run", ["linked", "..", "%2e%2e", ".", "../../outside"])
def test_a_run_folder_is_no_link(server: Server, run: str) -> None:
    status, _, body = request(server, f"/api/files/{run}/secret.txt")
    assert status != 200
    assert SECRET.encode() not in body


@pytest.mark.parametrize("path", ["/etc/hostname", "movie_link.tif", "../outside/secret.txt", "\0"])
def test_movies_outside_are_not_opened(server: Server, path: str) -> None:
    status, _, body = request(server, f"/api/frame?path={quote(path)}&t=0&low=0&high=1")
    assert status == 400
    assert SECRET.encode() not in body


@pytest.mark.parametrize("name", ACTIVE)
def test_files_of_a_run_run_no_script(server: Server, name: str) -> None:
    status, headers, _ = request(server, f"/api/files/{RUN}/{name}")
    policy = headers["content-security-policy"]
    assert status == 200
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert name == "report.html" or headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "path", ["/", "/runs", f"/run/{RUN}", f"/api/files/{RUN}/a.svg", "/login", "/absent"]
)
def test_no_page_can_be_framed(server: Server, path: str) -> None:
    _, headers, _ = request(server, path)
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    ],
)
def test_other_sites_are_refused(server: Server, headers: dict[str, str]) -> None:
    assert request(server, f"/api/files/{RUN}/a.svg", **headers)[0] == 403


@pytest.mark.parametrize("cookie", ["", "autods_session=1", "autods_session_1={}", "autods_session_{port}=0"])
def test_without_the_cookie_of_this_server_nothing_is_shown(server: Server, cookie: str) -> None:
    value = server.cookie.partition("=")[2]
    shown = cookie.format(value, port=urlsplit(server.address).port)
    for path in ("/", f"/api/files/{RUN}/a.svg", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        assert request(server, path, cookie=shown)[0] == 401


@pytest.mark.parametrize(
    ("origin", "signed_in"), [("http://evil.example", True), ("null", True), ("", False), ("{}", False)]
)
def test_live_connections_are_guarded(server: Server, origin: str, signed_in: bool) -> None:
    place = urlsplit(server.address)
    lines = [
        "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: {place.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *([f"Origin: {origin.format(server.address)}"] if origin else []),
        *([f"Cookie: {server.cookie}"] if signed_in else []),
    ]
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b" 101 " not in connection.recv(200)


def test_planted_jobs_are_not_started(server: Server) -> None:
    time.sleep(3)
    assert not list(server.data.parent.glob("mark*"))
    for name in ("planted1", "planted2"):
        folder = server.data / "autods_runs" / name
        assert sorted(path.name for path in folder.iterdir()) == ["job.json"]


def test_a_planted_process_is_not_ended(tmp_path: Path) -> None:
    """A job that names somebody's process, and one that was signed for another folder."""
    store = JobStore(Roots([tmp_path]))
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        import psutil

        started = psutil.Process(victim.pid).create_time()
        facts = {"order": "started", "pid": victim.pid, "pid_started": started}
        planted_job(store.folder / "planted", tmp_path, kind="localize", **facts)
        Queue(store).stop(store.load("planted"), kill=True)
        (tmp_path / "movie.tif").write_text("x")
        job = store.create(
            "localize", tmp_path / "movie.tif", [str(tmp_path / "movie.tif")], "cpu", queue=True
        )
        store.save(dataclasses.replace(job, order="started", pid=victim.pid, pid_started=started))
        copy = store.folder / "copied"
        copy.mkdir()
        (copy / "job.json").write_bytes((job.folder / "job.json").read_bytes())
        Queue(store).stop(store.load("copied"), kill=True)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_what_a_process_prints_does_not_follow_a_link(tmp_path: Path) -> None:
    store = JobStore(Roots([tmp_path]))
    (tmp_path / "movie.tif").write_text("x")
    precious = tmp_path.parent / f"{tmp_path.name}_precious"
    precious.write_text("precious")
    job = store.create("localize", tmp_path / "movie.tif", [str(tmp_path / "movie.tif")], "cpu", queue=True)
    (job.folder / "console.txt").symlink_to(precious)
    Queue(store).advance()
    assert precious.read_text() == "precious"


def test_the_log_of_a_run_is_no_link(server: Server) -> None:
    job = JobStore(Roots([server.data])).load(RUN)
    assert log_text(job) == ""
    assert SECRET not in str(view(job))


def test_names_of_files_are_text(browser: Browser, server: Server) -> None:
    with visit(browser, sign_in(server, "/")) as page:
        page.get_by_text(HTML_NAME).wait_for()
        page.get_by_role("button", name=HTML_NAME).click()
        page.get_by_role("alert").first.wait_for()
        assert page.title() != "owned"


def test_a_name_in_another_encoding_breaks_no_page(browser: Browser, server: Server) -> None:
    with visit(browser, sign_in(server, "/")) as page:
        page.get_by_role("button", name="caf\ufffd.tif").click()
        page.get_by_text("not a movie").wait_for()


def test_what_is_too_long_is_refused_before_it_is_read(server: Server) -> None:
    assert request(server, "/login", "POST", b"token=" + b"x" * 10_000)[0] == 413
    place = urlsplit(server.address)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        head = f"POST / HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {server.cookie}\r\n"
        connection.sendall(f"{head}Content-Length: {10**12}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(200)
    query = "t=0&low=0&high=1&n=1000000000"
    assert request(server, f"/api/frame?path=absent&{query}")[0] == 400
