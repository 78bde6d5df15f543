"""The diagrams of docs/architecture.md: ``python scripts/architecture_figures.py docs/figures``."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autods.io.atomic import atomic_path

LAYERS = {
    "7: what people use": ("api", "cli", "web", "plugins"),
    "6: settings of the commands": ("configuration",),
    "5: pipelines": ("pipelines",),
    "4: networks at work": ("training", "inference"),
    "3: measuring, simulating,\nchoosing": (
        "simulation",
        "estimation",
        "calibration",
        "zoo",
        "postprocessing",
        "runs",
    ),
    "2: physics, files, numbers": ("optics", "io", "networks", "metrics", "rendering", "representation"),
    "1: types that all use": ("core",),
}
ROADS = {
    "2d": (
        "io:\nopen movie",
        "estimation:\nprofile",
        "pipelines.plan:\na model for\neach patch",
        "pipelines.streaming:\nblocks of frames",
        "inference:\nnetwork, decode,\nstitch",
        "inference:\nlikelihood fit",
        "postprocessing:\nfilter, drift, link",
        "pipelines.outputs:\nrun folder",
    ),
    "3d": (
        "io:\nopen movie",
        "estimation:\ncamera",
        "calibration:\nPSF",
        "estimation:\nscene",
        "estimation:\nnoise, photons,\ndensity",
        "training:\nnetwork",
        "simulated and\nreal frames",
        "inference:\nnetwork, PSF fit",
        "postprocessing",
        "pipelines.outputs3d:\nrun folder",
    ),
    "training": (
        "simulation:\nconditions",
        "training.data:\nscenes",
        "simulation:\nframes on\nthe device",
        "training.module:\nloss, scores",
        "training.fit:\nfolder, checkpoints",
        "training.export:\ncard, weights",
    ),
    "localization": (
        "decoder:\nDetections, device,\npx of the patch",
        "Localizer:\nDetections, host,\npx of the patch",
        "pipelines:\nDetections with tile,\npx of the region",
        "inference.stitch:\nDetections, each\nmolecule once",
        "fits:\nLocalizationTable\nof a block, nm",
        "runs.chunks:\nfinished blocks,\nfollow, live page",
        "pipelines.blocks:\nLocalizationTable\nof the movie",
    ),
}
_BOX = {"boxstyle": "round,pad=0.4", "facecolor": "#e0f2f1", "edgecolor": "#009485"}
_ARROW = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 2, "shrinkB": 2}
#: Boxes of a row.
_MOST = 5


def main(folder: Path) -> None:
    """Draw the layers and the roads through them."""
    for name, figure in [("layers", _layers()), *((name, _road(boxes)) for name, boxes in ROADS.items())]:
        with atomic_path(folder / f"architecture_{name}.svg") as part:
            # The same bytes each time.
            figure.savefig(part, format="svg", metadata={"Date": None})


def _layers() -> Figure:
    figure = Figure(figsize=(9.4, 5.2))
    axes = _canvas(figure, 9.4, len(LAYERS))
    for row, (title, packages) in enumerate(LAYERS.items()):
        y = len(LAYERS) - row - 0.5
        axes.text(0.05, y, title, va="center", fontsize=10, color="#00695c")
        for column, package in enumerate(packages):
            axes.text(2.75 + 1.18 * column, y, package, ha="center", va="center", fontsize=9, bbox=_BOX)
        if row:
            axes.annotate("", (2.0, y + 0.25), (2.0, y + 0.75), arrowprops=_ARROW)
    return figure


def _road(boxes: tuple[str, ...]) -> Figure:
    rows = math.ceil(len(boxes) / _MOST)
    columns = math.ceil(len(boxes) / rows)
    figure = Figure(figsize=(1.8 * columns, 1.15 * rows))
    axes = _canvas(figure, columns, rows)
    places = [(index % columns + 0.5, rows - index // columns - 0.5) for index in range(len(boxes))]
    drawn = [
        axes.text(*place, text, ha="center", va="center", fontsize=9, bbox=_BOX)
        for place, text in zip(places, boxes, strict=True)
    ]
    for first, second in itertools.pairwise(drawn):
        axes.annotate(
            "",
            second.get_position(),
            first.get_position(),
            arrowprops={**_ARROW, "patchA": first.get_bbox_patch(), "patchB": second.get_bbox_patch()},
        )
    return figure


def _canvas(figure: Figure, width: float, height: float) -> Axes:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return axes


if __name__ == "__main__":
    main(Path(sys.argv[1]))
