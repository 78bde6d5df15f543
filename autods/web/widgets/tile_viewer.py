"""A pyramid of tiles to pan and zoom."""

from __future__ import annotations

from collections.abc import Callable

from nicegui.element import Element

from autods.rendering import depth_palette, shaded
from autods.web.widgets.viewer import Box, box_of_event

_STOPS = 12


class TileViewer(Element, component="tile_viewer.js", dependencies=["pan_zoom.js"]):
    """A picture of any size with pan and zoom (mouse, touch, keyboard), scale bar, depth legend and export.

    Parameters
    ----------
    label
        What it shows, for screen readers.
    tiles, files
        Addresses of the tiles, without level, row and column, and of the exports, without their ending; ''
        offers none.
    start
        Part that is shown at first; None for the whole field.
    on_shown
        Told of the visible part, nm, when it has come to rest.
    """

    def __init__(
        self,
        label: str,
        tiles: str,
        files: str = "",
        start: Box | None = None,
        on_shown: Callable[[Box], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self._props.update(
            label=label, tiles=tiles, files=files, start=None if start is None else list(start)
        )

        def tell(box: Box | None) -> None:
            if box is not None:
                on_shown(box)

        self.on("shown", lambda event: tell(box_of_event(event)))

    def set_field(self, shape_nm: tuple[float, float], level_0_nm: float, levels: int) -> None:
        """Set the field: its (height, width) and the pixel of the coarsest of its levels, nm."""
        self._props.update(height=shape_nm[0], width=shape_nm[1], levels=levels, coarsest=level_0_nm)

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
