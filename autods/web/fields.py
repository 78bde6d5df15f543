"""What can be entered on the page, and the command-line words that entries become.

Labels, units, limits and choices are those of `autods.pipelines.definitions`, defaults those of the command.

Each entry is checked here before it becomes a word of a command: numbers are read as numbers and choices are
taken from lists, so that no text of a user reaches the command's own grammar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from autods.configuration.registry import defaults_of
from autods.core import UserError
from autods.pipelines import definitions
from autods.pipelines.definitions import LOCALIZE as LOCALIZE_SETTINGS
from autods.pipelines.definitions import LOCALIZE3D as LOCALIZE3D_SETTINGS
from autods.pipelines.definitions import Kind, Setting
from autods.pipelines.settings import parse_frames, parse_roi
from autods.postprocessing.filtering import check_filter

_CORNERS = ("auto", "top-left", "top-right", "bottom-left", "bottom-right")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,2})?|mps")


@dataclass(frozen=True)
class Field:
    """One entry of a form."""

    #: What it sets: label, unit, limits and choices.
    setting: Setting
    #: What the command takes when nothing is entered; None: it finds out.
    default: object = None

    @property
    def key(self) -> str:
        """Key of the command."""
        return self.setting.key

    @property
    def kind(self) -> Kind:
        """What may be entered."""
        return self.setting.kind

    @property
    def caption(self) -> str:
        """Label with its unit."""
        label, unit = self.setting.label, self.setting.unit.replace("um", "µm")
        return f"{label} ({unit})" if unit else label

    @property
    def usual(self) -> str:
        """What the command takes when nothing is entered, for people."""
        text = text_of(self.default)
        return self.setting.usual or (
            self.setting.unset if self.default is None else dict(self.setting.choices).get(text, text)
        )

    @property
    def choices(self) -> dict[str, str]:
        """Values of a choice and what people read for them; '' stands for the command's default."""
        return {"": f"default ({self.usual})", **dict(self.setting.choices)}

    def problem(self, text: str) -> str | None:
        """Tell what is wrong with an entry; None when nothing is. An empty entry is never wrong."""
        try:
            self.word(text)
        except UserError as error:
            return str(error)
        return None

    def word(self, text: str) -> str | None:
        """Return the word ``key=value`` of an entry; None for an empty one.

        Raises `UserError` if the entry does not fit.
        """
        text = text.strip()
        if not text:
            return None
        if self.kind == "choice":
            if text not in dict(self.setting.choices):
                raise UserError(f"{self.setting.label}: {text} is no choice")
            return f"{self.key}={text}"
        if self.kind == "frames":
            parse_frames(text)
            return f"{self.key}={re.sub(r'[^0-9:]', '', text)}"
        if self.kind == "filter":
            check_filter(text)
            return f"{self.key}={text}"
        if self.kind == "roi":
            return f"{self.key}={':'.join(map(str, _checked_roi(text)))}"
        if self.kind == "region":
            return f"{self.key}={text if text in _CORNERS else ':'.join(map(str, _checked_roi(text)))}"
        if self.kind == "range":
            return f"{self.key}={_checked_range(text)}"
        return f"{self.key}={self._number(text)}"

    def _number(self, text: str) -> str:
        label = self.setting.label
        try:
            value = float(text.replace(",", "."))
        except ValueError as error:
            raise UserError(f"{label}: {text} is no number") from error
        if not (math.isfinite(value) and self.setting.holds(value)):
            raise UserError(f"{label} must be {self.setting.limits().replace('um', 'µm')}")
        if self.kind == "whole":
            if value != int(value):
                raise UserError(f"{label} must be a whole number")
            return str(int(value))
        return f"{value!r}".removesuffix(".0")


def _checked_roi(text: str) -> tuple[int, int, int, int]:
    roi = parse_roi(text)
    assert roi is not None
    y0, x0, y1, x1 = roi
    if not (0 <= y0 < y1 and 0 <= x0 < x1):
        raise UserError("the region must be Y0:X0:Y1:X1 with Y0 below Y1 and X0 below X1")
    return roi


def _checked_range(text: str) -> str:
    """Check ``START:STOP:N`` of depths."""
    try:
        start, stop, number = text.split(":")
        return f"{float(start):g}:{float(stop):g}:{int(number)}"
    except ValueError as error:
        raise UserError(f"{text} cannot be read: give START:STOP:N") from error


def text_of(value: object) -> str:
    """Return a value as it is written on the command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def fields_of(
    command: Literal["localize", "localize3d"], settings: Iterable[Setting | str]
) -> tuple[Field, ...]:
    """Return the entries for settings of a command, by key or as defined, with the command's defaults."""
    known = {"localize": LOCALIZE_SETTINGS, "localize3d": LOCALIZE3D_SETTINGS}[command]
    defaults = defaults_of(command)
    keys = [setting if isinstance(setting, str) else setting.key for setting in settings]
    return tuple(Field(known[key], defaults[key]) for key in keys)


OPTICS = fields_of("localize", definitions.OPTICS)
CAMERA = fields_of("localize", definitions.CAMERA)
PART = fields_of("localize", definitions.PART)
CHANNEL, POSITION, _, ROI = PART
ADVANCED = fields_of(
    "localize",
    (
        "selection.rule",
        "selection.family",
        "tiling.patch_um",
        "background",
        "rescale",
        "decode.threshold",
        "decode.min_significance",
        "decode.max_uncertainty_nm",
        "refine",
        *definitions.FINISH,
    ),
)
LOCALIZE = (*OPTICS, *CAMERA, *PART, *ADVANCED)
#: Devices that are offered; another one of several is taken from a command.
DEVICES = dict(definitions.DEVICE.choices)


def device_word(device: str) -> str:
    """Return the setting of the command line that names where to compute.

    Raises `UserError` if there is no such device.
    """
    if not _DEVICE.fullmatch(device):
        raise UserError(f"{device} is no device: use auto, cpu, cuda, cuda:1 or mps")
    return f"device={device}"


def words(fields: Sequence[Field], values: Mapping[str, str]) -> list[str]:
    """Return the words of all entries of a form, in the order of the fields.

    Raises `UserError` if an entry does not fit.
    """
    found = [field.word(values.get(field.key, "")) for field in fields]
    return [word for word in found if word is not None]
