"""Localization tables as text, as the programs of the field and spreadsheets write them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autods.core.errors import UserError
from autods.core.grid import index_to_nm
from autods.core.quantities import require_plausible
from autods.core.table import LocalizationTable
from autods.io.csv import Header, read_columns, read_header
from autods.io.units import length_nm, plain_unit

_log = logging.getLogger(__name__)

_Columns = dict[str, NDArray[np.float64]]
_PHOTONS = ("photon", "photons", "phot", "")
#: Positions farther away, nm, are diverged fits: the largest stitched fields measure some mm.
_FARTHEST_NM = 2e7
_LAST_FRAME = 1e9


@dataclass(frozen=True)
class Program:
    """How a program names and counts the columns of its tables."""

    #: For people.
    name: str
    #: Names, as `plain_name` gives them, of which a table of the program has all.
    marks: tuple[str, ...]
    #: Name of the file, as `plain_name` gives it, to column of `LocalizationTable`.
    columns: Mapping[str, str]
    #: Number of the first frame.
    first_frame: int = 1
    #: Of positions and lateral errors whose column states none: ``nm`` or ``px``.
    unit: str = "nm"
    #: Whether x runs along the rows of the image instead of its columns.
    has_rows_first: bool = False
    #: Whether positions count from the centre of the first pixel also where they are in nm.
    is_from_centre: bool = False


_COMMON = {
    "frame": "frame",
    "x": "x_nm",
    "y": "y_nm",
    "z": "z_nm",
    "intensity": "photons",
    "photons": "photons",
    "phot": "photons",
    "sigma": "sigma_nm",
    "sigma1": "sigma_nm",
    "offset": "background",
    "background": "background",
    "bg": "background",
    "bkgstd": "background_std",
    "uncertainty": "uncertainty_xy_nm",
    "uncertainty_xy": "uncertainty_xy_nm",
    "uncertainty_z": "uncertainty_z_nm",
    "confidence": "confidence",
}

#: The first whose marks are all there is taken.
PROGRAMS = (
    Program("autods truth", ("frame", "x_nm", "y_nm"), _COMMON | {n: n for n in ("x_nm", "y_nm", "z_nm")}, 0),
    Program(
        "SMAP",
        ("frame", "xnm", "ynm"),
        {
            "frame": "frame",
            "xnm": "x_nm",
            "ynm": "y_nm",
            "znm": "z_nm",
            "phot": "photons",
            "bg": "background",
            "locprecnm": "uncertainty_xy_nm",
            "locprecznm": "uncertainty_z_nm",
            "psfxnm": "sigma_nm",
            "prob": "confidence",
        },
    ),
    Program(
        "DECODE",
        ("frame_ix", "x", "y", "phot"),
        {
            "frame_ix": "frame",
            "x": "x_nm",
            "y": "y_nm",
            "z": "z_nm",
            "phot": "photons",
            "bg": "background",
            "x_sig": "uncertainty_xy_nm",
            "z_sig": "uncertainty_z_nm",
            "prob": "confidence",
        },
        0,
        "px",
        has_rows_first=True,
        is_from_centre=True,
    ),
    Program(
        "rapidSTORM",
        ("imagenumber-0-0", "position-0-0", "position-1-0"),
        {
            "imagenumber-0-0": "frame",
            "position-0-0": "x_nm",
            "position-1-0": "y_nm",
            "position-2-0": "z_nm",
            "positionuncertainty-0-0": "uncertainty_xy_nm",
            "positionuncertainty-2-0": "uncertainty_z_nm",
        },
        0,
    ),
    Program(
        "SMLM challenge",
        ("frame", "xnano", "ynano"),
        {"frame": "frame", "xnano": "x_nm", "ynano": "y_nm", "znano": "z_nm", "intensity": "photons"},
    ),
    Program(
        "Zeiss ZEN",
        ("first frame", "position x", "position y"),
        {
            "first frame": "frame",
            "position x": "x_nm",
            "position y": "y_nm",
            "position z": "z_nm",
            "precision": "uncertainty_xy_nm",
            "number photons": "photons",
        },
    ),
    Program(
        "NIS-Elements",
        ("frame", "xc", "yc"),
        {"frame": "frame", "xc": "x_nm", "yc": "y_nm", "zc": "z_nm", "photons": "photons"},
    ),
    Program("ThunderSTORM", ("frame", "x", "y"), _COMMON),
)
#: Columns x and y without any unit: Picasso's, in pixels, if the pixel is known.
_PICASSO = Program(
    "Picasso",
    ("frame", "x", "y"),
    {"frame": "frame", "x": "x_nm", "y": "y_nm", "z": "z_nm", "photons": "photons", "bg": "background"},
    0,
    "px",
)


def read_text_table(path: Path, pixel_size_nm: float | None = None) -> LocalizationTable:
    """Read a table of any of `PROGRAMS`.

    Frames count from 0, positions are in nm from the outer corner; a column that the file lacks, or gives in
    another unit than photons, is NaN. Rows that cannot be are left out with a warning. Raises `UserError` if
    the file is no table, lacks a needed column, or its pixel size is not known.

    Parameters
    ----------
    path
        The file.
    pixel_size_nm
        Side of a camera pixel, for positions in pixels, nm.
    """
    header = read_header(path)
    if header.comments and "<localizations" in header.comments[0]:
        header = _rapidstorm_header(header)
    split = {name: split_unit(name) for name in header.names}
    labels = {label for label, _ in split.values()}
    program = next((each for each in PROGRAMS if set(each.marks) <= labels), None)
    if program is None:
        raise _no_table(path, labels)
    stated_px, unit = _decode_units(header) if program.name == "DECODE" else (None, "")
    if program.name == "ThunderSTORM" and not any(
        split[name][1] for name in header.names if split[name][0] in "xy"
    ):
        if pixel_size_nm is None:
            raise UserError(
                f"{path} is no localization table with units: name its columns x [nm] and y [nm], or give"
                " optics.pixel_size_nm=NM if they are pixels, counted from the centre of the first"
            )
        program = _PICASSO
    if unit:
        program = replace(program, unit=unit)
    return _build(path, header, split, program, stated_px or (pixel_size_nm, pixel_size_nm))


def split_unit(name: str) -> tuple[str, str]:
    """Split ``"x [nm]"``, ``"X (nm)"`` or ``"x[nm]"`` into a plain name and unit.

    Examples
    --------
    >>> split_unit("x [nm]"), split_unit("Photons")
    (('x', 'nm'), ('photons', ''))
    """
    found = re.fullmatch(r"\s*(.*?)\s*[\[(](.*)[\])]\s*", name)
    label, unit = (found[1], found[2]) if found else (name, "")
    return " ".join(label.lower().split()), plain_unit(unit)


def _no_table(path: Path, labels: set[str]) -> UserError:
    """Say what a table lacks, or that it is none."""
    if "frame" in labels and "x" in labels:
        return UserError(f'{path} has no column "y [nm]": export it again with that column')
    if {"x", "y"} <= labels:
        return UserError(f'{path} has no column "frame": export it again with that column')
    if "x_nm" in labels or "xnm" in labels:
        missing = next(name for name in ("frame", "y_nm", "x_nm") if name not in labels)
        return UserError(f"{path} has no column {missing}: a table needs frame, x and y")
    return UserError(
        f"{path} is no localization table: give CSV of ThunderSTORM, SMAP, DECODE or rapidSTORM, Picasso HDF5"
        " or CSV with frame,x_nm,y_nm"
    )


def _rapidstorm_header(header: Header) -> Header:
    """Take the names of the columns from rapidSTORM's description of them in XML."""
    fields = re.findall(r"<field\s[^>]*>", header.comments[0])
    names = []
    for each in fields:
        found = {key: re.search(rf'{key}="([^"]*)"', each) for key in ("identifier", "unit")}
        name, unit = (match[1] if match else "" for match in found.values())
        names.append(f"{name} [{unit}]" if unit else name)
    return replace(header, names=tuple(names), delimiter=None, n_lines=len(header.comments))


