"""Jobs of a sweep: a folder for each, the command line that repeats it, and all results in one table."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from autods.io.atomic import write_json, write_text
from autods.io.result_tables import SD, Row, Table

#: What a job leaves in its folder: ``{"rows": [{column: value}, ...]}``.
RESULT_FILE = "result.json"
_EXIT_FILE = "exit_code"
#: Where a sweep keeps its rows for TensorBoard.
HPARAMS_FOLDER = "hparams"
#: Where Hydra keeps what was overridden in a job.
_OVERRIDES = Path(".hydra") / "overrides.yaml"


def run_job(config: DictConfig, function: Callable[[DictConfig], Any], program: Sequence[str]) -> Any:
    """Run one job of Hydra's; one of a sweep has a folder of its own unless it is told another.

    Parameters
    ----------
    config
        The composed configuration; ``out`` is its run folder.
    function
        The work.
    program
        Words before the settings on the command line: Lightning starts the other processes of a distributed
        training with them and the job's settings.
    """
    hydra = HydraConfig.get()
    words = list(hydra.overrides.task)
    if hydra.mode == RunMode.MULTIRUN:
        if not any(word.partition("=")[0] == "out" for word in words):
            config.out = hydra.runtime.output_dir
            words.append(f"out={config.out}")
        words.append(f"hydra.run.dir={hydra.runtime.output_dir}")
    with command_line([*program, *words]):
        return function(config)


@contextmanager
def command_line(words: list[str]) -> Iterator[None]:
    """Set the words of the process, which Hydra and Lightning read."""
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before


def write_result(rows: Sequence[Row]) -> None:
    """Leave the rows of a job's result where the sweep gathers them; without Hydra, nowhere."""
    if not HydraConfig.initialized():
        return
    write_json(
        Path(HydraConfig.get().runtime.output_dir) / RESULT_FILE, {"rows": [dict(row) for row in rows]}
    )


def write_exit_code(code: int) -> None:
    """Leave the exit code of a job where the sweep finds it, whatever process the job runs in."""
    (Path(HydraConfig.get().runtime.output_dir) / _EXIT_FILE).write_text(f"{code}\n", encoding="utf-8")


def exit_codes(folder: Path) -> list[int]:
    """Return the exit codes of the jobs below a folder; that of one that left none is 1."""
    files = [job / _EXIT_FILE for job in job_folders(folder)]
    return [int(path.read_text(encoding="utf-8")) if path.is_file() else 1 for path in files]


class GatherResults(Callback):
    """Keeps ``results.csv`` and ``results.md`` beside the jobs of a sweep, anew after each of them.

    So the table is there when a job fails, and grows while others still run.
    """

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """Gather what the jobs have left so far."""
        if config.hydra.mode == RunMode.MULTIRUN:
            write_table(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Gather the results of all jobs, wherever they ran, and say how to compare them."""
        folder = Path(config.hydra.sweep.dir)
        print(write_table(folder))
        if write_hparams(folder):
            print(f"compare them: tensorboard --logdir {folder}")


def write_table(folder: Path) -> Path:
    """Write the results of the jobs below a folder as CSV and Markdown; return the latter's path.

    Markdown leaves out the settings that all jobs share.
    """
    rows = gather(folder)
    settings = list(rows[0])[1 : list(rows[0]).index("status")] if len(rows) > 1 else []
    shared = {key for key in settings if all(row.get(key) == rows[0][key] for row in rows)}
    short = [{key: cell for key, cell in row.items() if key not in shared} for row in rows]
    full, shown = (Table("results", f"Sweep {folder.name}", part) for part in (rows, short))
    for name, text in (("results.csv", full.to_csv()), ("results.md", shown.to_markdown() + "\n")):
        write_text(folder / name, text)
    return folder / "results.md"


def write_hparams(folder: Path) -> int:
    """Write the rows of a sweep for TensorBoard's HParams tab, in place of earlier ones; return how many.

    A row is a run: settings and texts are its hyper-parameters, numbers its scores. Trainings write runs of
    their own, with their curves, and get no second one.
    """
    from torch.utils.tensorboard import SummaryWriter

    home = folder / HPARAMS_FOLDER
    shutil.rmtree(home, ignore_errors=True)
    rows = [row for row in gather(folder) if row["status"] == "done" and "steps" not in row]
    for index, row in enumerate(rows):
        keys = list(row)
        first = keys.index("status") + 1
        texts = {key: str(row[key]) for key in keys[: first - 1] if key != "job"}
        texts |= {key: row[key] for key in keys[first:] if isinstance(row[key], str)}
        numbers = {
            f"score/{key}": float(row[key])
            for key in keys[first:]
            if isinstance(row[key], int | float) and not key.endswith(SD)
        }
        name = "_".join([str(row["job"]).replace("/", "_"), str(index), *map(str, texts.values())])
        with SummaryWriter(str(home)) as writer:
            writer.add_hparams(texts, numbers, run_name=re.sub(r"[^\w.=-]+", "-", name)[:120])
    for path in home.glob("events.*"):
        path.unlink()  # of the writer itself, empty
    return len(rows)


def job_folders(folder: Path) -> list[Path]:
    """Return the folders of a sweep's jobs, in the order in which they were started."""
    found = [path.parent.parent for path in folder.rglob(str(_OVERRIDES))]
    return sorted(found, key=lambda path: (not path.name.isdigit(), len(path.name), str(path)))


def gather(folder: Path) -> list[dict[str, Any]]:
    """Return a row for each result of the jobs below a folder: job, what was set, what came out.

    A job without a result, because it failed or still runs, has a row without numbers and ``status`` missing.
    """
    jobs = [(path, _settings(path), _rows(path)) for path in job_folders(folder)]
    rows = []
    for path, settings, results in jobs:
        start = {"job": path.relative_to(folder).as_posix(), **settings}
        status = "done" if results else "missing"
        rows += [{**start, "status": status, **result} for result in results or [{}]]
    return rows


def _settings(job: Path) -> dict[str, str]:
    words = OmegaConf.to_container(OmegaConf.load(job / _OVERRIDES))
    assert isinstance(words, list)
    pairs = [str(word).lstrip("+~").partition("=") for word in words]
    return {key: value for key, _, value in pairs if key != "out"}


def _rows(job: Path) -> list[dict[str, Any]]:
    path = job / RESULT_FILE
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows
