"""The steps of a 3D run: what each asks for, the command they become, and which of them are out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autods.core import UserError
from autods.optics.registry import PSF_MODELS
from autods.pipelines.settings3d import STAGES
from autods.web.fields import (
    BACKGROUND,
    CAMERA,
    FINISH,
    INDICES,
    OPTICS,
    PART,
    Field,
    choices_of,
    device_word,
    hinted,
    words,
)
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
    """One step.

    Parameters
    ----------
    name
        Stage of the command.
    title, text
        What people read.
    fields
        What it asks for.
    """

    name: str
    title: str
    text: str
    fields: tuple[Field, ...]


_SCAN = (
    ("auto", "the objective's focus, unless the data tell"),
    ("objective", "the objective's focus"),
    ("stage", "the stage"),
    ("emitter", "the emitter's own depth"),
)
_FAMILY = (
    ("mixture", "mixture"),
    ("voxels", "Gaussian voxels (the paper's)"),
    ("universal", "the shipped one, not trained"),
)
_PRESETS = {
    "instant": "instant: no training, the network is told the PSF",
    "cpu_quick": "quick, about 15 minutes on a CPU",
    "default": "for a GPU",
    "paper": "as in the paper",
}
_REFINE = (("mle", "with the PSF"), ("none", "no"))

_STEPS = (
    Step(
        "calibrate",
        "PSF",
        "Retrieves the point-spread function from a stack of beads, or takes one that is known.",
        (
            Field("calibration.z_step_nm", "Slice distance", "nm", low=0, high=10000, above=True),
            Field("calibration.z_nm", "or START:STOP:N", "nm", kind="range"),
            Field("calibration.scan", "Positions are of", kind="choice", choices=_SCAN),
            Field("psf.z_min_nm", "Lowest depth", "nm", low=-50000, high=50000, usual="what the beads cover"),
            Field(
                "psf.z_max_nm", "Highest depth", "nm", low=-50000, high=50000, usual="what the beads cover"
            ),
            *OPTICS,
            *INDICES,
            *CAMERA,
            *PART,
        ),
    ),
    Step(
        "background",
        "Background",
        "Measures what lies under the molecules: background, noise and pixels that measure no light.",
        (BACKGROUND,),
    ),
    Step(
        "snr",
        "Noise and photons",
        "Measures noise and photons in a sparse region: draw it on the picture, or leave it to the program.",
        (
            Field(
                "snr.region", "Region", "Y0:X0:Y1:X1, px", kind="region", usual="the sparsest with molecules"
            ),
            Field(
                "snr.size_px",
                "Automatic side",
                "px",
                kind="whole",
                low=8,
                high=10000,
            ),
            Field(
                "snr.max_pixel_value",
                "Brightest pixel",
                "photons",
                low=0,
                high=1e6,
                above=True,
                usual="measured",
            ),
        ),
    ),
    Step(
        "train",
        "Training",
        "Trains a network on frames simulated like these. This takes the longest.",
        (
            Field(
                "preset",
                "Size and length",
                kind="choice",
                choices=choices_of("preset", _PRESETS),
                usual="by the device",
            ),
            Field("family", "Kind of network", kind="choice", choices=_FAMILY),
            Field(
                "trainer.max_minutes",
                "Longest time",
                "minutes",
                low=0,
                high=100000,
                above=True,
                usual="the preset's",
            ),
            Field("trainer.max_steps", "Most steps", kind="whole", low=1, high=1e7, usual="the preset's"),
        ),
    ),
    Step(
        "test",
        "Test",
        "Localizes a simulated and a real frame and draws them again from what was found.",
        (
            Field("refine", "Refine positions", kind="choice", choices=_REFINE),
            Field(
                "decode.threshold",
                "Detection threshold",
                low=0,
                high=1000,
                above=True,
                usual="the best found",
            ),
            Field("decode.min_significance", "Least photons", "standard errors", low=0, high=1000, usual="3"),
        ),
    ),
    Step(
        "localize",
        "Localize",
        "Localizes all frames and draws the result.",
        (
            Field(
                "decode.max_uncertainty_nm",
                "Largest uncertainty",
                "nm",
                low=0,
                high=10000,
                above=True,
                usual="any",
            ),
            *FINISH,
        ),
    ),
)
STEPS = tuple(replace(step, fields=hinted(step.fields, "localize3d")) for step in _STEPS)
assert tuple(step.name for step in STEPS) == STAGES

#: Headings above the first entry of a group.
HEADINGS = {
    "calibration.z_step_nm": "Bead stack",
    "psf.z_min_nm": "Depths to localize in",
    OPTICS[0].key: "Microscope",
    CAMERA[0].key: "Camera",
    PART[0].key: "Part of the movie",
}

Values = dict[str, str]


def named_psfs() -> list[str]:
    """Return the PSFs that can be taken by name."""
    return sorted(PSF_MODELS)


def arguments(roots: Roots, movie: Path, values: Mapping[str, str], until: str) -> tuple[str, ...]:
    """Return the words of the command up to a step.

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

    Raises
    ------
    UserError
        If an entry does not fit, the source of the PSF is missing or lies outside of the folders.
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
