"""Pictures and files that the browser fetches by address."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, get_args
from urllib.parse import quote, urlencode

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response, StreamingResponse

from autods.core import UserError
from autods.io.movie import Choice
from autods.pipelines.view import Filters, RunView, Style, frame_picture, open_view, png_bytes
from autods.web.jobs import Job
from autods.web.movies import MovieFacts
from autods.web.names import path_of, path_text, shown
from autods.web.run_files import open_file
from autods.web.site import Site

COLORS = ("inferno", "viridis", "magma", "gray", "depth")
Value = TypeVar("Value")
Plane = Literal["xz", "yz"]
_KEPT_PICTURES = 64
_KEPT_VIEWS = 4
_MOST_PX = 2048
#: What lies in a run folder is a stranger to the page: it runs no script, sends no form, loads nothing.
_FILE_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
#: What is shown in the browser: pictures, and the report, which needs no script.
_INLINE = {".png": "image/png", ".html": "text/html; charset=utf-8"}
_REPORT = "report.html"
_BLOCK_BYTES = 1 << 18


class Pictures:
    """Draws pictures of runs and keeps the last ones.

    Parameters
    ----------
    site
        What all pages share.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pictures: OrderedDict[object, bytes] = OrderedDict()
        self._views: OrderedDict[object, RunView] = OrderedDict()
        self._lock = threading.Lock()

    def run_view(self, job: Job) -> RunView:
        """Open the localizations of a run.

        Raises
        ------
        UserError
            If it has none.
        """
        return self._keep(self._views, _KEPT_VIEWS, _version(job.folder), lambda: open_view(job.folder))

    def draw(self, job: Job, key: object, draw: Callable[[RunView], Any]) -> bytes:
        """Draw a picture of a run, or take it if it was drawn before.

        Raises
        ------
        UserError
            If the run has no localizations, or the picture cannot be drawn.
        """
        view = self.run_view(job)
        return self._keep(
            self._pictures, _KEPT_PICTURES, (_version(job.folder), key), lambda: png_bytes(draw(view))
        )

    def _keep(
        self, kept: OrderedDict[object, Value], most: int, key: object, make: Callable[[], Value]
    ) -> Value:
        # One at a time: twenty viewers of one picture draw it once.
        with self._lock:
            if key not in kept:
                kept[key] = make()
            kept.move_to_end(key)
            while len(kept) > most:
                kept.popitem(last=False)
            return kept[key]


def _version(folder: Path) -> tuple[str, int]:
    table = folder / "localizations.csv"
    return str(folder), table.stat().st_mtime_ns if table.exists() else 0


def add_routes(app: FastAPI, site: Site, pictures: Pictures) -> None:
    """Add the addresses of pictures and files to the server."""

    @app.get("/api/frame")
    def frame(
        path: str,
        t: int,
        low: float,
        high: float,
        n: int = 1,
        channel: int | None = None,
        position: int | None = None,
    ) -> Response:
        def draw() -> bytes:
            movie = site.roots.movie(path_of(path))
            with site.movies.reading(movie, Choice(channel, position)) as (opened, _):
                return png_bytes(frame_picture(opened, t, (low, high), projected=max(1, min(n, 200))))

        return _png(draw)

    @app.get("/api/picture/{job_id}")
    def picture(
        job_id: str,
        colors: str = COLORS[0],
        drawing: Literal["gaussian", "histogram"] = "gaussian",
        percentile: float = 99.5,
        px: int = 1024,
        box: str = "",
        plane: str = "",
        photons: str = "",
        uncertainty_nm: str = "",
        frame: str = "",
        z_nm: str = "",
    ) -> Response:
        def draw() -> bytes:
            filters = Filters(*(_span(text) for text in (photons, uncertainty_nm, frame, z_nm)))
            style = _style(drawing, colors, percentile)
            side, part = max(64, min(px, _MOST_PX)), _numbers(box, 4 if not plane else 2)
            key = (filters, style, part, plane, side)
            return pictures.draw(
                site.store.load(job_id), key, lambda view: _draw(view, filters, style, part, plane, side)
            )

        return _png(draw)

    @app.get("/api/files/{job_id}/{name:path}")
    def file(job_id: str, name: str, download: bool = False) -> Response:
        try:
            return file_response(site.store.load(job_id).folder, name, download=download)
        except UserError as error:
            raise HTTPException(404, shown(str(error))) from error


def file_response(folder: Path, name: str, *, download: bool) -> Response:
    """Serve a file of a run folder: pictures and the report to look at, the rest to save.

    Raises
    ------
    UserError
        If the folder holds no such file.
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


def movie_address(path: Path | str, **choice: int) -> str:
    """Return the address of the page of a movie."""
    return f"/movie?{urlencode({'path': path_text(path), **choice})}"


def picture_address(job: Job, version: float, **query: object) -> str:
    """Return the address of a picture of a run; ``version`` changes when the run's result does."""
    return f"/api/picture/{quote(job.id)}?{urlencode({**query, 'version': version})}"


def file_address(job: Job, name: str, *, download: bool = False) -> str:
    """Return the address of a file of a run."""
    return f"/api/files/{quote(job.id)}/{quote(name)}{'?download=true' if download else ''}"


def _draw(
    view: RunView, filters: Filters, style: Style, part: tuple[float, ...] | None, plane: str, side: int
) -> Any:
    if plane in get_args(Plane):
        slab = part or (0.0, view.shape_nm[0] if plane == "xz" else view.shape_nm[1])
        return view.section(filters, style, "xz" if plane == "xz" else "yz", (slab[0], slab[1]), side)
    box = None if part is None else (part[0], part[1], part[2], part[3])
    return view.picture(filters, style, box, side)


def _style(drawing: Literal["gaussian", "histogram"], colors: str, percentile: float) -> Style:
    if colors not in COLORS:
        raise UserError(f"{colors} is no colour map: use one of {', '.join(COLORS)}")
    return Style(drawing, colors, min(max(percentile, 50.0), 100.0))


def _span(text: str) -> tuple[float, float] | None:
    values = _numbers(text, 2)
    return None if values is None else (values[0], values[1])


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    if not text:
        return None
    try:
        values = tuple(float(part) for part in text.split(":"))
    except ValueError as error:
        raise UserError(f"{text} cannot be read: give {count} numbers with colons between") from error
    if len(values) != count:
        raise UserError(f"{text} has {len(values)} numbers: give {count}")
    return values


def _png(draw: Callable[[], bytes]) -> Response:
    try:
        return Response(draw(), media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})
    except UserError as error:
        raise HTTPException(400, shown(str(error))) from error