def _decode_units(header: Header) -> tuple[tuple[float, float] | None, str]:
    """Read unit and pixel size (along x and y) from DECODE's comments."""
    for comment in header.comments:
        try:
            stated = json.loads(comment[comment.index("{") :])
        except ValueError:
            continue
        size, unit = stated.get("px_size"), stated.get("xy_unit")
        pair = tuple(float(side) for side in size) if isinstance(size, list) and len(size) == 2 else None
        return (None if pair is None else (pair[0], pair[1])), str(unit or "px")
    return None, ""


def _build(
    path: Path,
    header: Header,
    split: Mapping[str, tuple[str, str]],
    program: Program,
    pixel: tuple[float | None, float | None],
) -> LocalizationTable:
    wanted = {name: program.columns[label] for name, (label, _) in split.items() if label in program.columns}
    columns = read_columns(path, header, wanted)
    found: _Columns = {}
    for name, target in wanted.items():
        if target in found or name not in columns:
            continue
        unit = split[name][1]
        if target in ("frame", "confidence"):
            found[target] = columns[name]
        elif target.endswith("_nm"):
            side = pixel[1 if target == "y_nm" else 0]
            default = "nm" if target.endswith("z_nm") else program.unit
            found[target] = _lengths(columns[name], target, unit or default, side, path)
            if program.is_from_centre and program.unit != "px" and side and target in ("x_nm", "y_nm"):
                found[target] = found[target] + 0.5 * side
        elif unit in _PHOTONS:
            found[target] = columns[name]
    if program.has_rows_first:
        found["x_nm"], found["y_nm"] = found["y_nm"], found["x_nm"]
    if "z_nm" not in found:
        found.pop("uncertainty_z_nm", None)
    frame, first = found.pop("frame"), program.first_frame
    if first == 1 and (frame == 0).any() and not (frame < 0).any():
        _log.warning("%s has a frame 0: its frames are taken to count from 0, and not from 1", path)
        first = 0
    return plausible(frame - first, found, path)


