"""What can be entered: keys, units, limits; and the command-line words that entries become.

Each entry is checked here before it becomes a word of a command: numbers are read as numbers and choices are
taken from lists, so that no text of a user reaches the command's own grammar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from autods.core import UserError
from autods.core.quantities import QUANTITIES
from autods.core.resources import conf_dir
from autods.inference.tiling import MIN_PATCH_UM
from autods.pipelines.settings import parse_frames, parse_roi
from autods.postprocessing.filtering import check_filter

FieldKind = Literal["number", "whole", "choice", "frames", "roi", "range", "region", "filter"]
_PIXEL = QUANTITIES["pixel_size_nm"]
_CORNERS = ("auto", "top-left", "top-right", "bottom-left", "bottom-right")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,2})?|mps")


@dataclass(frozen=True)
class Field:
    """One entry of a form.

    Parameters
    ----------
    key
        Key of the command.
    label
        What people read.
    unit
        Unit, behind the label.
    kind
        What may be entered.
    low, high
        Limits of a number, both allowed.
    above
        Whether ``low`` itself is not allowed.
    choices
        Values of a choice and what people read for them; '' (from `hinted`) stands for the command's default.
    usual
        What the command takes when nothing is entered, for the hint.
    """

    key: str
    label: str
    unit: str = ""
    kind: FieldKind = "number"
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    usual: str = ""

    @property
    def caption(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def problem(self, text: str) -> str | None:
        """Tell what is wrong with an entry; None when nothing is. An empty entry is never wrong."""
        try:
            self.word(text)
        except UserError as error:
            return str(error)
        return None

    def word(self, text: str) -> str | None:
        """Return the word ``key=value`` of an entry; None for an empty one.

        Raises
        ------
        UserError
            If the entry does not fit.
        """
        text = text.strip()
        if not text:
            return None
        if self.kind == "choice":
            if text not in dict(self.choices):
                raise UserError(f"{self.label}: {text} is no choice")
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
        try:
            value = float(text.replace(",", "."))
        except ValueError as error:
            raise UserError(f"{self.label}: {text} is no number") from error
        if (
            not math.isfinite(value)
            or not self.low <= value <= self.high
            or (self.above and value == self.low)
        ):
            raise UserError(f"{self.label} must be {self._limits()}")
        if self.kind == "whole":
            if value != int(value):
                raise UserError(f"{self.label} must be a whole number")
            return str(int(value))
        return f"{value!r}".removesuffix(".0")

    def _limits(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.high):
            return f"{'greater than' if self.above else 'at least'} {self.low:g}{unit}"
        start = "greater than" if self.above else "from"
        return f"{start} {self.low:g} {'and up ' if self.above else ''}to {self.high:g}{unit}"


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


def choices_of(group: str, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the choices of a configuration group with what people read for them."""
    names = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    return tuple((name, labels.get(name, name)) for name in names)


@cache
def defaults_of(command: str) -> dict[str, object]:
    """Return what a command takes when nothing is given, by key; a group's key has the name of its choice."""
    content = _read_yaml(conf_dir() / f"{command}.yaml")
    found: dict[str, object] = {}
    for entry in content.pop("defaults", []):
        if isinstance(entry, dict):
            for group, name in entry.items():
                found[group] = name
                if name is not None and group != "preset":
                    content[group] = _read_yaml(conf_dir() / group / f"{name}.yaml") | content.get(group, {})
    return found | _flat(content)


def _read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def hinted(fields: Sequence[Field], command: str) -> tuple[Field, ...]:
    """Return the fields with the command's defaults as hints, so that the two cannot differ.

    Where the default is to find out, the hint is the field's own (``usual``).
    """
    defaults = defaults_of(command)
    return tuple(_hinted(field, defaults.get(field.key)) for field in fields)


def _hinted(field: Field, default: object) -> Field:
    text = {True: "true", False: "false"}[default] if isinstance(default, bool) else str(default)
    if field.kind == "choice":
        usual = field.usual or dict(field.choices)[text]
        return replace(field, choices=(("", f"default ({usual})"), *field.choices))
    if field.usual or default is None:
        return field
    return replace(field, usual=f"{default:g}" if isinstance(default, int | float) else text)


YES_NO = (("true", "yes"), ("false", "no"))

