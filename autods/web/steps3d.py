"""The steps of a 3D run: what each asks for, the command they become, and which of them are out of date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autods.core import UserError
from autods.core.resources import conf_dir
from autods.io.atomic import atomic_path
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
from autods.web.jobs import JobView
from autods.web.roots import Roots
from autods.web.run_files import file_stat, read_json

FORM_FILE = "form.json"
SOURCE, SOURCE_PATH, DEVICE = "source", "source_path", "device"
#: Where the PSF can come from, beside the PSFs by name.
SOURCES = {
    "--beads": "bead stack (z-stack of beads)",
    "--psf": "calibrated PSF (psf.h5)",
    "--run": "earlier 3D run: its PSF and network",
}
StepStatus = Literal["new", "running", "done", "stale"]


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
    return sorted(path.stem for path in (conf_dir() / "psf").glob("*.yaml"))


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


@dataclass(frozen=True)
class Progress3D:
    """How far the steps are: entries now, and the entries that each step was last finished with.

    Parameters
    ----------
    values
        Entries now.
    finished_with
        Of each finished step, the entries that it was made with.
    submitted, until
        Entries of the run that goes on or ended last, and its last step; '' once that is accounted for.
    submitted_at
        When it was put into the queue at the earliest, seconds since 1970.
    """

    values: Values
    finished_with: dict[str, Values]
    submitted: Values
    until: str = ""
    submitted_at: float = 0.0

    def status(self, folder: Path, now: JobView) -> dict[str, StepStatus]:
        """Tell where each step stands."""
        found: dict[str, StepStatus] = {}
        # Where it is computed changes no result: a device makes nothing out of date.
        keys: set[str] = {SOURCE, SOURCE_PATH}
        for step in STEPS:
            keys |= {field.key for field in step.fields}
            result = "localizations.csv" if step.name == STAGES[-1] else f"stages/{step.name}.json"
            then = self.finished_with.get(step.name)
            if now.is_unfinished and now.stage == step.name:
                found[step.name] = "running"
            elif then is None or file_stat(folder, result) is None:
                found[step.name] = "new"
            else:
                same = all(then.get(key, "") == self.values.get(key, "") for key in keys)
                found[step.name] = "done" if same else "stale"
        return found

    def settled(self, now: JobView) -> Progress3D:
        """Account for a run that has ended: what it finished was finished with what was submitted."""
        if not self.until or now.is_unfinished or now.job.queued_at < self.submitted_at:
            return self
        last = STAGES.index(self.until) if now.status == "done" else _last_done(now.run)
        finished = dict.fromkeys(STAGES[: last + 1], self.submitted)
        return Progress3D(self.values, {**self.finished_with, **finished}, {})


def _last_done(run: Mapping[str, Any]) -> int:
    """Return the number of the last stage that a run finished before it ended; -1 for none."""
    done = [stage["name"] for stage in run.get("stages", []) if stage.get("status") == "done"]
    return max((STAGES.index(name) for name in done if name in STAGES), default=-1)


def load_progress(folder: Path) -> Progress3D:
    """Read how far the steps of a run folder are."""
    content = read_json(folder, FORM_FILE)
    return Progress3D(
        content.get("values", {}),
        content.get("finished_with", {}),
        content.get("submitted", {}),
        content.get("until", ""),
        content.get("submitted_at", 0.0),
    )


def save_progress(folder: Path, progress: Progress3D) -> None:
    """Write how far the steps are.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    with atomic_path(folder / FORM_FILE) as part:
        part.write_text(json.dumps(vars(progress), indent=2) + "\n", encoding="utf-8")
