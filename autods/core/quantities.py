"""Plausible ranges of lengths, gains and offsets: one check for files, tables and typed settings."""

from __future__ import annotations

from dataclasses import dataclass

from autods.core.errors import UserError


@dataclass(frozen=True)
class Quantity:
    """A physical quantity with the range that microscopes of this field lie in."""

    #: What it is, for messages.
    meaning: str
    #: Range of its absolute value, ends included.
    low: float
    high: float
    #: Its unit.
    unit: str


QUANTITIES = {
    "pixel_size_nm": Quantity("a pixel in the sample", 10.0, 1000.0, "nm"),
    "wavelength_nm": Quantity("a wavelength of light", 200.0, 2000.0, "nm"),
    "z_step_nm": Quantity("a step of a z-stack", 1.0, 5000.0, "nm"),
    "na": Quantity("a numerical aperture", 0.05, 1.9, ""),
    "offset_adu": Quantity("a camera's dark level", 0.0, 70_000.0, "ADU"),
    "e_per_adu": Quantity("a camera's conversion", 1e-4, 1e4, "e/ADU"),
    "em_gain": Quantity("the gain of an EM register", 0.1, 1e4, ""),
    "read_noise_e": Quantity("a camera's read noise", 0.0, 1e4, "electrons"),
    "patch_um": Quantity("a patch that gets its own model", 2.5, 1000.0, "um"),
}


def is_plausible(name: str, value: float) -> bool:
    """Whether a quantity has a value that a microscope of this field can have; unknown names always do.

    Examples
    --------
    >>> is_plausible("pixel_size_nm", 108), is_plausible("pixel_size_nm", 6500)
    (True, False)
    """
    quantity = QUANTITIES.get(name)
    return quantity is None or quantity.low <= abs(value) <= quantity.high


def guess(name: str, value: float) -> str:
    """Guess the mistake behind a value outside its range: what was probably meant.

    Returns a clause for a message.

    Parameters
    ----------
    name
        Of `QUANTITIES`.
    value
        As stated.

    Examples
    --------
    >>> guess("pixel_size_nm", 0.108)
    'is it in um? Give 108 nm'
    """
    quantity, size = QUANTITIES[name], abs(value)
    if name.endswith("_nm") and size < quantity.low and is_plausible(name, 1e3 * value):
        return f"is it in um? Give {1e3 * value:g} nm"
    if name == "pixel_size_nm" and quantity.high < size <= 60_000:
        divided = f"{value:g} nm / 100 = {value / 100:g} nm at 100x"
        return f"is it the camera's own pixel? Divide it by the magnification ({divided})"
    if name.endswith("_nm") and size > quantity.high and is_plausible(name, value / 1e3):
        return f"is it in pm? Give {value / 1e3:g} nm"
    if name == "qe" and 1 < size <= 100:
        return f"is it in percent? Give {value / 100:g}"
    return "check the number and its unit"


def require_plausible(name: str, value: float | None, key: str) -> None:
    """Refuse a value that no microscope of this field has, and guess what was meant.

    Raises `UserError` if the value lies outside the range.

    Parameters
    ----------
    name
        Of `QUANTITIES`; any other name is not checked.
    value
        As stated; None passes.
    key
        Where it was stated, for the message: a setting, or a file and its field.
    """
    if value is None or is_plausible(name, value):
        return
    quantity = QUANTITIES[name]
    span = f"{quantity.low:g} to {quantity.high:g} {quantity.unit}".rstrip()
    raise UserError(f"{key} is {value:g}, but {quantity.meaning} is {span}: {guess(name, value)}")
