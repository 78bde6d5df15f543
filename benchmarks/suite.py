"""What every suite hands back, and the folder that is written from it."""

from __future__ import annotations

import json
import logging
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil
import torch

from autods import __version__
from autods.io.atomic import atomic_path
from autods.io.result_tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

#: What a page over several suites is made from.
SUITE_FILE = "suite.json"


@dataclass(frozen=True)
class SuiteResult:
    """Result of a suite.

    Parameters
    ----------
    title
        One line: what was compared.
    tables
        The first is written as ``results.csv``, the others under their names.
    figures
        By name.
    notes
        How it was measured, what was left out and why; a line each.
    """

    title: str
    tables: Sequence[Table]
    figures: dict[str, Figure] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Suite(Protocol):
    """A benchmark: its parameters are its fields."""

    @property
    def name(self) -> str:
        """Name of the suite."""
        ...

    def run(self) -> SuiteResult:
        """Measure."""
        ...


def run_suite(suite: Suite, out: Path, command: str) -> SuiteResult:
    """Run a suite and write its folder: ``results.csv``, ``results.md``, further tables, figures.

    Figures are PNG and PDF; the tables are the data behind them.

    Parameters
    ----------
    suite
        The benchmark.
    out
        Folder, made when absent.
    command
        The line that repeats it.

    Raises
    ------
    UserError
        If the folder cannot be written, or the suite lacks something it needs.
    """
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    load = psutil.getloadavg()[0]
    result = suite.run()
    seconds = time.perf_counter() - start
    facts = {
        "machine": machine(),
        "load before": f"{load:.1f} processes",
        "commit": commit(),
        "command": f"`{command}`",
        "took": f"{seconds:.0f} s",
    }
    files = ["results.csv", *(f"{table.name}.csv" for table in result.tables[1:])]
    for file, table in zip(files, result.tables, strict=True):
        _write(out / file, table.to_csv())
    for name, figure in result.figures.items():
        for kind in ("png", "pdf"):
            with atomic_path(out / f"{name}.{kind}") as part:
                figure.savefig(part, format=kind)
    _write(out / "results.md", to_markdown(result, facts))
    titles = [{"title": table.title, "file": file} for file, table in zip(files, result.tables, strict=True)]
    content: dict[str, object] = {
        "name": suite.name,
        "title": result.title,
        "notes": list(result.notes),
        "facts": facts,
    }
    content |= {"tables": titles, "figures": list(result.figures), "notes": list(result.notes)}
    _write(out / SUITE_FILE, json.dumps(content, indent=2) + "\n")
    logger.info("%s: %s", suite.name, out / "results.md")
    return result


def to_markdown(result: SuiteResult, facts: dict[str, str]) -> str:
    """Return the page of a result; ``facts`` say where and how it was measured."""
    parts = [f"## {result.title}", *(table.to_markdown() for table in result.tables)]
    parts += ["\n".join(f"* {note}" for note in result.notes)] if result.notes else []
    parts += [f"![{name}]({name}.png)" for name in result.figures]
    parts += ["\n".join(f"* {key}: {value}" for key, value in facts.items())]
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    """Describe the machine in a line."""
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    text = f"{_processor()}, {cores} cores, {torch.get_num_threads()} threads, {memory:.0f} GiB"
    if torch.cuda.is_available():
        text += f", {torch.cuda.get_device_name()}"
    return f"{text}; Python {platform.python_version()}, torch {torch.__version__}"


def commit() -> str:
    """Return the commit of the checkout that is measured, or the version of an installed package."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        edits = subprocess.run(
            [*git, "status", "--porcelain", "-uno", "--", ".."], capture_output=True, text=True
        )
    except FileNotFoundError:
        return f"version {__version__}"
    if found.returncode:
        return f"version {__version__}"
    return found.stdout.strip() + (" with local changes" if edits.stdout.strip() else "")


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
