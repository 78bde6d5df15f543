"""Stages of a run that are not repeated while nothing that they depend on changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autods.core import UserError
from autods.runs.record import NOTICE, RunRecord, Stage
from autods.runs.steps import Step

logger = logging.getLogger(__name__)

#: Folder of the stages' results and figures inside a run folder.
STAGE_FOLDER = "stages"


class Stages:
    """The chain of stages of a run: each is keyed by its own inputs and by the stages before it.

    A finished stage leaves ``stages/NAME.json`` with its key and results, and ``stages/NAME.png``.

    Parameters
    ----------
    record
        The run.
    finished_in
        Run folder of another process that has finished all stages: they are read there and none is carried
        out here. None for the record's own.
    """

    def __init__(self, record: RunRecord, finished_in: Path | None = None) -> None:
        self._record, self._finished_in = record, finished_in
        self._key = ""

    @property
    def folder(self) -> Path:
        """Folder of results and figures."""
        return (self._finished_in or self._record.folder) / STAGE_FOLDER

    @property
    def key(self) -> str:
        """What everything up to the last stage depends on."""
        return self._key

    def figure(self, name: str) -> Path:
        """Return the path of a stage's figure."""
        return self.folder / f"{name}.png"

    def run(
        self,
        name: str,
        depends_on: object,
        compute: Callable[[Stage], dict[str, Any]],
        *,
        files: tuple[Path, ...] = (),
        total: int = 0,
        limit_s: float | None = None,
    ) -> dict[str, Any]:
        """Return a stage's results, from its file if it is finished with the same inputs.

        Raises `UserError` if another process should have finished the stage and has not.

        Parameters
        ----------
        name
            Of the stage.
        depends_on
            All that its results depend on, beside the stages before.
        compute
            Does the work and returns JSON-ready results; the file is written after it.
        files
            Other outputs that must be there for the stage to count as finished.
        total
            Number of steps; 0 when unknown.
        limit_s
            Seconds after which it ends in any case; None for no limit.
        """
        step = Step(self.folder / f"{name}.json", {"after": self._key, "inputs": depends_on}, files)
        self._key = step.key
        found = step.results()
        if found is not None:
            logger.log(NOTICE, "%s: taken from before, its inputs are the same", name)
            for line in found.get("warnings", []):
                self._record.warn(line)
            return found
        if self._finished_in is not None:
            raise UserError(
                f"{self._finished_in}: the first process has finished the stage {name}, and this one does not"
                " see it: choose a folder that all machines share"
            )
        # The outputs of other inputs are about to be written over: from here on they no longer count.
        step.begin()
        self.figure(name).unlink(missing_ok=True)
        with self._record.stage(name, total, limit_s) as stage:
            results = step.finish(compute(stage))
        for line in results.get("warnings", []):
            self._record.warn(line)
        return results
