"""A pyramid of tiles to pan and zoom."""

from __future__ import annotations

from collections.abc import Callable

from nicegui.element import Element

from autods.rendering import depth_palette, shaded
from autods.web.widgets.viewer import Box, box_of_event

_STOPS = 12


class TileViewer(Element, component="tile_viewer.js"):
    """A picture of any size with pan and zoom (mouse, touch, keyboard), scale bar, depth legend and export.

    Parameters
    ----------
    label
        What it shows, for screen readers.
    tiles, files
        Addresses of the tiles, without level, row and column, and of the exports, without their ending.
    shape_nm
        (height, width) of the field, nm.
    level_0_nm
        Pixel of the coarsest level, nm.
    levels
        Number of levels.
    start
        Part that is shown at first; None for the whole field.
    on_shown
        Told of the visible part, nm, when it has come to rest.
    """

    def __init__(
        self,
        label: str,
        tiles: str,
        files: str,
        shape_nm: tuple[float, float],
        level_0_nm: float,
        levels: int,
        start: Box | None,
        on_shown: Callable[[Box], None],
    ) -> None:
        super().__init__()
        self._props.update(
            label=label, tiles=tiles, files=files, height=shape_nm[0], width=shape_nm[1], levels=levels
        )
        self._props.update(finest=level_0_nm, start=None if start is None else list(start))

        def tell(box: Box | None) -> None:
            if box is not None:
                on_shown(box)

        self.on("shown", lambda event: tell(box_of_event(event)))

    def show(self, query: str, depth_range_nm: tuple[float, float] | None) -> None:
        """Show another look, with a legend of depth where there is a range."""
        self._props["query"] = query
        self._props["depth"] = None
        if depth_range_nm is not None:
            low, high = depth_range_nm
            self._props["depth"] = {"low": low, "high": high, "gradient": depth_gradient()}
        self.update()


def depth_gradient() -> str:
    """Return the colours of depth as a background of CSS, low to high."""
    colors = shaded(depth_palette(_STOPS)[None], 1.0)[0]
    return f"linear-gradient(to right, {', '.join('#' + bytes(color).hex() for color in colors)})"
