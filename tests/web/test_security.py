"""Who comes in, and what is turned away at the door."""

from __future__ import annotations

import pytest

pytest.importorskip("nicegui")
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from autods.web.security import Access, BodyTooLargeError, Guard, is_loopback

TOKEN = "a-token-of-some-length"
LIMIT = 2000


def client(token: str | None, base: str = "http://localhost:8080") -> TestClient:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"inside, {len(await request.body())} bytes")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("inside")
        await websocket.close()

    app = Starlette(
        routes=[Route("/{rest:path}", answer, methods=["GET", "POST"]), WebSocketRoute("/live", socket)]
    )
    app.add_middleware(Guard, access=Access(token), max_bytes=LIMIT)
    return TestClient(app, base_url=base, follow_redirects=False)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.5.5.5", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("lab.example.org", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_without_the_token_nothing_is_shown() -> None:
    browser = client(TOKEN, "http://lab:8080")
    for path in ("/", "/run/x", "/api/files/x/log.txt", "/_nicegui/x"):
        answer = browser.get(path)
        assert answer.status_code == 401
        assert "inside" not in answer.text
    assert browser.post("/upload", content=b"x").status_code == 401
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect("ws://lab:8080/live"):
        pass


def test_with_the_token_the_browser_gets_a_cookie() -> None:
    browser = client(TOKEN, "http://lab:8080")
    assert browser.get("/?token=wrong").status_code == 401
    assert browser.post("/login", data={"token": "wrong"}).status_code == 401
    answer = browser.get(f"/run/x?token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/run/x"
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert TOKEN not in answer.headers["set-cookie"]
    assert browser.get("/run/x").text.startswith("inside")
    cookie = {"cookie": f"{Access(TOKEN).cookie_name}={Access(TOKEN).cookie}"}
    with browser.websocket_connect("ws://lab:8080/live", headers=cookie) as socket:
        assert socket.receive_text() == "inside"


def test_the_form_signs_in() -> None:
    browser = client(TOKEN, "http://lab:8080")
    assert browser.get("/login").status_code == 200
    assert browser.post("/login", data={"token": TOKEN}).headers["location"] == "/"
    assert browser.get("/").text.startswith("inside")


def test_a_redirect_stays_on_this_server() -> None:
    answer = client(TOKEN, "http://lab:8080").get(f"//evil.example/?token={TOKEN}")
    assert not answer.headers["location"].startswith("//")


def test_a_forged_cookie_is_refused() -> None:
    browser = client(TOKEN, "http://lab:8080")
    for value in (TOKEN, "", "0" * 64, Access("another-token").cookie):
        browser.cookies.set(Access(TOKEN).cookie_name, value)
        assert browser.get("/").status_code == 401


def test_other_sites_cannot_use_a_local_page() -> None:
    browser = client(None)
    assert browser.get("/").text.startswith("inside")
    assert browser.get("/", headers={"host": "evil.example"}).status_code == 400
    assert browser.post("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert browser.post("/", headers={"origin": "http://localhost:8080"}).status_code == 200
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect("ws://localhost:8080/live", headers={"origin": "http://evil.example"}),
    ):
        pass


def test_bodies_are_limited_with_and_without_a_stated_length() -> None:
    browser = client(None)
    assert browser.post("/", content=b"x" * LIMIT).text == f"inside, {LIMIT} bytes"
    assert browser.post("/", content=b"x" * (LIMIT + 1)).status_code == 413
    with pytest.raises(BodyTooLargeError):
        browser.post("/", content=iter([b"x" * LIMIT, b"x" * LIMIT]))
