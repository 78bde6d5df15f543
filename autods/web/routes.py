"""Frames of movies and files of runs that the browser fetches by address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode

from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from autods.core import UserError
from autods.io.movie import Choice, Movie
from autods.pipelines.view import frame_picture, png_bytes
from autods.web.jobs import Job
from autods.web.movies import MovieFacts
from autods.web.names import path_of, path_text, shown
from autods.web.run_files import open_file
from autods.web.site import Site

#: What lies in a run folder is a stranger to the page: it runs no script, sends no form, loads nothing.
_FILE_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
#: What is shown in the browser: pictures, and the report, which needs no script.
_INLINE = {".png": "image/png", ".html": "text/html; charset=utf-8"}
_REPORT = "report.html"
_BLOCK_BYTES = 1 << 18


def add_routes(app: FastAPI, site: Site) -> None:
    """Add the addresses of pictures and files to the server."""

    @app.get("/api/frame")
    async def frame(
        path: str,
        t: int,
        low: float,
        high: float,
        n: int = 1,
        channel: int | None = None,
        position: int | None = None,
    ) -> Response:
        def draw(movie: Movie, _: MovieFacts) -> bytes:
            return png_bytes(frame_picture(movie, t, (low, high), projected=max(1, min(n, 200))))

        try:
            movie = await run_in_threadpool(site.roots.movie, path_of(path))
            data = await site.movies.reading(movie, Choice(channel, position), draw)
        except UserError as error:
            raise HTTPException(400, shown(str(error))) from error
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/api/files/{job_id}/{name:path}")
    def file(job_id: str, name: str, download: bool = False) -> Response:
        try:
            return file_response(site.store.load(job_id).folder, name, download=download)
        except UserError as error:
            raise HTTPException(404, shown(str(error))) from error


def file_response(folder: Path, name: str, *, download: bool) -> Response:
    """Serve a file of a run folder: pictures and the report to look at, the rest to save.

    Raises `UserError` if the folder holds no such file.
    """
    file, suffix = open_file(folder, name), Path(name).suffix
    is_shown = not download and (suffix == ".png" or name == _REPORT)
    ending = f"attachment; filename*=UTF-8''{quote(Path(name).name)}"
    headers = {
        "Content-Security-Policy": _FILE_POLICY,
        "Content-Disposition": "inline" if is_shown else ending,
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Cache-Control": "no-cache",
    }
    kind = _INLINE[suffix] if is_shown else "application/octet-stream"
    return StreamingResponse(_blocks(file), media_type=kind, headers=headers)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def frame_address(facts: MovieFacts, t: int, limits: tuple[float, float], n: int = 1) -> str:
    """Return the address of a frame's picture."""
    query = {"path": path_text(facts.path), "t": t, "low": f"{limits[0]:g}", "high": f"{limits[1]:g}", "n": n}
    return f"/api/frame?{urlencode(query | chosen(facts.choice))}"


def chosen(choice: Choice) -> dict[str, int]:
    """Return what was chosen of a file, by the keys of addresses and commands."""
    found = {"channel": choice.channel, "position": choice.position}
    return {key: value for key, value in found.items() if value is not None}


def movie_address(path: Path | str, **choice: int | str) -> str:
    """Return the address of the page of a movie."""
    return f"/movie?{urlencode({'path': path_text(path), **choice})}"


def file_address(job: Job, name: str, *, download: bool = False) -> str:
    """Return the address of a file of a run."""
    return f"/api/files/{quote(job.id)}/{quote(name)}{'?download=true' if download else ''}"
