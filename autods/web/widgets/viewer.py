"""A picture to pan, zoom and draw a region on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nicegui.element import Element
from nicegui.events import GenericEventArguments

#: (y0, x0, y1, x1) in units of the picture.
Box = tuple[int, int, int, int]


class Viewer(Element, component="viewer.js", dependencies=["pan_zoom.js"]):
    """A picture with pan and zoom (mouse, touch, keyboard), marks, a region and a scale bar.

    Parameters
    ----------
    label
        What it shows, for screen readers.
    width, height
        Size of the picture in its units: camera pixels, or nm.
    nm_per_unit
        For the scale bar; None draws none.
    on_region
        Told of a region that was drawn, or None when it was cleared; without it no region can be drawn.
    is_sharp
        Whether pixels stay squares when enlarged.
    """

    def __init__(
        self,
        label: str,
        width: float,
        height: float,
        *,
        nm_per_unit: float | None = None,
        on_region: Callable[[Box | None], None] | None = None,
        is_sharp: bool = False,
    ) -> None:
        super().__init__()
        self._props.update(label=label, width=width, height=height, sharp=is_sharp, src="")
        self._props["drawable"] = on_region is not None
        self.set_scale(nm_per_unit)
        if on_region is not None:
            self.on("region", lambda event: on_region(box_of_event(event)))

    def set_scale(self, nm_per_unit: float | None) -> None:
        """Change what a unit is, for the scale bar."""
        self._set("nm-per-unit", nm_per_unit or 0)

    def set_size(self, width: float) -> None:
        """Change the width of the picture, in its units."""
        self._set("width", width)

    def set_axes(self, across: str, up: str, top_nm: float) -> None:
        """Draw axes in nm: names, and the value of the upper one at the top edge."""
        self._set("axes", {"across": across, "up": up, "top": top_nm})

    def show(self, source: str) -> None:
        """Show a picture of the server, by its address."""
        self._set("src", source)

    def draw_marks(self, xy: Sequence[float]) -> None:
        """Draw circles at x0, y0, x1, y1, ... in units of the picture."""
        self._set("points", [round(value, 2) for value in xy])

    def set_region(self, box: Box | None) -> None:
        """Draw a region, or none."""
        self._set("region", None if box is None else list(box))

    def _set(self, name: str, value: object) -> None:
        if self._props.get(name) != value:
            self._props[name] = value
            self.update()


def box_of_event(event: GenericEventArguments) -> Box | None:
    """Read the box that a browser sent; anything else is no box."""
    box = event.args.get("box") if isinstance(event.args, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, int | float) for value in box):
        return None
    y0, x0, y1, x1 = (int(value) for value in box)
    return y0, x0, y1, x1
