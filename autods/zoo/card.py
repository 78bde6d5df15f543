"""The model card: everything that is needed to choose, build and trust a trained model."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from autods.core import UserError
from autods.io.atomic import write_text
from autods.io.foreign import read_by_library

#: Name of the card's file in a model's folder.
CARD_FILE = "card.yaml"

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Component:
    """A class by its registered name, and the arguments to build it with."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CardOptics:
    """Optics of the training set.

    Parameters
    ----------
    pixel_size_nm
        Side of a camera pixel in the sample, nm.
    psf_sigma_nm
        Standard deviation of the in-focus PSF, nm.
    psf_sigma_low_nm, psf_sigma_high_nm
        Limits of the PSF widths in the training set, nm; None for a single width.
    wavelength_nm, na
        Emission wavelength, nm, and numerical aperture; None when the PSF was given by its width alone.
    """

    pixel_size_nm: float
    psf_sigma_nm: float
    psf_sigma_low_nm: float | None = None
    psf_sigma_high_nm: float | None = None
    wavelength_nm: float | None = None
    na: float | None = None

    @property
    def psf_sigma_px(self) -> float:
        """PSF standard deviation in camera pixels."""
        return self.psf_sigma_nm / self.pixel_size_nm

    @property
    def breadth(self) -> float:
        """Ratio of the widest to the narrowest PSF of the training set."""
        return (self.psf_sigma_high_nm or self.psf_sigma_nm) / (self.psf_sigma_low_nm or self.psf_sigma_nm)

    def nearest_sigma_px(self, sigma_px: float) -> float:
        """Return the trained PSF width, in camera pixels, that is nearest to a movie's."""
        low = (self.psf_sigma_low_nm or self.psf_sigma_nm) / self.pixel_size_nm
        high = (self.psf_sigma_high_nm or self.psf_sigma_nm) / self.pixel_size_nm
        return min(max(sigma_px, low), high)


@dataclass(frozen=True)
class Span:
    """What a model was trained for: the mean and the limits of a quantity over its training set."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelCard:
    """A trained model of the zoo.

    Parameters
    ----------
    name
        Name of the model; also of its folder.
    family
        Name of the representation that reads the output: ``heatmap`` or ``mixture`` in 2D; ``mixture3d``,
        ``voxels`` or ``binary_voxels`` in 3D; ``universal`` for a network that is told the PSF.
    network
        Name and arguments for :func:`autods.networks.build_network`.
    representation
        Name and arguments of the representation that decodes the network's output.
    normalization
        Kind for :func:`autods.networks.normalization.normalize`.
    optics
        Optics of the training set.
    density_per_um2, snr
        Emitters per um^2 and frame, and signal-to-noise ratio, of the training set.
    threshold
        Default decoding threshold.
    generalist
        Whether the model is meant for all conditions at once: it has no level of difficulty, and the rules
        that choose by level leave it out.
    licence
        Licence of the weights, SPDX identifier.
    description
        One paragraph for people.
    metrics
        Scores on the fixed test set, by name.
    training
        What the training set and the schedule were; JSON-safe.
    weights_sha256
        Hex digest of ``weights.safetensors``; empty until the weights are saved.
    folder
        Where the card was read from; not written to the file.
    """

    name: str
    family: Literal["heatmap", "mixture", "mixture3d", "voxels", "binary_voxels", "universal"]
    network: Component
    representation: Component
    normalization: str
    optics: CardOptics
    density_per_um2: Span
    snr: Span
    threshold: float
    generalist: bool = False
    licence: str = "MIT"
    description: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    folder: Path | None = field(default=None, compare=False)


def card_to_dict(card: ModelCard) -> dict[str, Any]:
    """Return the card as plain mappings, in the order of its fields, without the folder."""
    values = dataclasses.asdict(card)
    del values["folder"]
    return values


def card_from_dict(values: object, source: str) -> ModelCard:
    """Build a card from plain mappings, strictly.

    Parameters
    ----------
    values
        Mapping of the card's fields.
    source
        Name of the file, for messages.

    Raises
    ------
    UserError
        Naming ``source`` and the key when a key is unknown, missing, of a wrong type or out of range.
    """
    card: ModelCard = _build(ModelCard, values, source, "")
    _check_numbers(card, source)
    return card


def read_card(path: Path) -> ModelCard:
    """Read and validate a ``card.yaml``.

    Raises
    ------
    UserError
        If the file is missing, is not YAML, or does not describe a model.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot read the model card ({error.strerror}): give a model's folder"
        ) from error
    with read_by_library(f"{path}: not a YAML file of a model, restore the model's card"):
        card = card_from_dict(yaml.safe_load(text.decode("utf-8")), str(path))
    if not _SHA256.fullmatch(card.weights_sha256):
        raise UserError(f"{path}: weights_sha256 must be the 64 hex digits of the weights' SHA-256")
    return dataclasses.replace(card, folder=path.parent)


def write_card(card: ModelCard, path: Path) -> None:
    """Write a card as YAML; an existing file is replaced whole or not at all."""
    text = yaml.safe_dump(card_to_dict(card), sort_keys=False, allow_unicode=True, width=100)
    write_text(path, text)


def _build(cls: type, values: object, source: str, prefix: str) -> Any:
    """Build a dataclass from a mapping; ``prefix`` is the dotted path of the mapping in the file."""
    if not isinstance(values, dict):
        raise UserError(f"{source}: {prefix.rstrip('.') or 'the card'} must be a mapping of keys to values")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.name != "folder"}
    for key in values:
        if key not in fields:
            raise UserError(f"{source}: unknown key {prefix}{key}: remove it or correct its spelling")
    for name, f in fields.items():
        optional = f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        if name not in values and not optional:
            raise UserError(f"{source}: key {prefix}{name} is missing: add it")
    return cls(**{key: _convert(hints[key], value, source, prefix + key) for key, value in values.items()})


def _convert(hint: Any, value: object, source: str, key: str) -> Any:
    """Check a value against a field's type; nested dataclasses are built."""
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, source, f"{key}.")
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(option for option in options if option is not type(None)), value, source, key)
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise UserError(f"{source}: {key} is {value!r}: use one of {', '.join(typing.get_args(hint))}")
        return value
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise UserError(f"{source}: {key} is {value!r}: it must be a finite number")
        return float(value)
    for plain, name in ((str, "a text"), (bool, "true or false")):
        if hint is plain:
            if not isinstance(value, plain):
                raise UserError(f"{source}: {key} is {value!r}: it must be {name}")
            return value
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{source}: {key} is {value!r}: it must be a mapping with text keys")
    if typing.get_args(hint)[1] is float:
        return {name: _convert(float, item, source, f"{key}.{name}") for name, item in value.items()}
    return value


def _check_numbers(card: ModelCard, source: str) -> None:
    optics = card.optics
    positive = {
        "optics.pixel_size_nm": optics.pixel_size_nm,
        "optics.psf_sigma_nm": optics.psf_sigma_nm,
        "optics.wavelength_nm": optics.wavelength_nm,
        "optics.na": optics.na,
    }
    for key, value in positive.items():
        if value is not None and value <= 0:
            raise UserError(f"{source}: {key} is {value}: it must be greater than 0")
    for key, span in {"density_per_um2": card.density_per_um2, "snr": card.snr}.items():
        if not 0 <= span.low <= span.mean <= span.high:
            raise UserError(f"{source}: {key} must have 0 <= low <= mean <= high, it has {span}")
    if not card.name or "/" in card.name or card.name.startswith("."):
        raise UserError(f"{source}: name is {card.name!r}: give a name that can be a folder's")
