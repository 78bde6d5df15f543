"""The words of a job: only those that a form can have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autods.core import UserError
from autods.pipelines.settings3d import STAGES
from autods.web.fields import LOCALIZE, Field, device_word
from autods.web.roots import Roots
from autods.web.steps3d import SOURCES, STEPS, named_psfs

_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "localize": {field.key: field for field in LOCALIZE},
    "localize3d": {field.key: field for step in STEPS for field in step.fields},
}


def check_words(roots: Roots, kind: str, arguments: Sequence[str]) -> None:
    """Refuse a job that no form can have made: another command, path, key or value.

    Raises `UserError` naming the first word that does not fit.
    """
    if kind not in _FIELDS:
        raise UserError(f"a job cannot be {kind}: only localize and localize3d are started here")
    if not arguments:
        raise UserError("the job names no movie: start it from the movie's page")
    roots.movie(arguments[0])
    rest = iter(arguments[1:])
    for word in rest:
        if word in SOURCES and kind == "localize3d":
            roots.resolve(next(rest, ""))
        elif word == "--follow" and kind == "localize":
            continue
        elif not _is_known(kind, word):
            raise UserError(f"{word} is no setting of this page: start the run from the movie's page")


def _is_known(kind: str, word: str) -> bool:
    key, equals, value = word.partition("=")
    if not equals:
        return False
    if key == "device":
        return device_word(value) == word
    if kind == "localize3d" and (key, value) in [("psf", name) for name in named_psfs()]:
        return True
    if kind == "localize3d" and key == "until":
        return value in STAGES
    field = _FIELDS[kind].get(key)
    return field is not None and field.word(value) == word
