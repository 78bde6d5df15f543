"""Localizations from the side and from any direction."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from autods.core import UserError
from autods.pipelines.shown_rows import Look, Rows
from autods.pipelines.tiles import SPOT_PX, Image
from autods.rendering import in_depth_colors, render_spots, white_level

#: Localizations that are drawn from any direction at most.
_TURNED = 300_000

Plane = Literal["xz", "yz"]


def section(
    rows: Rows, look: Look, plane: Plane, slab_nm: tuple[float, float], side_px: int
) -> tuple[Image, float]:
    """Draw the localizations seen from the side, z upwards.

    Returns ``light, white``: as of `tile`. Raises `UserError` in 2D, or as `tile`.

    Parameters
    ----------
    rows, look
        What, and how.
    plane
        ``xz`` looks along y, ``yz`` along x.
    slab_nm
        Range of the coordinate looked along, nm from the corner of the field.
    side_px
        Pixels along x (or y).
    """
    table = rows.table
    if table.depth_range_nm is None:
        raise UserError("the run has no depths: a cross-section needs a 3D run")
    low, high = table.depth_range_nm
    height, width = table.shape_nm
    box = (slab_nm[0], 0.0, slab_nm[1], width) if plane == "xz" else (0.0, slab_nm[0], height, slab_nm[1])
    pixel_nm = (width if plane == "xz" else height) / side_px
    across, along = ("x_nm", "y_nm") if plane == "xz" else ("y_nm", "x_nm")
    light = np.zeros((math.ceil((high - low) / pixel_nm), side_px), np.float32)
    for columns in rows.pieces(look, box, ("z_nm", "uncertainty_z_nm", "uncertainty_xy_nm")):
        keep = (columns[along] >= slab_nm[0]) & (columns[along] < slab_nm[1])
        chosen = {name: values[keep] for name, values in columns.items()}
        lateral = rows.widths(chosen["uncertainty_xy_nm"], pixel_nm, SPOT_PX)
        axial = np.where(np.isfinite(chosen["uncertainty_z_nm"]), chosen["uncertainty_z_nm"], 2 * lateral)
        x, z = chosen[across] / pixel_nm, (high - chosen["z_nm"]) / pixel_nm
        axial = np.clip(axial / pixel_nm, SPOT_PX, None)
        light += render_spots(x, z, lateral / pixel_nm, axial, light.shape)[0]
    return light, white_level(light, look.percentile)


def turned(rows: Rows, look: Look, azimuth: float, elevation: float, side_px: int) -> tuple[Image, float]:
    """Draw the field from a direction, in the colours of depth; of very many localizations a part.

    Raises `UserError` in 2D, or as `tile`.

    Parameters
    ----------
    rows, look
        What.
    azimuth, elevation
        Turn about z and then about the horizontal axis of the screen, degrees; 0, 0 looks along z.
    side_px
        Pixels of the square picture.
    """
    table = rows.table
    if table.depth_range_nm is None:
        raise UserError("the run has no depths: it cannot be turned")
    columns = rows.columns(look, (0.0, 0.0, *table.shape_nm), ("z_nm",))
    step = max(len(columns["z_nm"]) // _TURNED, 1)
    columns = {name: values[::step] for name, values in columns.items()}
    low, high = table.depth_range_nm
    height, width = table.shape_nm
    x, y, z = (
        columns["x_nm"] - width / 2,
        columns["y_nm"] - height / 2,
        columns["z_nm"] - (low + high) / 2,
    )
    a, e = math.radians(azimuth), math.radians(elevation)
    u, ahead = x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)
    v = ahead * math.cos(e) - z * math.sin(e)
    pixel_nm = math.hypot(width, height) / side_px
    spot = np.full(len(u), SPOT_PX, np.float32)
    across, down = (np.asarray(side / pixel_nm + side_px / 2, np.float32) for side in (u, v))
    place = (across, down, spot, spot, (side_px, side_px))
    light = in_depth_colors(*render_spots(*place, [rows.depths(columns["z_nm"])]))
    return light, white_level(light, look.percentile)