OPTICS = (
    Field("optics.pixel_size_nm", "Pixel size in the sample", "nm", low=_PIXEL.low, high=_PIXEL.high),
    Field("optics.wavelength_nm", "Emission wavelength", "nm", low=200, high=2000, usual="not known"),
    Field("optics.na", "Numerical aperture", low=0.1, high=1.75, usual="not known"),
)
INDICES = (
    Field("optics.n_immersion", "Index of immersion", low=1, high=2.5),
    Field("optics.n_sample", "Index of sample", low=1, high=2.5),
    Field("optics.nfp_nm", "Focal plane height", "nm", low=-50000, high=50000),
)
CAMERA = (
    Field("camera.offset_adu", "Offset", "ADU", low=0, high=1e6, usual="measured, else 0"),
    Field("camera.e_per_adu", "Conversion", "e/ADU", low=0, high=1000, above=True, usual="measured, else 1"),
    Field("camera.em_gain", "EM gain", low=1, high=100000, usual="no EM register"),
    Field("camera.qe", "Quantum efficiency", "0 to 1", low=0, high=1, above=True, usual="1"),
    Field("camera.read_noise_e", "Read noise", "electrons", low=0, high=10000, usual="0"),
)
#: What is done with the localizations, in 2D and in depth.
FINISH = (
    Field("filter", "Keep only", 'such as "photons > 500 & uncertainty_xy < 20"', kind="filter", usual="all"),
    Field(
        "drift",
        "Drift correction",
        kind="choice",
        choices=(("auto", "automatic"), ("fiducials", "from beads"), ("none", "none")),
    ),
    Field("render.pixel_size_nm", "Pixel of the picture", "nm", low=0.5, high=1000),
)
CHANNEL = Field("channel", "Channel", "from 0", kind="whole", low=0, high=1000, usual="the only one")
POSITION = Field(
    "position", "Stage position", "from 0", kind="whole", low=0, high=100000, usual="the only one"
)
FRAMES = Field("frames", "Frames", "START:STOP, from 0", kind="frames", usual="all")
ROI = Field("roi", "Region", "Y0:X0:Y1:X1, px", kind="roi", usual="whole field")
PART = (CHANNEL, POSITION, FRAMES, ROI)
BACKGROUND = Field(
    "background",
    "Background",
    kind="choice",
    choices=(
        ("auto", "automatic"),
        ("temporal", "from each pixel over time"),
        ("spatial", "from the neighbourhood"),
        ("none", "one level"),
    ),
)
_SELECTION = {
    "average": "average of density and SNR (the paper's)",
    "density": "by density",
    "snr": "by signal-to-noise ratio",
    "nearest": "nearest in both",
    "auto": "a specialist where it was trained for the patch, else the general model",
}
_ADVANCED = (
    Field(
        "selection.rule",
        "Model selection",
        kind="choice",
        choices=tuple(_SELECTION.items()),
    ),
    Field(
        "selection.family",
        "Kind of models",
        kind="choice",
        choices=(("mixture", "mixture"), ("heatmap", "heatmap (Deep-STORM)")),
        usual="the better one that is there",
    ),
    Field("tiling.patch_um", "Patch side", "µm", low=MIN_PATCH_UM, high=1000),
    BACKGROUND,
    Field("rescale", "Fit the movie to the model's optics", kind="choice", choices=YES_NO),
    Field(
        "decode.threshold", "Detection threshold", "confidence", low=0, high=1000, above=True, usual="model's"
    ),
    Field(
        "decode.min_significance", "Least photons", "standard errors", low=0, high=1000, usual="by density"
    ),
    Field(
        "decode.max_uncertainty_nm", "Largest uncertainty", "nm", low=0, high=10000, above=True, usual="any"
    ),
    Field(
        "refine",
        "Refine positions",
        kind="choice",
        choices=(("mle", "maximum likelihood"), ("none", "no")),
    ),
    *FINISH,
)
ADVANCED = hinted(_ADVANCED, "localize")
LOCALIZE = (*OPTICS, *CAMERA, *PART, *ADVANCED)


def device_word(device: str) -> str:
    """Return the setting of the command line that names where to compute.

    Raises
    ------
    UserError
        If there is no such device.
    """
    if not _DEVICE.fullmatch(device):
        raise UserError(f"{device} is no device: use auto, cpu, cuda, cuda:1 or mps")
    return f"device={device}"


def words(fields: Sequence[Field], values: Mapping[str, str]) -> list[str]:
    """Return the words of all entries of a form, in the order of the fields.

    Raises
    ------
    UserError
        If an entry does not fit.
    """
    found = [field.word(values.get(field.key, "")) for field in fields]
    return [word for word in found if word is not None]
