"""Opening run folders and tables in napari by drag and drop; napari itself is not needed to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from autods.core import UserError
from autods.core.grid import px_to_nm
from autods.io.tables import read_table
from autods.runs.record import read_run

#: napari's "layer data tuple": data, arguments of the layer, kind of layer.
Layer = tuple[Any, dict[str, Any], str]
Paths = str | Sequence[str]

_TABLES = {".parquet", ".hdf5", ".csv"}
_IMAGE = "reconstruction.tif"
#: Points are drawn this many standard errors wide.
_WIDTH = 2.355


def get_reader(path: Paths) -> Callable[[Paths], list[Layer]] | None:
    """Return what reads a run folder or a localization table; None for anything else.

    Parameters
    ----------
    path
        What was dropped; of several, each must be one.
    """
    paths = [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
    return read_layers if paths and all(_is_ours(one) for one in paths) else None


def read_layers(path: Paths) -> list[Layer]:
    """Read run folders and tables as layers in nm: the picture and the molecules.

    Points are (y, x), in depth (z, y, x); their features are the columns of the table, by which napari
    colours and filters them. Raises `UserError` if a table cannot be read.
    """
    paths = [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
    return [layer for one in paths for layer in _layers(one)]


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return (path / "localizations.csv").is_file()
    if path.suffix not in _TABLES:
        return False
    try:
        read_table(path)
    except UserError:
        return False
    return True


def _layers(path: Path) -> list[Layer]:
    image = _image(path) if (path / _IMAGE).is_file() else []
    source = path / "localizations.parquet"
    table = read_table(source if source.is_file() else path)
    axes = [table.y_nm, table.x_nm] if table.z_nm is None else [table.z_nm, table.y_nm, table.x_nm]
    error = table.uncertainty_xy_nm
    known = np.isfinite(error)
    typical = float(np.median(error[known])) if known.any() else 10.0
    arguments = {
        "name": f"{path.stem} molecules",
        "size": _WIDTH * np.where(known, error, typical),
        "features": dict(table.columns()),
        "face_color": "frame" if table.z_nm is None else "z_nm",
        "face_colormap": "turbo",
        "border_width": 0.0,
        "blending": "additive",
        "metadata": {"unit": "nm", "path": str(path)},
    }
    return [*image, (np.column_stack(axes), arguments, "points")]


def _image(path: Path) -> list[Layer]:
    """Return the picture of a run folder, its pixel and corner in nm."""
    with tifffile.TiffFile(path / _IMAGE) as file:
        image = file.asarray()
        number, divisor = file.pages.first.tags["XResolution"].value
    pixel_nm = 1000 * divisor / number
    region = (read_run(path) or {}).get("results", {}).get("region") or {}
    corner = [
        px_to_nm(float(start), float(region.get("pixel_size_nm", 0.0)))
        for start in region.get("origin_px", (0, 0))
    ]
    arguments = {
        "name": f"{path.stem} picture",
        "scale": [pixel_nm, pixel_nm],
        # The centre of the first pixel lies half a pixel from the corner that positions count from.
        "translate": [start + pixel_nm / 2 for start in corner],
        "colormap": "inferno",
        "contrast_limits": [0.0, float(np.percentile(image[image > 0], 99.5)) if image.any() else 1.0],
        "metadata": {"unit": "nm", "path": str(path)},
    }
    return [(image, arguments, "image")]
