"""Addresses of what is drawn of results: tiles, side views, exports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import Response, StreamingResponse

from autods.core import UserError
from autods.io.images import write_png
from autods.pipelines.exports import MOST_PX, export_picture, export_tiff
from autods.pipelines.shown_rows import Box, Look
from autods.pipelines.side_views import section as draw_section
from autods.pipelines.side_views import turned as draw_turned
from autods.pipelines.sorted_table import Source
from autods.pipelines.tiles import Painter
from autods.web.jobs import Job
from autods.web.names import shown
from autods.web.results import encoded, media_type
from autods.web.site import Site

COLORS = ("inferno", "viridis", "magma", "gray", "depth")
_SIDE_PX = 2048
_BLOCK_BYTES = 1 << 18


def look_of(
    keep: str = "",
    drawing: Literal["gaussian", "histogram"] = "gaussian",
    colors: str = COLORS[0],
    percentile: float = 99.5,
    drift: bool = True,
) -> Look:
    """Read a look from the query of an address.

    Raises `HTTPException` if there is no such colour map.
    """
    if colors not in COLORS:
        raise HTTPException(400, f"{colors} is no colour map: use one of {', '.join(COLORS)}")
    # NaN compares false with both ends.
    share = percentile if 50.0 <= percentile <= 100.0 else 99.5
    return Look(keep, drawing, colors, share, drift)


def look_query(look: Look, source: Source, version: float, second: str = "") -> str:
    """Return the query that `look_of` reads; ``version`` changes when the run's result does."""
    query = {"keep": look.filter, "drawing": look.drawing, "colors": look.colors}
    query |= {"percentile": f"{look.percentile:g}", "drift": "true" if look.is_corrected else "false"}
    query |= {"second": second} if second else {}
    return urlencode({**query, "source": source, "version": version})


Looked = Annotated[Look, Depends(look_of)]


def add_result_routes(app: FastAPI, site: Site) -> None:
    """Add the addresses to the server."""
    _add_tiles(app, site)
    _add_side_views(app, site)
    _add_downloads(app, site)


@contextmanager
def _told(status: int) -> Iterator[None]:
    """Answer with the one line of a `UserError`."""
    try:
        yield
    except UserError as error:
        raise HTTPException(status, shown(str(error))) from error


def _drawn(
    site: Site, job_id: str, source: Source, key: object, draw: Callable[[Painter], bytes]
) -> Response:
    """Answer with a picture of a run, drawn or kept from before."""
    with _told(400):
        job = site.store.load(job_id)
        painter = site.results.painter(job, source)
        data = site.results.picture((job.id, source, site.results.version(job), key), lambda: draw(painter))
    return Response(data, media_type=media_type(data), headers={"Cache-Control": "private, max-age=3600"})


def _add_tiles(app: FastAPI, site: Site) -> None:
    @app.get("/api/tile/{job_id}/{level}/{row}/{column}")
    def tile(
        job_id: str,
        level: int,
        row: int,
        column: int,
        look: Looked,
        source: Source = "localizations",
        second: str = "",
    ) -> Response:
        def draw(painter: Painter) -> bytes:
            if not second:
                return encoded(*painter.tile(look, level, row, column), look.colors)
            other = site.results.painter(site.store.load(second), "localizations")
            return encoded(*painter.tile_with(other, look, level, row, column), look.colors)

        return _drawn(site, job_id, source, (look, level, row, column, second), draw)

    @app.get("/api/live/{job_id}/{level}/{row}/{column}")
    def live(job_id: str, level: int, row: int, column: int, look: Looked) -> Response:
        with _told(404):
            found = site.results.live(site.store.load(job_id))
            painter = found.painter
            assert painter is not None
            key = ("live", job_id, found.version, look, level, row, column)
            data = site.results.picture(
                key, lambda: encoded(*painter.tile(look, level, row, column), look.colors)
            )
        return Response(data, media_type=media_type(data), headers={"Cache-Control": "no-store"})


def _add_side_views(app: FastAPI, site: Site) -> None:
    @app.get("/api/section/{job_id}")
    def section(
        job_id: str,
        look: Looked,
        plane: Literal["xz", "yz"] = "xz",
        low: float = 0.0,
        high: float = 1e9,
        px: int = 1024,
        source: Source = "localizations",
    ) -> Response:
        side, colors = max(64, min(px, _SIDE_PX)), "inferno" if look.colors == "depth" else look.colors

        def draw(painter: Painter) -> bytes:
            return encoded(*draw_section(painter.rows, look, plane, (low, high), side), colors)

        return _drawn(site, job_id, source, ("section", look, plane, low, high, side), draw)

    @app.get("/api/turned/{job_id}")
    def turned(
        job_id: str,
        look: Looked,
        azimuth: float = 0.0,
        elevation: float = 0.0,
        px: int = 600,
        source: Source = "localizations",
    ) -> Response:
        side = max(64, min(px, 1024))

        def draw(painter: Painter) -> bytes:
            return encoded(*draw_turned(painter.rows, look, azimuth, elevation, side), "depth")

        return _drawn(site, job_id, source, ("turned", look, azimuth, elevation, side), draw)


def _add_downloads(app: FastAPI, site: Site) -> None:
    @app.get("/api/export/{job_id}.{ending}")
    def export(
        job_id: str,
        ending: Literal["png", "tif"],
        look: Looked,
        box: str = "",
        px: int = 2048,
        source: Source = "localizations",
    ) -> Response:
        with _told(400):
            job = site.store.load(job_id)
            painter = site.results.painter(job, source)
            part = _box(box) or (0.0, 0.0, *painter.table.shape_nm)
            path = _drawn_file(painter, look, part, max(64, min(px, MOST_PX)), ending)
        return _download(path, f"{job.id}.{ending}")

    @app.get("/api/table/{job_id}.{ending}")
    async def table(
        job_id: str, ending: Literal["csv", "parquet"], look: Looked, source: Source = "localizations"
    ) -> Response:
        with _told(400):
            job = site.store.load(job_id)
            path = await site.results.table(job, source, look, ending)
        return _download(path, f"{job.id}_filtered.{ending}")


def _drawn_file(painter: Painter, look: Look, part: Box, side_px: int, ending: str) -> Path:
    """Write an exported picture to a temporary file."""
    with tempfile.NamedTemporaryFile(suffix=f".{ending}", prefix="autods_", delete=False) as file:
        path = Path(file.name)
    try:
        if ending == "tif":
            export_tiff(painter, look, part, side_px, path)
        else:
            write_png(export_picture(painter, look, part, side_px), path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _download(path: Path, name: str) -> Response:
    """Send a temporary file, and remove it."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Content-Length": str(path.stat().st_size),
    }
    return StreamingResponse(_once(path), media_type="application/octet-stream", headers=headers)


def _once(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    finally:
        with suppress(OSError):
            path.unlink()


def _box(text: str) -> Box | None:
    """Read ``Y0:X0:Y1:X1``, nm.

    Raises `UserError` if it is anything else.
    """
    if not text:
        return None
    try:
        y0, x0, y1, x1 = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UserError(f"{text} cannot be read: give Y0:X0:Y1:X1 in nm") from error
    return y0, x0, y1, x1


def tile_address(job: Job) -> str:
    """Return the address of the tiles of a run, without level, row and column."""
    return f"/api/tile/{quote(job.id)}"


def live_address(job: Job) -> str:
    """Return the address of the tiles of a run that goes on, alike."""
    return f"/api/live/{quote(job.id)}"
