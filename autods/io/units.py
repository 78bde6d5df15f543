"""Units that files write, and the pixel size that comes of them."""

from __future__ import annotations

import math
import re

from autods.core.quantities import QUANTITIES, guess, is_plausible
from autods.io.base import MovieMetadata

_LENGTHS_NM = {
    "nm": 1.0,
    "um": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "inch": 25.4e6,
    "pm": 1e-3,
    "a": 0.1,
}
_SYNONYMS = {
    **dict.fromkeys(("nanometer", "nanometre", "nanometers", "nanometres"), "nm"),
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres"), "um"),
    **dict.fromkeys(("millimeter", "millimetre", "millimeters", "millimetres"), "mm"),
    **dict.fromkeys(("centimeter", "centimetre", "centimeters", "centimetres"), "cm"),
    **dict.fromkeys(("meter", "metre", "meters", "metres"), "m"),
    **dict.fromkeys(("in", "inches", '"'), "inch"),
    **dict.fromkeys(("picometer", "picometre"), "pm"),
    **dict.fromkeys(("angstrom", "ångström", "å"), "a"),
}
_TIMES_MS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1e3),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("us", "microsecond", "microseconds"), 1e-3),
}
#: The micro sign, the Greek letter, both read in the wrong encoding, and as ImageJ and JSON escape them.
_MICRO = re.compile("Âµ|Î¼|µ|μ|\\\\u00b5|\\\\u03bc|\ufffd", re.IGNORECASE)
#: Sides of a pixel that differ by less than this are one size in two roundings.
_SQUARE = 0.01


def plain_unit(unit: str) -> str:
    """Write a unit in lower case with ``u`` for micro."""
    return _MICRO.sub("u", unit.strip().lower())


def length_nm(value: float, unit: str) -> float | None:
    """Convert a length to nm; None when the unit is not one of length.

    Examples
    --------
    >>> length_nm(0.108, "um"), length_nm(1.0, "s")
    (108.0, None)
    """
    name = plain_unit(unit)
    factor = _LENGTHS_NM.get(_SYNONYMS.get(name, name))
    return None if factor is None else value * factor


def time_ms(value: float, unit: str) -> float | None:
    """Convert a time to ms; None when the unit is not one of time.

    Examples
    --------
    >>> time_ms(0.05, "s")
    50.0
    """
    factor = _TIMES_MS.get(plain_unit(unit))
    return None if factor is None else value * factor


def pixel_size(
    x_nm: float | None, y_nm: float | None, source: str, *, is_default_likely: bool = False
) -> MovieMetadata:
    """Turn what a file says of its pixels into the pixel size, or a note of why it is not used.

    Returns pixel size, the other side where it differs by more than 1 %, and notes.

    Parameters
    ----------
    x_nm, y_nm
        Sides along columns and rows, nm; None where the file says nothing.
    source
        Part of the file, for messages.
    is_default_likely
        Whether programs write a value there that nobody measured (72 dots per inch): then a value that
        cannot be is passed over without a note.
    """
    sides = [side for side in (x_nm, y_nm) if side is not None and math.isfinite(side) and side > 0]
    # 1 of any unit is what programs write that were told nothing.
    sides = [side for side in sides if side not in (1.0, 1e3, 1e6, 1e7, 1e9)]
    usable = [side for side in sides if is_plausible("pixel_size_nm", side)]
    if not usable:
        if not sides or is_default_likely:
            return MovieMetadata()
        quantity = QUANTITIES["pixel_size_nm"]
        return MovieMetadata(
            notes=(
                f"{source} states pixels of {sides[0]:g} nm, which is not used: {quantity.meaning} is"
                f" {quantity.low:g} to {quantity.high:g} nm; {guess('pixel_size_nm', sides[0])}",
            )
        )
    first, last = usable[0], usable[-1]
    is_square = abs(first - last) <= _SQUARE * max(first, last)
    return MovieMetadata(pixel_size_nm=first, pixel_size_y_nm=None if is_square else last, source=source)
