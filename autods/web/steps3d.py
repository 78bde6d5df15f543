"""The steps of a 3D run: what each asks for, the command they become, and which of them are out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autods.core import UserError
from autods.optics.registry import PSF_MODELS
from autods.pipelines import definitions
from autods.pipelines.definitions import Setting
from autods.pipelines.settings3d import STAGES
from autods.web.fields import Field, device_word, fields_of, words
from autods.web.roots import Roots

SOURCE, SOURCE_PATH, DEVICE = "source", "source_path", "device"
#: Where the PSF can come from, beside the PSFs by name.
SOURCES = {
    "--beads": "bead stack (z-stack of beads)",
    "--psf": "calibrated PSF (psf.h5)",
    "--run": "earlier 3D run: its PSF and network",
}


@dataclass(frozen=True)
class Step:
    """One step."""

    #: Stage of the command.
    name: str
    #: What people read.
    title: str
    text: str
    #: What it asks for.
    fields: tuple[Field, ...]


def _entries(*settings: Setting | str) -> tuple[Field, ...]:
    return fields_of("localize3d", settings)


STEPS = (
    Step(
        "calibrate",
        "PSF",
        "Retrieves the point-spread function from a stack of beads, or takes one that is known.",
        _entries(
            "calibration.z_step_nm",
            "calibration.z_nm",
            "calibration.scan",
            "psf.z_min_nm",
            "psf.z_max_nm",
            *definitions.OPTICS,
            *definitions.INDICES,
            *definitions.CAMERA,
            *definitions.PART,
        ),
    ),
    Step(
        "background",
        "Background",
        "Measures what lies under the molecules: background, noise and pixels that measure no light.",
        _entries("background"),
    ),
    Step(
        "snr",
        "Noise and photons",
        "Measures noise and photons in a sparse region: draw it on the picture, or leave it to the program.",
        _entries("snr.region", "snr.size_px", "snr.max_pixel_value"),
    ),
    Step(
        "train",
        "Training",
        "Trains a network on frames simulated like these. This takes the longest.",
        _entries("preset", "family", "trainer.max_minutes", "trainer.max_steps"),
    ),
    Step(
        "test",
        "Test",
        "Localizes a simulated and a real frame and draws them again from what was found.",
        _entries("refine", "decode.threshold", "decode.min_significance"),
    ),
    Step(
        "localize",
        "Localize",
        "Localizes all frames and draws the result.",
        _entries("decode.max_uncertainty_nm", *definitions.FINISH),
    ),
)
assert tuple(step.name for step in STEPS) == STAGES

#: Headings above the first entry of a group.
HEADINGS = {
    "calibration.z_step_nm": "Bead stack",
    "psf.z_min_nm": "Depths to localize in",
    definitions.OPTICS[0].key: "Microscope",
    definitions.CAMERA[0].key: "Camera",
    definitions.PART[0].key: "Part of the movie",
}

Values = dict[str, str]


def named_psfs() -> list[str]:
    """Return the PSFs that can be taken by name."""
    return sorted(PSF_MODELS)


def arguments(roots: Roots, movie: Path, values: Mapping[str, str], until: str) -> tuple[str, ...]:
    """Return the words of the command up to a step.

    Raises `UserError` if an entry does not fit, the source of the PSF is missing or lies outside of the
    folders.

    Parameters
    ----------
    roots
        The allowed folders.
    movie
        The movie.
    values
        Entries of all steps, with the source of the PSF.
    until
        Last step.
    """
    assert until in STAGES
    source = values.get(SOURCE, "")
    if source in SOURCES:
        if not values.get(SOURCE_PATH):
            raise UserError(f"choose the {SOURCES[source]} first")
        first = [source, str(roots.resolve(values[SOURCE_PATH]))]
    elif source in named_psfs():
        first = [f"psf={source}"]
    else:
        raise UserError("choose where the PSF comes from")
    entries = words([field for step in STEPS for field in step.fields], values)
    device = values.get(DEVICE, "auto")
    last = [] if device == "auto" else [device_word(device)]
    end = [] if until == STAGES[-1] else [f"until={until}"]
    return (str(movie), *first, *entries, *last, *end)


def values_of(arguments: Sequence[str]) -> Values:
    """Read the entries back from the words that `arguments` made of them."""
    fields = {field.key for step in STEPS for field in step.fields}
    values: Values = {}
    words_left = iter(arguments[1:])
    for word in words_left:
        key, _, value = word.partition("=")
        if word in SOURCES:
            values |= {SOURCE: word, SOURCE_PATH: next(words_left, "")}
        elif key == "psf":
            values |= {SOURCE: value, SOURCE_PATH: ""}
        elif key in fields or key == DEVICE:
            values[key] = value
    return values
