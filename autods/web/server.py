"""The server: its parts put together, its socket, its start."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from autods.configuration.schema import WebConfig
from autods.core import UserError
from autods.web.pages import compare, movie, run, runs, start, trash
from autods.web.result_routes import add_result_routes
from autods.web.roots import Roots
from autods.web.routes import add_routes
from autods.web.security import Access, Guard, is_loopback
from autods.web.site import Site

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "AUTODS_TOKEN"
_QUEUE_PERIOD_S = 1.0
_LEAST_TOKEN = 12
_THREADS = 64


def build(site: Site, access: Access) -> FastAPI:
    """Put the application together."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Disks that do not answer hold threads; the others must find some.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        site.short_commands.clean()
        task = asyncio.create_task(_advance_queue(site))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if site.tensorboard is not None:
            site.tensorboard.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, site)
    add_result_routes(app, site)
    for module in (start, movie, runs, run, compare, trash):
        module.add_pages(site)
    # Dark where the system is.
    ui.run_with(app, title="autods", language="en-US", dark=None, show_welcome_message=False)
    # A form needs some bytes beside the file.
    app.add_middleware(Guard, access=access, max_bytes=site.max_upload_bytes + 2**20)
    return app


async def _advance_queue(site: Site) -> None:
    going: set[str] = set()
    while True:
        try:
            await asyncio.to_thread(site.queue.advance)
            now = {view.job.id for view in await asyncio.to_thread(site.index.unfinished)}
            for job_id in going - now:
                await asyncio.to_thread(_make_ready, site, job_id, asyncio.get_running_loop())
            going = now
        except (OSError, UserError) as error:
            logger.warning("the queue cannot go on: %s", error)
        await asyncio.sleep(_QUEUE_PERIOD_S)


def _make_ready(site: Site, job_id: str, loop: asyncio.AbstractEventLoop) -> None:
    """Sort the table of a run that has just ended, so that its first visitor does not wait for it."""
    now = site.view(job_id)
    if now.status == "done" and "localizations" in site.results.sources(now.job):
        loop.call_soon_threadsafe(site.results.prepare, now.job, "localizations")


def serve(
    data: Sequence[Path], config: WebConfig, announce: Callable[[str], None], *, needs_token: bool = True
) -> None:
    """Run the server until it is interrupted.

    Raises `UserError` if a folder cannot be used, or the address cannot be listened on.

    Parameters
    ----------
    data
        Folders that may be read and written; runs go to the first.
    config
        Where it listens (port 0 takes any free one), and what can be uploaded.
    announce
        Told the address to open, with the token where one is needed.
    needs_token
        Whether only those come in who know the token.
    """
    host = config.host
    if not needs_token and not is_loopback(host):
        raise UserError(f"--no-token is for this machine only: on {host} anybody could come in")
    site = Site(Roots(data), int(config.max_upload_mb * 1e6), is_loopback(host))
    site.store.prepare()
    token = _token() if needs_token else None
    listener = _listen(host, config.port)
    port = listener.getsockname()[1]
    app = build(site, Access(token, port))
    announce(f"http://{reachable(host)}:{port}/" + (f"?token={token}" if token else ""))
    # No access log: addresses can hold the token.
    quiet = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    uvicorn.Server(quiet).run(sockets=[listener])


def reachable(host: str) -> str:
    """Return what others write for a host: of "all addresses", the one that leads out of this machine."""
    if host in ("0.0.0.0", "::"):
        family, far = (socket.AF_INET, "192.0.2.1") if host == "0.0.0.0" else (socket.AF_INET6, "2001:db8::1")
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                # Nothing is sent: the system only looks up the way to an address of nobody.
                probe.connect((far, 9))
                host = str(probe.getsockname()[0])
        except OSError:
            host = socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _token() -> str:
    """Return the token: the one in the environment, or a new one."""
    given = os.environ.get(TOKEN_VARIABLE, "")
    if given and len(given) < _LEAST_TOKEN:
        raise UserError(f"{TOKEN_VARIABLE} is too short: give at least {_LEAST_TOKEN} characters, or none")
    return given or secrets.token_urlsafe(24)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Whoever reads the address may connect at once; the server answers as soon as it runs.
        listener.listen(128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen on {host}, port {port}: {reason}: give another --host or --port"
        ) from error
    return listener
