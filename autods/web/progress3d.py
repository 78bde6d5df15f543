"""How far the steps of a 3D run are, and the entries that people made, kept in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from autods.core import UserError
from autods.io.atomic import write_json
from autods.pipelines.settings3d import STAGES
from autods.web.fields import Field
from autods.web.jobs import JobView
from autods.web.run_files import file_stat, read_json
from autods.web.steps3d import SOURCE, SOURCE_PATH, STEPS, Values, values_of

FORM_FILE = "form.json"
StepStatus = Literal["new", "running", "done", "stale"]


class StaleError(UserError):
    """Entries were made from others than those that are there now."""


@dataclass(frozen=True)
class Progress3D:
    """The entries of a 3D run, and those that each step was last finished with."""

    #: Entries now.
    values: Values
    #: Of each finished step, the entries that it was made with.
    finished_with: dict[str, Values]
    #: Counts the changes of the entries: a page that saves an older version than there is, is refused.
    version: int = 0

    def finished(self, now: JobView) -> dict[str, Values]:
        """Return the entries that each step was finished with, those of the run at hand included.

        The words of the job and its record tell it, whether or not a page was open meanwhile.
        """
        if now.job.order in ("queued", "draft", "withdrawn"):
            return self.finished_with
        made_with = values_of(now.job.arguments)
        return {**self.finished_with, **dict.fromkeys(STAGES[: _n_done(now)], made_with)}

    def status(self, folder: Path, now: JobView) -> dict[str, StepStatus]:
        """Tell where each step stands."""
        found: dict[str, StepStatus] = {}
        finished = self.finished(now)
        fields: list[Field] = []
        for step in STEPS:
            fields += step.fields
            result = "localizations.csv" if step.name == STAGES[-1] else f"stages/{step.name}.json"
            then = finished.get(step.name)
            if now.is_unfinished and now.stage == step.name:
                found[step.name] = "running"
            elif then is None or file_stat(folder, result) is None:
                found[step.name] = "new"
            else:
                found[step.name] = "done" if _same(fields, then, self.values) else "stale"
        return found


def _same(fields: Sequence[Field], then: Values, now: Values) -> bool:
    """Tell whether entries mean the same; where it is computed changes no result."""
    sources = [(values.get(SOURCE, "--beads"), values.get(SOURCE_PATH, "")) for values in (then, now)]
    return sources[0] == sources[1] and all(
        _word(field, then) == _word(field, now)
        for field in fields
        if then.get(field.key) != now.get(field.key)
    )


def _word(field: Field, values: Values) -> str | None:
    """Return what an entry means: 100 and 100.0 are the same number."""
    text = values.get(field.key, "")
    return text if field.problem(text) else field.word(text)


def _n_done(now: JobView) -> int:
    """Count the steps that the run at hand has finished or found finished."""
    until = next(
        (word.partition("=")[2] for word in now.job.arguments if word.startswith("until=")), STAGES[-1]
    )
    if now.status == "done":
        return STAGES.index(until) + 1 if until in STAGES else 0
    if now.run.get("process") != now.job.pid:
        return 0
    # A step that was taken from before leaves no line: what stands before one that does is done.
    count = 0
    for stage in now.run.get("stages", []):
        if isinstance(stage, dict) and stage.get("name") in STAGES:
            number = STAGES.index(stage["name"])
            count = max(count, number + (stage.get("status") == "done"))
    return max(count, STAGES.index(now.stage) if now.stage in STAGES else 0)


def load_progress(folder: Path) -> Progress3D:
    """Read the entries of a run folder, and how far they got."""
    content = read_json(folder, FORM_FILE)
    version, finished = content.get("version", 0), content.get("finished_with", {})
    return Progress3D(
        _plain(content.get("values")),
        {str(name): _plain(values) for name, values in finished.items()}
        if isinstance(finished, dict)
        else {},
        version if isinstance(version, int) else 0,
    )


def _plain(content: object) -> Values:
    if not isinstance(content, dict):
        return {}
    return {str(key): text for key, text in content.items() if isinstance(text, str)}


def save_values(folder: Path, values: Values, seen: int) -> Progress3D:
    """Write the entries of a run.

    Returns `Progress3D`, as it stands now. Raises `UserError` if somebody else changed them meanwhile, or the
    folder cannot be written.
    """
    kept = load_progress(folder)
    if kept.version != seen:
        raise StaleError("another page changed these entries meanwhile: yours show them now")
    if kept.values == values:
        return kept
    return save_progress(folder, replace(kept, values=values, version=seen + 1))


def save_progress(folder: Path, progress: Progress3D) -> Progress3D:
    """Write all that is kept of the steps, and return it.

    Raises `UserError` if the folder cannot be written.
    """
    write_json(folder / FORM_FILE, vars(progress))
    return progress
