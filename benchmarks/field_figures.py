"""Figures of the heterogeneous fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autods.core import LocalizationTable
from autods.io.result_tables import SD, Row
from autods.metrics.image import density_image, normalize_image
from benchmarks.fields import SimulatedField
from benchmarks.style import grouped_points, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXEL_NM = 25.0


def rule_points(means: Sequence[Row]) -> Figure:
    """Draw PSNR and Jaccard index of each choice, by structure, with standard deviations."""
    choices = list(dict.fromkeys(str(row["choice"]) for row in means))
    structures = list(dict.fromkeys(str(row["structure"]) for row in means))
    figure, axes = panels(2, size=(4.6, 0.8 + 0.26 * len(choices)))
    cell = {(row["structure"], row["choice"]): row for row in means}

    def series(column: str) -> dict[str, list[float]]:
        return {
            structure: [float(cell[structure, choice][column] or 0) for choice in choices]
            for structure in structures
        }

    for axis, (column, label) in zip(
        axes, {"psnr_db": "PSNR, dB", "jaccard": "Jaccard index"}.items(), strict=True
    ):
        grouped_points(axis, choices, series(column), series(column + SD), label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def reconstructions(field: SimulatedField, tables: Mapping[str, LocalizationTable]) -> Figure:
    """Draw a corner of the field: mean of the movie, truth, and the reconstruction of each choice."""
    side_nm = min(min(field.shape_nm), 15_000.0)
    side_px = round(side_nm / field.optics.pixel_size_nm)
    images = {"mean of the movie": field.frames[:, :side_px, :side_px].mean(0)}
    for name, table in {"truth": field.truth, **tables}.items():
        images[name] = normalize_image(density_image(table, field.shape_nm, _PIXEL_NM))[
            : round(side_nm / _PIXEL_NM), : round(side_nm / _PIXEL_NM)
        ]
    columns = 4
    figure, axes = panels(columns, -(-len(images) // columns), size=(2.8, 2.9))
    for axis, (name, image) in zip(axes, images.items(), strict=False):
        axis.imshow(image, cmap="gray" if name.startswith("mean") else "hot")
        axis.set_title(name, size=9)
    for axis in axes:
        axis.set_axis_off()
    return figure
