"""Who may come in: the token; what other sites, frames and requests of excessive size meet."""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGIN = "/login"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_LOGIN_BYTES = 4096

#: Vue compiles its templates in the browser, for which it needs eval.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; \
object-src 'none'; base-uri 'self'; form-action 'self'"
)

_LOGIN_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>autods: sign in</title><style>
body{{font:16px system-ui,sans-serif;background:#f4f6f8;color:#1b2733;display:grid;place-items:center;
min-height:90vh}}
form{{background:#fff;border:1px solid #d5dce3;border-radius:10px;padding:2rem;width:min(24rem,85vw)}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin-top:.6rem;border-radius:6px}}
input{{border:1px solid #8796a5}}button{{border:0;background:#0b5cad;color:#fff;cursor:pointer}}
p.error{{color:#a4161a}}</style></head><body><form method="post" action="{action}"><h1>autods</h1>
<label for="token">Token, as printed where <code>autods web</code> was started</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>{error}</form></body></html>"""


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Who may use the page."""

    #: What must be known; None lets everyone in, which is for loopback only.
    token: str | None
    #: Of this server: a browser gives the cookies of a machine to all ports of it, so that each server needs
    #: a name of its own.
    port: int = 0

    @property
    def cookie_name(self) -> str:
        """What the browser stores this server's key under; another port has another one."""
        return f"autods_session_{self.port}"

    @property
    def cookie(self) -> str:
        """What a browser that knew the token is given: the token itself never travels again."""
        return hmac.new((self.token or "").encode(), b"autods session", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Compare a token in constant time."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def admits(self, connection: HTTPConnection) -> bool:
        """Tell whether a request comes from a browser that knew the token."""
        if self.token is None:
            return True
        return hmac.compare_digest(
            connection.cookies.get(self.cookie_name, "").encode(), self.cookie.encode()
        )


class Guard:
    """Middleware before everything else, for pages and for their live connection alike."""

    def __init__(self, app: ASGIApp, access: Access, max_bytes: int) -> None:
        self._app, self._access, self._max_bytes = app, access, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        refusal = self._refuse(connection)
        if refusal is None and scope["type"] == "http":
            refusal = await self._sign_in(Request(scope, receive))
        if refusal is None and not self._access.admits(connection):
            refusal = _login_page(401)
        if refusal is None:
            await self._app(scope, _limited(receive, self._max_bytes), _protected(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _protected(send))

    def _refuse(self, connection: HTTPConnection) -> Response | None:
        """Refuse other sites' pages, rebound names and bodies that are too long."""
        host = connection.headers.get("host", "")
        if self._access.token is None and (urlsplit(f"//{host}").hostname or "") not in _LOCAL_NAMES:
            return PlainTextResponse(f"{html.escape(host)} is not this machine: use localhost", 400)
        origin = connection.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return PlainTextResponse("a request from another site was refused", 403)
        if _is_embedded_elsewhere(connection):
            return PlainTextResponse("pictures and files are not for the pages of other sites", 403)
        length = connection.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_bytes:
            megabytes = self._max_bytes >> 20
            return PlainTextResponse(f"larger than {megabytes} MB: put it into the data folder instead", 413)
        return None

    async def _sign_in(self, request: Request) -> Response | None:
        """Answer a login, by form or by ``?token=`` in the printed address; None for any other request."""
        if self._access.token is None:
            return None
        if request.url.path == LOGIN:
            if request.method != "POST":
                return _login_page(200)
            body = b""
            async for piece in request.stream():
                body += piece
                if len(body) > _LOGIN_BYTES:
                    return _login_page(413)
            return self._admit(parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip(), "/")
        token = request.query_params.get("token")
        return None if token is None else self._admit(token, request.url.path)

    def _admit(self, token: str, target: str) -> Response:
        if not self._access.knows(token):
            return _login_page(401, '<p class="error" role="alert">This is not the token.</p>')
        # A path of two slashes would be another site.
        response = RedirectResponse("/" + target.lstrip("/"), 303)
        response.set_cookie(
            self._access.cookie_name, self._access.cookie, httponly=True, samesite="lax", max_age=30 * 86400
        )
        return response


class BodyTooLargeError(Exception):
    """A request's body went on beyond the limit."""


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """Count a body that did not state its length."""
    count = 0

    async def counted() -> Message:
        nonlocal count
        message = await receive()
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if count > max_bytes:
                raise BodyTooLargeError
        return message

    return counted


def _is_embedded_elsewhere(connection: HTTPConnection) -> bool:
    """Tell whether another site's page asks for a part of itself; a followed link is none."""
    site = connection.headers.get("sec-fetch-site", "none")
    mode, what = (connection.headers.get(f"sec-fetch-{name}", "") for name in ("mode", "dest"))
    return site in ("cross-site", "same-site") and (mode, what) != ("navigate", "document")


def _protected(send: Send) -> Send:
    """Add to every answer that nobody frames it, and from where a page may load anything."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            policy = headers.get("Content-Security-Policy", _PAGE_POLICY)
            headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'"
        await send(message)

    return sent


def _login_page(status: int, error: str = "") -> Response:
    page = _LOGIN_PAGE.format(action=LOGIN, error=error)
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})
