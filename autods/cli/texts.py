"""Ranges that people write as text: ``frames=START:STOP``, ``roi=Y0:X0:Y1:X1``."""

from __future__ import annotations

from autods.core import UserError


def parse_frames(text: str | None) -> slice | None:
    """Read ``START:STOP``, either end may be left out; None is all frames.

    Raises
    ------
    UserError
        If the text is no range of frames.
    """
    if text is None:
        return None
    parts = text.strip().split(":")
    if len(parts) != 2:
        raise UserError(f"frames={text} is no range: write frames=START:STOP, counted from 0")
    start, stop = (_whole(part, f"frames={text}", "START:STOP") if part else None for part in parts)
    return slice(start, stop)


def parse_roi(text: str | None) -> tuple[int, int, int, int] | None:
    """Read ``Y0:X0:Y1:X1`` in pixels; None is the whole field.

    Raises
    ------
    UserError
        If the text is no region.
    """
    if text is None:
        return None
    parts = text.strip().split(":")
    if len(parts) != 4:
        raise UserError(f"roi={text} is no region: write roi=Y0:X0:Y1:X1 in pixels, Y1 and X1 excluded")
    y0, x0, y1, x1 = (_whole(part, f"roi={text}", "Y0:X0:Y1:X1") for part in parts)
    return y0, x0, y1, x1


def parse_size(text: str | None) -> tuple[float, float] | None:
    """Read ``HEIGHT:WIDTH`` in nm.

    Raises
    ------
    UserError
        If the text is no size.
    """
    if text is None:
        return None
    try:
        height, width = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UserError(f"field_nm={text} is no size: write field_nm=HEIGHT:WIDTH in nm") from error
    if not (height > 0 and width > 0):
        raise UserError(f"field_nm={text} is no size: both sides must be greater than 0")
    return height, width


def _whole(part: str, whole: str, form: str) -> int:
    try:
        return int(part)
    except ValueError as error:
        raise UserError(f"{whole} is not made of whole numbers: write {form}") from error