def _lengths(
    values: NDArray[np.float64], target: str, unit: str, pixel_nm: float | None, path: Path
) -> NDArray[np.float64]:
    factor = length_nm(1.0, unit)
    if factor is not None:
        return values * factor
    label = target.removesuffix("_nm")
    if unit not in ("px", "pixel", "pixels"):
        raise UserError(f"{path} gives {label} in [{unit}]: export it in nm")
    if pixel_nm is None:
        raise UserError(f"{path} gives {label} in pixels: export it in nm, or give optics.pixel_size_nm=NM")
    require_plausible("pixel_size_nm", pixel_nm, f"the pixel size of {path}")
    return index_to_nm(values, pixel_nm) if target in ("x_nm", "y_nm") else values * pixel_nm


def plausible(frame: NDArray[np.float64], columns: _Columns, path: Path) -> LocalizationTable:
    """Build a table of the rows that can be; the others are named in a warning.

    Parameters
    ----------
    frame
        (N,) from 0.
    columns
        Columns of `LocalizationTable`, of which x_nm and y_nm are needed.
    path
        The file, for the warning.
    """
    with np.errstate(invalid="ignore"):
        passed = {"frame": (frame >= 0) & (frame <= _LAST_FRAME) & (frame == np.rint(frame))}
        for name in ("x_nm", "y_nm", "z_nm"):
            if name in columns:
                passed[name] = np.abs(columns[name]) <= _FARTHEST_NM
    good = np.logical_and.reduce(list(passed.values()))
    if not good.all():
        examples = [
            f"{name} of row {row + 1} is {(frame if name == 'frame' else columns[name])[row]:g}"
            for name, fine in passed.items()
            for row in np.flatnonzero(~fine)[:2]
        ]
        words = "; ".join(examples[:3])
        _log.warning(
            "%s: %d of %d rows cannot be and are left out (%s)", path, (~good).sum(), len(good), words
        )
    others = {name: values[good] for name, values in columns.items() if name not in ("x_nm", "y_nm")}
    return LocalizationTable.build(frame[good], columns["x_nm"][good], columns["y_nm"][good], **others)
